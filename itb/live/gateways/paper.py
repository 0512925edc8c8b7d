"""Paper trading: the same port, the same core, the same journal; the venue is a matching engine in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import TYPE_CHECKING

from itb.live.gateways.bar_perpetuals import SETTLED_LATE_MS, BarPerpetuals
from itb.live.gateways.lasting import bar_after
from itb.live.gateways.matching import MatchingEngine, VenueRefusal
from itb.live.gateways.port import (
    Accepted,
    Balance,
    Cancelled,
    CancelOutcome,
    Capabilities,
    Due,
    KnowsRates,
    NoAnswerError,
    NotOpen,
    NotTaken,
    OrderRequest,
    Rejected,
    Submitted,
    VenueOrder,
    VenueTrade,
)
from itb.market.instrument import Instrument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.live.gateways.bar_venue import BarVenue
    from itb.live.gateways.lasting import LastingVenue
    from itb.live.gateways.matching import PriceBar


@dataclass(frozen=True, slots=True)
class Changed:
    """What a part of a bar did to the account's orders: to be told to the dealer."""

    orders: tuple[VenueOrder, ...]
    trades: tuple[VenueTrade, ...]

    def __bool__(self) -> bool:
        return bool(self.orders or self.trades)


class PaperGateway:
    """A gateway to a :class:`~itb.live.gateways.matching.MatchingEngine`, on a clock that the caller owns.

    Parameters
    ----------
    engine
        The venue.
    clock
        UTC milliseconds now.
    """

    def __init__(self, engine: MatchingEngine, clock: Callable[[], int]) -> None:
        self.engine = engine
        self._clock = clock

    @property
    def capabilities(self) -> Capabilities:
        """Everything: it is our own venue."""
        return Capabilities(pairs=True)

    def _arrive(self) -> MatchingEngine:
        self.engine.now = self._clock()
        return self.engine

    async def server_time(self) -> int:
        """Give the engine's time."""
        return self._clock()

    async def instrument(self, symbol: str) -> Instrument:
        """Give the filters."""
        if symbol not in self.engine.instruments:
            raise NoAnswerError(f"paper: {symbol} is not traded here; known are {', '.join(self.engine.instruments)}")
        return self.engine.instruments[symbol]

    async def submit(self, request: OrderRequest) -> Submitted:
        """Hand an order to the engine."""
        try:
            return Accepted(self._arrive().submit(request))
        except VenueRefusal as refusal:
            return Rejected(str(refusal)) if refusal.is_final else NotTaken(str(refusal))

    async def submit_pair(self, stop: OrderRequest, limit: OrderRequest) -> tuple[Submitted, Submitted]:
        """Hand two orders to the engine, the execution of one ending the other."""
        try:
            first, second = self._arrive().submit_pair(stop, limit)
        except VenueRefusal as refusal:
            why = Rejected(str(refusal)) if refusal.is_final else NotTaken(str(refusal))
            return why, why
        return Accepted(first), Accepted(second)

    async def cancel(self, symbol: str, client_id: str) -> CancelOutcome:
        """Ask the engine to end an order."""
        del symbol
        order = self._arrive().cancel(client_id)
        return NotOpen("-2011 Unknown order sent.") if order is None else Cancelled(order)

    async def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        """Look an order up."""
        del symbol
        return self.engine.find(client_id)

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Give all open orders."""
        return tuple(self.engine.orders[order_id] for order_id in self.engine.open)

    async def orders_since(self, symbol: str, since: int) -> tuple[VenueOrder, ...]:
        """Give orders created at or after a time."""
        recent = takewhile(lambda order: order.created_at >= since, reversed(self.engine.orders.values()))
        return tuple(order for order in recent if order.symbol == symbol)[::-1]

    async def trades_since(self, symbol: str, since: int) -> tuple[VenueTrade, ...]:
        """Give executions at or after a time."""
        recent = takewhile(lambda trade: trade.time >= since, reversed(self.engine.trades))
        return tuple(trade for trade in recent if trade.symbol == symbol)[::-1]

    async def balances(self) -> tuple[Balance, ...]:
        """Give what the account holds."""
        return self.engine.balances()


class BarPaper(PaperGateway):
    """Paper trading on bars: its clock is that of the market, which stands at the end of the last bar that passed.

    ``rates`` knows what was published of what holders of perpetuals pay one another, for a venue of perpetuals.
    ``dues`` are those of bars that passed of which the journal does not know yet.
    """

    engine: BarVenue

    def __init__(self, venue: BarVenue, rates: KnowsRates | None = None) -> None:
        super().__init__(venue, lambda: venue.now)
        self.rates = rates
        self.dues: list[Due] = []
        self._before = bar_after(venue.now, venue.bar_ms) - venue.bar_ms  # the last bar of earlier lives that is over
        self._passed: dict[str, int] = {}

    def open(self, bars: Mapping[str, PriceBar]) -> None:
        """Note what holders owe one another at the opens of these bars, on what was held before their fills.

        As in a backtest, a settlement inside a bar or where bars are missing is charged at the next open.
        """
        venue = self.engine
        if self.rates is None or not isinstance(venue, BarPerpetuals):
            return
        for symbol, bar in bars.items():
            since = self._passed.get(symbol, min(self._before, bar.time - venue.bar_ms)) + SETTLED_LATE_MS
            since, until = max(since, venue.settled_until.get(symbol, 0)), bar.time + SETTLED_LATE_MS
            self._passed[symbol] = bar.time
            qty = venue.position(symbol)
            if qty and until > since:
                self.dues.append(Due(symbol, since, until, bar.time, qty, bar.open))

    def clock(self) -> int:
        """Give the market's time; the dealer's clock, too."""
        return self.engine.now

    def begin_bar(self, bars: Mapping[str, PriceBar]) -> Changed:
        """Let a bar open."""
        return self._pass(self.engine.begin_bar, bars)

    def end_bar(self, bars: Mapping[str, PriceBar]) -> Changed:
        """Let the rest of a bar pass."""
        return self._pass(self.engine.end_bar, bars)

    def _pass(self, part: Callable[[str, PriceBar], None], bars: Mapping[str, PriceBar]) -> Changed:
        def act() -> None:
            for symbol, bar in bars.items():
                part(symbol, bar)

        return _changed_by(self.engine, act)


class QuotePaper(PaperGateway):
    """Paper trading on prices as they are made: an order meets those that come once it has arrived."""

    engine: LastingVenue

    def hear(self, symbol: str, bid: Decimal, ask: Decimal) -> Changed:
        """Let the market trade, or bid and ask."""
        self._arrive()
        return _changed_by(self.engine, lambda: self.engine.quote(symbol, bid, ask))


def _changed_by(engine: LastingVenue, act: Callable[[], object]) -> Changed:
    """Do something at a venue and say what it did to the account's orders."""
    before = len(engine.trades)
    was_open = [engine.orders[order_id] for order_id in engine.open]
    act()
    now = (engine.orders[order.order_id] for order in was_open)
    changed = tuple(order for old, order in zip(was_open, now, strict=True) if order != old)
    trades = tuple(engine.trades[before:])
    engine.let_go()
    return Changed(changed, trades)
