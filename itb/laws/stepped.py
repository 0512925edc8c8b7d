"""A strategy live in one thread: journal, dealer, venue and host, stepped bar by bar over bars that are known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from itb.backtest.account import account, fills
from itb.backtest.result import BacktestResult, OrderRecord
from itb.errors import StrategyError
from itb.live.bars.bar import Bar, rows_of
from itb.live.bars.barrier import Step
from itb.live.door import Door
from itb.live.gateways.port import TakesPairs
from itb.live.host.broker import LiveBroker
from itb.live.host.broker_account import Allotment
from itb.live.host.feed import Item, Stop
from itb.live.host.growing import GrowingBars
from itb.live.host.host import Hosting, LiveHost, LiveMarket
from itb.live.journal.store import Journal, pass_by
from itb.live.orders.working import WHOLE, Slicing

if TYPE_CHECKING:
    from itb.backtest.run import Backtest
    from itb.ledger.trades import Trade
    from itb.live.dealer import Dealer
    from itb.live.episodes import Episode
    from itb.live.orders.book import Book
    from itb.market.bars import Bars


class Place(Protocol):
    """Where the orders of a stepped run go. All of it is called in the run's own thread."""

    def begin(self, loop: asyncio.AbstractEventLoop, journal: Journal, reach: Callable[[str], None]) -> Dealer:
        """Give the dealer of a (new) life with this journal."""

    def first(self) -> int:
        """Give the place of the first bar that passes; what was before is history."""

    async def live(self, bar: Bar) -> None:
        """Let a bar pass; what it did is in the journal then."""

    async def arrive(self) -> None:
        """Let everything that was decided arrive."""

    async def end(self) -> None:
        """Let go of whatever is open."""


class _Steps:
    """An inbox that lets the market live on whenever the loop asks for the next item."""

    def __init__(self, run: SteppedRun, steps: Iterable[Step]) -> None:
        self._run, self._steps = run, iter(steps)

    def put(self, item: Item) -> None:
        raise AssertionError(f"nobody puts {item} here")

    def take(self) -> Item:
        step = next(self._steps, None)
        self._run.live(step)
        return Stop() if step is None else step


class SteppedRun:
    """One life of a bot over known bars; the same journal makes another one go on.

    Parameters
    ----------
    journal
        File or URL; ``sqlite://`` is in memory.
    test
        The strategy, its settings, its cash and its venue, which must have an instrument.
    bars
        History and present.
    scores
        What the strategy reads on them.
    place
        Where orders go.
    warm
        The first bar whose decisions count.
    history
        How many bars before the first step the strategy gets, all of them if 0.
    keep
        How many bars, orders and trades stay in memory at least, as in a running bot; all of them if 0.
    slicing
        How large orders are cut.
    reach
        Called with the name of each fail point.
    passed
        Called with each bar as soon as it is final, before the strategy gets it.
    """

    def __init__(
        self,
        journal: Path | str,
        test: Backtest,
        bars: Bars,
        scores: Mapping[str, Any],
        place: Place,
        *,
        warm: int,
        history: int = 0,
        keep: int = 0,
        slicing: Slicing = WHOLE,
        reach: Callable[[str], None] = pass_by,
        passed: Callable[[Bar], None] = lambda _bar: None,
    ) -> None:
        if test.venue.instrument is None:
            raise ValueError(f"{bars.symbol}: the venue must have an instrument")
        self.test, self.bars, self.warm, self.place = test, bars, warm, place
        self._passed = passed
        self.loop = asyncio.new_event_loop()
        self.journal = Journal(journal, reach=reach)
        self.dealer = place.begin(self.loop, self.journal, reach)
        pairs = isinstance(self.dealer.gateway, TakesPairs)
        cash = Decimal(repr(test.cash))
        self.broker = LiveBroker(
            Allotment(
                "main",
                cash,
                {bars.symbol: test.venue},
                pairs=pairs,
                worth_of=lambda _currency: 1.0,
                keep=keep,
                slicing=slicing,
            ),
            Door(self.dealer),
        )
        self.troubles: list[Episode] = []
        first = place.first()
        market = LiveMarket(GrowingBars(bars.slice(max(0, first - history) if history else 0, first), keep), scores)
        hosting = Hosting(trouble=self.troubles.append)
        self.host = LiveHost(test.strategy, test.settings, self.broker, {bars.symbol: market}, hosting)
        steps = (Step(row.open_time, {bars.symbol: row}) for row in rows_of(bars)[first:])
        self.host.inbox = _Steps(self, steps)  # type: ignore[assignment]  # it offers what the host uses
        self.dealer.follow(self.broker.hear)

    @property
    def trades(self) -> Sequence[Trade]:
        """Closed trades of all lives."""
        return self.broker.mirror.account.histories[self.bars.symbol].closed

    @property
    def book(self) -> Book:
        """What the journal says."""
        return self.dealer.book

    def live(self, step: Step | None) -> None:
        """Let what was decided leave, and the next bar pass."""
        self.loop.run_until_complete(self._live(step))
        if step is not None:
            self._passed(step.bars[self.bars.symbol])

    async def _live(self, step: Step | None) -> None:
        await self.place.arrive()
        if step is not None:
            await self.place.live(step.bars[self.bars.symbol])

    def run(self) -> BacktestResult:
        """Run to the end of the steps and give what a backtest gives.

        Raises :class:`itb.errors.StrategyError` when the strategy fails, blocks or floods: live it would be contained.
        """
        try:
            self.host.run()
        finally:
            self.close()
        if self.troubles:
            raise StrategyError(f"{self.test.strategy.__name__}: {self.troubles[0].text}")
        bars, broker, venue = self.bars, self.broker, self.test.venue
        books = account(bars, self.test.cash, broker.log)
        return BacktestResult(
            bars=bars, start=self.warm, starting_cash=self.test.cash, costs=venue.costs, dust=venue.dust,
            cash=books.cash, position=books.position, equity=books.equity,
            fills=tuple(fills(bars, broker.log, venue.costs.fee_currency)),
            market_prices=np.array([one.market_price for one in broker.log]),
            orders=tuple(OrderRecord.of(order, broker) for order in broker.sent),  # type: ignore[arg-type]  # it numbers
            rejected=tuple(broker.rejected), ambiguous=(), stepped="live", visited=len(bars), why_not_sparse="",
            blocked=dict(getattr(self.host.strategy, "blocked", {})),
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the place, the loop and the journal."""
        if not self.loop.is_closed():
            self.loop.run_until_complete(self.place.end())
            self.loop.close()
        self.journal.close()
