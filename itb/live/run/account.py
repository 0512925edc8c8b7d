"""One account of a bot: its dealer, the strategies that trade it, and what keeps its orders moving."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from itb.live.door import Door
from itb.live.host.broker_account import Allotment, Subaccount
from itb.live.host.broker_mirror import Past
from itb.live.host.kept_books import KeptBooks
from itb.live.orders.book_state import BookState
from itb.live.orders.machine import KEPT
from itb.live.orders.working import WHOLE, Slicing
from itb.live.paper import collect, live_bar
from itb.live.run.lane_books import LaneBooks
from itb.live.run.tranches import Turn, give_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from itb.engine.venue import Venue
    from itb.live.bars.barrier import Step
    from itb.live.dealer import Dealer
    from itb.live.gateways.paper import BarPaper
    from itb.live.host.broker import LiveBroker
    from itb.live.host.growing import GrowingBars
    from itb.live.host.host import LiveHost
    from itb.live.orders import events as ev

GATHER_S = 0.2  # most that orders wait for the decisions of other strategies, to leave together


@dataclass(eq=False)
class Lane:
    """One strategy at work: its host, and its books as the network's side keeps them; a tranche has its turn.

    It trades one market, or several with one purse: then in the order of ``symbols`` where cash is short.

    ``owed`` steps were handed to it that it is not done with; ``is_stuck``: nobody waits for it any more.
    """

    name: str
    symbols: tuple[str, ...]
    broker: LiveBroker
    books: Subaccount
    turn: Turn | None = None
    host: LiveHost = field(init=False)
    owed: int = 0
    is_stuck: bool = False
    decided: int = 0

    @property
    def label(self) -> str:
        """Strategy and markets, as troubles name them."""
        return f"{self.name} on {', '.join(self.symbols)}"

    @property
    def is_awaited(self) -> bool:
        """Whether it is at a step, and worth waiting for."""
        return self.owed > 0 and not self.is_stuck and not self.host.has_ended

    def worth(self, prices: Mapping[str, float]) -> float | None:
        """Give cash and positions at some prices; ``None`` where one is not known."""
        if any(symbol not in prices for symbol in self.symbols):
            return None
        held = sum(self.books.positions[symbol].size * prices[symbol] for symbol in self.symbols)
        return self.books.cash + held + self.books.fee_account


@dataclass(eq=False)
class Account:
    """A dealer and its lanes. Everything here happens on the network's loop.

    Parameters
    ----------
    name
        ``main``, or that of a shadow.
    dealer
        Where orders go.
    paper
        The venue of an account on paper that fills by bars; ``None`` for all others.
    is_shadow
        Whether it is only watched.
    pulse_s
        Longest pause between two rounds of the dealer.
    is_stepped
        Whether the venue's market stands still until it is answered: everything must have arrived by then.
    """

    name: str
    dealer: Dealer
    paper: BarPaper | None = None
    is_shadow: bool = False
    pulse_s: float = 0.25
    is_stepped: bool = False
    lanes: list[Lane] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._flights: set[asyncio.Task[None]] = set()
        self._next: asyncio.TimerHandle | None = None  # a flight that waits for more to take along
        self._has_sent = False  # since the step began
        self._error: BaseException | None = None

    def door(self, loop: asyncio.AbstractEventLoop) -> Door:
        """Give a way in for a strategy's thread."""
        return Door(self.dealer, loop.call_soon_threadsafe, self.gather)

    def wake(self) -> None:
        """Let the dealer look at once."""
        self._wanted.set()

    def hurry(self) -> None:
        """Let what is wanted leave at once, even while the venue is being asked something.

        Where orders are filled by bars and where the market waits for us, everything has its turn instead.
        """
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self.paper is not None or self.is_stepped:
            self.wake()
            return
        flight = asyncio.ensure_future(self.dealer.hurry())
        self._flights.add(flight)
        flight.add_done_callback(self._landed)

    def gather(self, *, news: bool = False) -> None:
        """Let a step's first orders leave at once; what comes while strategies still decide leaves together after it.

        Each round of orders takes processor time from those who decide. Nothing waits longer than ``GATHER_S``.
        """
        is_first = not news and not self._has_sent
        self._has_sent = self._has_sent or is_first
        if is_first or not any(lane.is_awaited for lane in self.lanes):
            self.hurry()
        elif self._next is None:
            self._next = asyncio.get_running_loop().call_later(GATHER_S, self.hurry)

    def release(self) -> None:
        """Let go what waited for decisions: they have all been taken."""
        if self._next is not None:
            self.hurry()

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled():
            self._error = self._error or flight.exception()
        if self._next is None:
            self.wake()  # for what a hurry leaves to a pulse: filters to be learned, a journal to be mended

    def hear_news(self, **news: Any) -> None:
        """Take what the venue pushes by itself."""
        if not any(news.values()):
            self.dealer.look_now()  # of something that news do not tell, such as a stop that was triggered
        self.dealer.tell(**news)
        self.gather(news=True)

    async def run(self) -> None:
        """Keep the dealer going until cancelled."""
        while self._error is None:
            async with self._turn:
                await self.dealer.pulse()
            self._wanted.clear()
            try:
                async with asyncio.timeout(self.pulse_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue
        raise self._error

    async def settle(self) -> None:
        """Do all that can be done before something new happens."""
        async with self._turn:
            await self.dealer.settle()

    async def arrive(self, most_s: float = 20.0) -> None:
        """Ask the venue until nothing is on its way any more and it was compared with the journal, for a while."""
        end = time.monotonic() + most_s
        async with self._turn:  # a look that is under way knows of what it has not told yet
            pass
        while (self.dealer.book.active or not self.dealer.is_reconciled) and time.monotonic() < end:
            self.dealer.look_now()
            await self.settle()
            if self.dealer.is_quiet and self.dealer.is_reconciled:
                return
            await asyncio.sleep(0.002)

    async def live(self, step: Step) -> None:
        """Let the bars of a step pass where orders are filled by bars; what they did is in the journal then."""
        self._has_sent = False
        if self.is_stepped:
            await self.arrive()
        if self.paper is not None:
            bars = {symbol: bar for symbol, bar in step.bars.items() if symbol in self.paper.engine.instruments}
            async with self._turn:
                await self.dealer.settle()
                await live_bar(self.dealer, self.paper, bars)
        give_turns(self)

    async def collect(self) -> None:
        """Book what has been published of what holders of perpetuals owe one another on paper."""
        if self.paper is not None:
            async with self._turn:
                collect(self.dealer, self.paper)

    def equity(self, prices: Mapping[str, float]) -> Decimal:
        """Give the worth of all lanes at the last prices."""
        worth = sum(lane.worth(prices) or 0.0 for lane in self.lanes)
        return Decimal(repr(float(worth)))

    def follow(self, told: Callable[[Lane, ev.Traded], None]) -> None:
        """Keep the lanes' books by the journal; ``told`` hears of executions from now on."""
        books = LaneBooks(self.lanes, told)
        self.dealer.keep(books)
        books.is_live = True
        book = BookState.of(self.dealer.book)
        for lane in self.lanes:
            lane.broker.begin(Past(book, KeptBooks.of(lane.books)))
            self.dealer.listen(lane.broker.hear)


def allotments(
    names: Mapping[str, float],
    purses: Sequence[tuple[str, ...]],
    cash: Decimal,
    venues: Mapping[str, Venue],
    *,
    pairs: bool,
    max_age_ms: int,
    slicing: Slicing = WHOLE,
) -> dict[tuple[str, tuple[str, ...]], Allotment]:
    """Split an account: each strategy's share of the cash, evenly over the purses: markets that trade one each."""
    return {
        (name, symbols): Allotment(
            name,
            cash * Decimal(repr(share)) / len(purses),
            {symbol: venues[symbol] for symbol in symbols},
            pairs=pairs,
            max_age_ms=max_age_ms,
            keep=KEPT,
            slicing=slicing,
            shares_account=len(names) * len(purses) > 1,
        )
        for name, share in names.items()
        for symbols in purses
    }


def books_of(allotment: Allotment, windows: Mapping[str, GrowingBars]) -> Subaccount:
    """Make the books of a lane for the network's side."""
    return Subaccount(allotment, {symbol: windows[symbol] for symbol in allotment.venues})
