"""What every itb strategy knows: the venue's terms, and its own past trades."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import backtrader as bt

from itb.engine.venue import Venue
from itb.ledger.trades import TradeBook
from itb.market.costs import Costs
from itb.market.fills import Fill
from itb.strategies.protections.locks import Gate

if TYPE_CHECKING:
    from itb.engine.broker import Execution
    from itb.ledger.trades import Side, TradeHistory


class Strategy(bt.Strategy):
    """A backtrader strategy with a trade history and a venue; keep decisions pure functions of them and the bars.

    ``history`` (parameter) is a :class:`itb.ledger.trades.TradeHistory`; without one the strategy writes its own book
    from the fills it is told. ``self.venue`` gives step, minima and fees on any broker, stock ones included.
    ``protections`` (parameter) are those of ``[[protections]]``: ask :meth:`entries_allowed` before each entry.
    ``blocked`` counts the bars at which each of them held an entry back.
    """

    params: Any = (("history", None), ("protections", ()))
    data: Any
    broker: Any

    def __init__(self) -> None:
        super().__init__()
        self._book: TradeBook | None = None
        self._working: set[int] = set()
        self._gate: Gate | None = None
        self.blocked: Counter[str] = Counter()

    @property
    def history(self) -> TradeHistory:
        """Closed trades and the open one."""
        given: TradeHistory | None = self.p.history
        return self._own_book() if given is None else given

    def _own_book(self) -> TradeBook:
        if self._book is None:
            self._book = TradeBook(self.data.bars.symbol, self.venue.dust)
        return self._book

    @property
    def venue(self) -> Venue:
        """The terms orders are filled on."""
        offered = getattr(self.broker, "venue", None)
        if isinstance(offered, Venue):
            return offered
        fee_bps = self.broker.getcommissioninfo(self.data).p.commission * 10_000
        return Venue(costs=Costs(taker_fee_bps=fee_bps, maker_fee_bps=fee_bps, slippage_bps=0.0))

    @property
    def now(self) -> int:
        """Open time of the current bar, UTC milliseconds."""
        return int(self.data.bars.open_time[len(self.data) - 1])

    @property
    def bar_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return int(self.data.bars.timeframe.ms)

    @property
    def held(self) -> float:
        """Signed position in whole steps: dust below a step, or left by rounding, is nothing that can be sold."""
        return 0.0 if self.history.open is None else self.venue.quantise(self.position.size)

    @property
    def is_waiting(self) -> bool:
        """Whether a market order of this strategy is on its way."""
        return bool(self._working)

    def entries_allowed(self, side: int = 1, *, is_reversal: bool = False) -> bool:
        """Whether no protection forbids to enter now, ``side`` 1 for a long and -1 for a short; call it to enter only.

        A function of the closed trades and the time of the bar. ``is_reversal``: the trade that stands is left and the
        other side entered in one go, and what that trade brings is not known yet. A refusal is counted.
        """
        if not self.p.protections:
            return True
        if self._gate is None:
            self._gate = Gate(self.p.protections, self.bar_ms)
        direction: Side = "long" if side > 0 else "short"
        closed, symbol = self.history.closed, self.data.bars.symbol
        forbidden_by = self._gate.forbids(closed, self.now, symbol, direction, is_reversal=is_reversal)
        if forbidden_by:
            self.blocked[forbidden_by] += 1
        return not forbidden_by

    def send(self, qty: float, reason: str, **kwargs: Any) -> Any:
        """Send a market order: ``qty`` above 0 buys, below 0 sells."""
        order = (self.buy if qty > 0 else self.sell)(size=abs(qty), reason=reason, **kwargs)
        if order.alive():
            self._working.add(order.ref)
        return order

    def notify_order(self, order: Any) -> None:
        """Book fills; subclasses that override this call it first."""
        if not order.alive():
            self._working.discard(order.ref)
        for bit in order.executed.iterpending():
            self._own_book().add(self._fill(order, bit))

    def _fill(self, order: Any, bit: Any) -> Fill:
        """Describe an execution: as the venue booked it where it says so, else as backtrader does."""
        booked: Execution | None = getattr(bit, "execution", None)
        qty, price, fee, fee_quote = (
            (bit.size, bit.price, bit.comm, bit.comm)
            if booked is None
            else (booked.qty, booked.price, booked.fee, booked.fee_quote)
        )
        currency = self.venue.costs.fee_currency
        return Fill(
            bar=len(self.data) - 1,
            open_time=self.now,
            order_id=order.ref,
            symbol=self.data.bars.symbol,
            qty=qty,
            price=price,
            fee=fee,
            fee_quote=fee_quote,
            fee_currency="quote" if currency == "base" and qty < 0 else currency,
            reason=order.info.get("reason", "user") if order.info else "user",
        )
