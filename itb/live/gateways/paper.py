"""Paper trading: the same port, the same core, the same journal; the venue is a matching engine in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import TYPE_CHECKING

from itb.live.gateways.bar_perpetuals import BarPerpetuals
from itb.live.gateways.matching import MatchingEngine, VenueRefusal
from itb.live.gateways.port import (
    Accepted,
    Balance,
    Cancelled,
    CancelOutcome,
    Capabilities,
    Funding,
    NoAnswerError,
    NotOpen,
    NotTaken,
    OrderRequest,
    Rejected,
    Submitted,
    TellsRates,
    VenueOrder,
    VenueTrade,
)
from itb.market.instrument import Instrument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.live.gateways.bar_venue import BarVenue
    from itb.live.gateways.lasting import LastingVenue
    from itb.live.gateways.matching import PriceBar


_log = logging.getLogger(__name__)
SETTLED_LATE_MS = 1_000  # a settlement so long after a bar's open is one at its open


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


@dataclass(frozen=True, slots=True)
class _Owed:
    """What holders pay one another at a bar's open, whatever the rates turn out to be."""

    symbol: str
    since: int
    until: int
    opened: int
    qty: Decimal
    price: Decimal


class BarPaper(PaperGateway):
    """Paper trading on bars: its clock is that of the market, which stands at the end of the last bar that passed.

    ``rates`` tells what holders of perpetuals pay one another, for a venue of perpetuals.
    """

    engine: BarVenue

    def __init__(self, venue: BarVenue, rates: TellsRates | None = None) -> None:
        super().__init__(venue, lambda: venue.now)
        self.rates = rates
        self._passed: dict[str, int] = {}
        self._owed: list[_Owed] = []

    async def settle(self, bars: Mapping[str, PriceBar]) -> tuple[Funding, ...]:
        """Charge what holders pay one another at the opens of these bars, on what was held before their fills.

        As in a backtest, a settlement inside a bar or where bars are missing is charged at the next open. What nobody
        can tell the rate of yet is owed, and asked for again at each bar of this life. Give the payments.
        """
        venue = self.engine
        if self.rates is None or not isinstance(venue, BarPerpetuals):
            return ()
        for symbol, bar in bars.items():
            since = self._passed.get(symbol, bar.time - venue.bar_ms) + SETTLED_LATE_MS
            self._passed[symbol] = bar.time
            if qty := venue.position(symbol):
                self._owed.append(_Owed(symbol, since, bar.time + SETTLED_LATE_MS, bar.time, qty, bar.open))
        left, paid = [], []
        for owed in self._owed:
            try:
                found = await self.rates.settlements(owed.symbol, owed.since, owed.until)
            except NoAnswerError as error:
                _log.info("%s: funding of %s is not known yet: %s", owed.symbol, owed.opened, error)
                left.append(owed)
                continue
            rate = sum((one.rate for one in found), Decimal(0))
            paid.append(venue.charge(owed.symbol, owed.opened, rate, owed.qty, owed.price))
        self._owed = left
        return tuple(payment for payment in paid if payment is not None)

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
