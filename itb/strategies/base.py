"""What every itb strategy knows: the venue's terms, and its own past trades, symbol by symbol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import backtrader as bt

from itb.engine.venue import Venue
from itb.market.costs import Costs
from itb.strategies.allocation import Allocation
from itb.strategies.coin import Coin
from itb.strategies.protections.locks import Gate

if TYPE_CHECKING:
    from itb.ledger.trades import Side, Trade, TradeHistory


class Strategy(bt.Strategy):
    """A backtrader strategy with a trade history and a venue; keep decisions pure functions of them and the bars.

    ``self.coins`` has a :class:`itb.strategies.coin.Coin` for each feed; ``held``, ``history``, ``send`` and the like
    are those of the first, for strategies on one feed.

    ``history`` (parameter) is a :class:`itb.ledger.trades.TradeHistory`, or one for each symbol; without one the
    strategy writes its own book from the fills it is told. ``venue`` gives step, minima and fees on any broker, stock
    ones included. ``protections`` (parameter) are those of ``[[protections]]``: ask :meth:`entries_allowed` before each
    entry. ``allocation`` (parameter) is that of ``[account]``. ``blocked`` counts the bars at which each of these held
    an entry back. ``waits_for_all_feeds`` says whether ``next()`` waits until every feed has its first bars, as
    backtrader does; a strategy that asks ``is_fresh`` of each coin need not.
    """

    params: Any = (("history", None), ("protections", ()), ("allocation", Allocation()))
    data: Any
    broker: Any
    datetime: Any

    waits_for_all_feeds: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.coins = tuple(Coin(self, data, place) for place, data in enumerate(self.datas))
        self._coin_of = {id(coin.data): coin for coin in self.coins}
        self._closed: list[Trade] = []
        self._gate: Gate | None = None
        self._pardoned = 0
        self.blocked: Counter[str] = Counter()

    def _getminperstatus(self) -> int:
        if self.waits_for_all_feeds or len(self.datas) < 2:
            return int(super()._getminperstatus())
        needs = zip(self._minperiods, self.datas, strict=True)
        self._minperstatus = found = min(need - len(data) for need, data in needs)
        return found

    def venue_of(self, data: Any) -> Venue:
        """Give the terms that orders of a feed are filled on."""
        ask = getattr(self.broker, "venue_of", None)
        offered = getattr(self.broker, "venue", None) if ask is None else ask(data)
        if isinstance(offered, Venue):
            return offered
        fee_bps = self.broker.getcommissioninfo(data).p.commission * 10_000
        return Venue(costs=Costs(taker_fee_bps=fee_bps, maker_fee_bps=fee_bps, slippage_bps=0.0))

    # -- the account

    @property
    def closed(self) -> Sequence[Trade]:
        """Closed trades of all symbols, in the order in which they ended."""
        given: Any = self.p.history
        if given is None:
            return self._closed
        if not isinstance(given, Mapping):
            alone: TradeHistory = given
            return alone.closed
        return sorted((trade for one in given.values() for trade in one.closed), key=lambda trade: trade.exit_time)

    @property
    def equity_share(self) -> float:
        """Fraction of the equity that one symbol's position is sized from."""
        return float(self.p.allocation.share(len(self.coins)))

    def has_room(self) -> bool:
        """Whether one more position may be opened; a position counts until its exit has filled."""
        slots: int = self.p.allocation.slots(len(self.coins))
        return sum(coin.is_engaged for coin in self.coins) < slots

    def free_cash(self) -> float:
        """Quote that nothing lays claim to: neither entries on their way nor the backing of shorts, at the closes."""
        free: float = self.broker.getcash()
        for coin in self.coins:
            size = self.broker.getposition(coin.data).size
            free -= coin.reserved + (2 * -size * coin.data.close[0] if size < 0 else 0.0)
        return free

    def entries_allowed(self, side: int = 1, *, is_reversal: bool = False) -> bool:
        """Whether no protection forbids to enter now, ``side`` 1 for a long and -1 for a short; call it to enter only.

        A function of the closed trades and the time of the bar. ``is_reversal``: the trade that stands is left and the
        other side entered in one go, and what that trade brings is not known yet. A refusal is counted.
        """
        return self.passes_protections(self.coins[0], side, is_reversal=is_reversal)

    def passes_protections(self, coin: Coin, side: int, *, is_reversal: bool) -> bool:
        """Whether no protection forbids to enter a symbol; trades of all symbols count."""
        if not self.p.protections:
            return True
        if self._gate is None:
            self._gate = Gate(self.p.protections, self.bar_ms)
        direction: Side = "long" if side > 0 else "short"
        closed = (
            [trade for trade in self.closed if trade.exit_time >= self._pardoned] if self._pardoned else self.closed
        )
        forbidden_by = self._gate.forbids(closed, coin.now, coin.symbol, direction, is_reversal=is_reversal)
        if forbidden_by:
            self.blocked[forbidden_by] += 1
        return not forbidden_by

    def pardon(self, time_ms: int) -> None:
        """Let trades that ended before ``time_ms`` count for no protection any more."""
        self._pardoned, self._gate = time_ms, None

    def notify_order(self, order: Any) -> None:
        """Book fills; subclasses that override this call it first."""
        self._closed += self._coin_of[id(order.data)].notify_order(order)

    # -- the first feed, which is the only one of most strategies

    @property
    def history(self) -> TradeHistory:
        """Closed trades and the open one."""
        return self.coins[0].history

    @property
    def venue(self) -> Venue:
        """The terms orders are filled on."""
        return self.venue_of(self.data)

    @property
    def now(self) -> int:
        """Open time of the current bar, UTC milliseconds; on several feeds that of the newest."""
        return max(coin.now for coin in self.coins if len(coin.data))

    @property
    def bar_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return int(self.data.bars.timeframe.ms)

    @property
    def held(self) -> float:
        """Signed position in whole steps: dust below a step, or left by rounding, is nothing that can be sold."""
        return self.coins[0].held

    @property
    def is_waiting(self) -> bool:
        """Whether a market order of this strategy is on its way."""
        return any(coin.is_waiting for coin in self.coins)

    def send(self, qty: float, reason: str, **kwargs: Any) -> Any:
        """Send a market order: ``qty`` above 0 buys, below 0 sells."""
        return self.coins[0].send(qty, reason, **kwargs)
