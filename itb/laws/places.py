"""Two places for the orders of a stepped run: paper, and the practice exchange behind unmodified ccxt."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from itb.errors import GatewayError
from itb.live.dealer import Dealer
from itb.live.gateways.bar_perpetuals import BarPerpetuals
from itb.live.gateways.bar_venue import BarVenue
from itb.live.gateways.ccxt_bars import CcxtBars
from itb.live.gateways.ccxt_gateway import CcxtGateway
from itb.live.gateways.ccxt_line import Account, Line, open_line
from itb.live.gateways.ccxt_venues import traits_of
from itb.live.gateways.paper import BarPaper
from itb.live.lookout import Pace
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.paper import live_bar, resume
from itb.live.practice.exchange import Exchange
from itb.live.practice.server import Server
from itb.live.practice.settlement import Terms
from itb.live.practice.tape import Tape
from itb.live.practice.venue import Venue

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from itb.backtest.run import Backtest
    from itb.live.bars.bar import Bar
    from itb.live.journal.store import Journal
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument

_NEVER_MS = 10 * 365 * 86_400_000  # the dealer looks when there is something to see, not by the clock
_PAGE = 1_000
_MOST_LOOKS = 100


def _terms_of(test: Backtest) -> tuple[Instrument, dict[str, Decimal]]:
    instrument = test.venue.instrument
    assert instrument is not None  # a stepped run asks for one
    return instrument, {instrument.base: Decimal(0), instrument.quote: Decimal(repr(test.cash))}


class RatesOfBars:
    """The funding that a backtest charges at its bars."""

    def __init__(self, bars: Bars, funding: Mapping[int, float]) -> None:
        self._rates = {int(bars.open_time[bar]): Decimal(repr(rate)) for bar, rate in funding.items()}

    def due(self, symbol: str, since: int, until: int) -> Decimal:
        """Give those after ``since``, up to ``until``, in sum."""
        del symbol
        return sum((rate for time, rate in self._rates.items() if since < time <= until), Decimal(0))


class OnPaper:
    """Orders are filled here, by bars; ``warm`` is the first bar that passes in a first life."""

    def __init__(self, test: Backtest, bars: Bars, warm: int) -> None:
        self._test, self._bars, self._warm = test, bars, warm

    def begin(self, loop: asyncio.AbstractEventLoop, journal: Journal, reach: Callable[[str], None]) -> Dealer:
        """Make the venue, which goes on where the journal ends."""
        del loop
        bars, (instrument, balances) = self._bars, _terms_of(self._test)
        kind = BarPerpetuals if instrument.is_perpetual else BarVenue
        venue = kind((instrument,), balances, self._test.venue.costs, bar_ms=bars.timeframe.ms)
        begun = resume(venue, journal)
        self._first = self._warm if begun is None else max(self._warm, int(bars.open_time.searchsorted(begun)))
        if begun is None:
            venue.now = int(bars.open_time[self._first])
        venue.quote(bars.symbol, Decimal(repr(float(bars.close[self._first - 1]))))
        self._gateway = BarPaper(venue, RatesOfBars(bars, self._test.venue.funding))
        limits = Limits(allow_short=instrument.is_perpetual)
        machine = Machine(limits, instruments={bars.symbol: instrument})
        self._dealer = Dealer(
            self._gateway, journal, owner="test", clock=self._gateway.clock, machine=machine, reach=reach
        )
        return self._dealer

    def first(self) -> int:
        """Give the bar to go on with."""
        return self._first

    async def live(self, bar: Bar) -> None:
        """Let a bar pass at the venue."""
        await live_bar(self._dealer, self._gateway, {self._bars.symbol: bar})

    async def arrive(self) -> None:
        """Send what was decided."""
        await self._dealer.settle()

    async def end(self) -> None:
        """Do nothing: nothing is open."""


class OnPractice:
    """Orders go to a practice exchange in this process, by HTTP through unmodified ccxt, in lock-step.

    Market time stands while anything is on its way. The dealer looks at the exchange when the exchange knows of an
    order what the journal does not: bars at which nothing happens cost no request. ``bars_read`` counts the bars that
    were read back through ccxt at the end, ``bars_apart`` those that differ from what the strategy was given.
    """

    def __init__(self, test: Backtest, bars: Bars, warm: int) -> None:
        self._test, self._bars, self._warm = test, bars, warm
        self.requests = self.bars_read = 0
        self.bars_apart: tuple[int, ...] = ()

    def begin(self, loop: asyncio.AbstractEventLoop, journal: Journal, reach: Callable[[str], None]) -> Dealer:
        """Start the exchange and connect."""
        bars, (instrument, balances) = self._bars, _terms_of(self._test)
        start = int(bars.open_time[self._warm])
        venue = Venue(
            [Tape(bars, instrument, start)], balances, Terms.of(self._test.venue.costs), start_ms=start
        )  # fmt: skip
        self._exchange = Exchange(venue, speed="lockstep", stop_ms=int(bars.close_time[-1]))
        self._server = Server(self._exchange)
        url = loop.run_until_complete(self._server.start())
        traits = traits_of("binance", (bars.symbol,))
        self._line: Line = open_line(traits, Account(practice_url=url))
        gateway = CcxtGateway(self._line, self._now)
        told = loop.run_until_complete(gateway.instrument(bars.symbol))
        machine = Machine(Limits(), instruments={bars.symbol: told}, window_ms=gateway.window_ms)
        self._dealer = Dealer(
            gateway, journal, owner="test", clock=self._now, machine=machine, reach=reach,
            pace=Pace(poll_ms=_NEVER_MS, idle_ms=_NEVER_MS),
        )  # fmt: skip
        return self._dealer

    def _now(self) -> int:
        return self._exchange.venue.now

    def first(self) -> int:
        """Give the bar that it begins with: there are no earlier lives."""
        return self._warm

    async def live(self, bar: Bar) -> None:
        """Let the exchange's market come to the bar's close."""
        self._exchange.go_to(bar.open_time + self._bars.timeframe.ms)
        await self._look()

    async def arrive(self) -> None:
        """Send what was decided, and hear what became of it."""
        await self._dealer.settle()
        await self._look()

    async def _look(self) -> None:
        """Ask the exchange until the journal knows what it knows."""
        for _ in range(_MOST_LOOKS):
            if self._agrees():
                return
            self._dealer.look_now()
            await self._dealer.settle()
        raise GatewayError(f"practice: {len(self._dealer.book.active)} orders did not settle: a mistake of itb's own")

    def _agrees(self) -> bool:
        open_there = {order.cid: order.filled for order in self._exchange.venue.open_orders()}
        open_here = {order.client_id: order.filled for order in self._dealer.book.unsettled()}
        return open_there == open_here and self._dealer.is_quiet

    async def end(self) -> None:
        """Read the bars back as a bot would have, hang up, and end the exchange."""
        await self._read_back()
        self.requests = self._line.requests
        await self._line.close()
        await self._server.stop()

    async def _read_back(self) -> None:
        bars = self._bars.between(int(self._bars.open_time[self._warm]), self._now())
        source = CcxtBars(self._line, (bars.symbol,), bars.timeframe)
        columns = [bars.columns[name] for name in source.columns]
        apart = []
        for start in range(0, len(bars), _PAGE):
            told = await source.bars(bars.symbol, bars.timeframe, int(bars.open_time[start]), _PAGE)
            known = {bar.open_time: bar.values for bar in told}
            rows = range(start, min(start + _PAGE, len(bars)))
            self.bars_read += len(rows)
            apart += [
                int(bars.open_time[row])
                for row in rows
                if known.get(int(bars.open_time[row])) != tuple(float(values[row]) for values in columns)
            ]
        self.bars_apart = tuple(apart)
