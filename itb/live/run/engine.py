"""The engine: steps come in, strategies decide in threads of their own, orders move; the rest is on one loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.orders.margin import margin_trouble
from itb.live.run.health import HealthBoard

if TYPE_CHECKING:
    from itb.live.bars.barrier import Step
    from itb.live.bars.gate import StartGate
    from itb.live.bars.pump import BarPump
    from itb.live.host.growing import GrowingBars
    from itb.live.host.host import Decided
    from itb.live.run.account import Account, Lane
    from itb.live.scores.challenging import Challenger
    from itb.live.scores.desk import ScoreDesk

RECONCILED = "journal and venue have not been compared yet"


@dataclass(frozen=True)
class Ticked:
    """A timestamp that every strategy is done with, or that was given up waiting for."""

    step: Step
    seconds: float
    scores: Mapping[str, Mapping[str, float]]
    late: tuple[str, ...] = ()


@dataclass
class Listeners:
    """Who hears what: ``ticked`` after each step; ``before`` anybody decides and ``after`` it they are awaited."""

    before: list[Callable[[Step], Awaitable[None]]] = field(default_factory=list)
    ticked: list[Callable[[Ticked], None]] = field(default_factory=list)
    after: list[Callable[[Step], object]] = field(default_factory=list)


class Engine:
    """Runs accounts on the steps of a pump.

    Parameters
    ----------
    windows
        The bars of each symbol that scores are computed on; the engine appends.
    desks
        The score desk of each symbol.
    accounts
        The main account first, then shadows.
    gate
        Opens when the feeds are live and the main account is reconciled.
    board
        Hears of troubles.
    decide_s
        How long a strategy may be waited for, before the next step goes to the others without it.
    """

    def __init__(
        self,
        windows: Mapping[str, GrowingBars],
        desks: Mapping[str, ScoreDesk],
        accounts: Sequence[Account],
        gate: StartGate,
        board: HealthBoard,
        *,
        decide_s: float = 5.0,
        most_steps: int = 0,
    ) -> None:
        self.windows, self.desks, self.accounts = windows, desks, tuple(accounts)
        self.gate, self.board, self.decide_s, self.most_steps = gate, board, decide_s, most_steps
        self.listeners = Listeners()
        self.challengers: Mapping[tuple[str, str], Challenger] = {}  # by symbol and column
        self.marks: dict[str, float] = {}  # mark prices of perpetuals, where the exchange has told them
        self.steps = 0
        self.is_over = asyncio.Event()
        self._waiting: asyncio.Queue[tuple[Step, float]] = asyncio.Queue()
        self._progress = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def lanes(self) -> list[Lane]:
        """All lanes of all accounts."""
        return [lane for account in self.accounts for lane in account.lanes]

    @property
    def prices(self) -> dict[str, float]:
        """The last close of each symbol."""
        return {symbol: float(bars.close[-1]) for symbol, bars in self.windows.items() if len(bars)}

    def has_all(self, until_ms: int) -> bool:
        """Whether every bar that closes by a time was decided on."""
        is_idle = self._waiting.empty() and not any(lane.is_awaited for lane in self.lanes)
        return is_idle and all(
            int(bars.open_time[-1]) + bars.timeframe.ms >= until_ms for bars in self.windows.values()
        )

    # -- told from outside

    def take(self, step: Step) -> None:
        """Take a step of the pump; on the loop."""
        self._waiting.put_nowait((step, time.perf_counter()))

    def decided(self, lane: Lane, done: Decided) -> None:
        """Take note that a strategy is done with a step; from its own thread."""
        self._loop.call_soon_threadsafe(self._note, lane, done)

    def _note(self, lane: Lane, done: Decided) -> None:
        lane.owed -= 1
        lane.decided += 1
        if not lane.owed:
            lane.is_stuck = False
        if done.was_asked and done.seconds <= self.decide_s:
            self.board.well(_slow(lane))
        self._progress.set()

    # -- running

    async def run(self, pump: BarPump) -> None:
        """Run until cancelled, or until ``most_steps`` are done."""
        for lane in self.lanes:
            lane.host.start()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(account.run(), name=account.name) for account in self.accounts]
            running.append(tasks.create_task(pump.run(), name="bars"))
            running.append(tasks.create_task(self._watch(), name="watch"))
            tasks.create_task(self._work(running), name="steps")

    async def _work(self, others: Sequence[asyncio.Task[None]]) -> None:
        while not (self.most_steps and self.steps >= self.most_steps):
            step, since = await self._waiting.get()
            await self._take(step, since)
        self.is_over.set()
        for task in others:
            task.cancel()

    async def _take(self, step: Step, since: float) -> None:
        for account in self.accounts:
            await account.live(step)
        fresh = {symbol: bar for symbol, bar in step.bars.items() if self._is_new(symbol, bar.open_time)}
        for symbol, bar in fresh.items():
            self.windows[symbol].append(bar)
            if not step.is_late:
                self.gate.clear(not_live(symbol))
        self._judge_gate()
        for before in self.listeners.before:
            await before(step)
        new = replace(step, bars=fresh)
        for lane in self.lanes:
            if not fresh.keys().isdisjoint(lane.symbols) and not lane.host.has_ended:
                lane.host.step(replace(new, is_late=True) if lane.owed else new)
                lane.owed += 1
        late = await self._decisions()
        seconds = time.perf_counter() - since
        for account in self.accounts:
            account.release()
        await self._settle()
        self.steps += 1
        ticked = Ticked(step, seconds, {symbol: self.said(symbol) for symbol in fresh}, late)
        for listener in self.listeners.ticked:
            listener(ticked)
        for after in self.listeners.after:
            done = after(step)
            if asyncio.iscoroutine(done):
                await done

    def _is_new(self, symbol: str, open_time: int) -> bool:
        times = self.windows[symbol].open_time
        return not len(times) or open_time > int(times[-1])

    def said(self, symbol: str) -> dict[str, float]:
        """Give what was said of the newest bar, nothing where nobody asked yet."""
        desk = self.desks.get(symbol)
        if desk is None or desk.scored < len(self.windows[symbol]):
            return {}
        return {name: said[-1] for name, said in desk.said.items()}

    async def _decisions(self) -> tuple[str, ...]:
        """Wait until all strategies are done, for a while; whoever is stuck does not hold the others up again."""
        end = self._loop.time() + self.decide_s
        while any(lane.is_awaited for lane in self.lanes) and self._loop.time() < end:
            self._progress.clear()
            try:
                async with asyncio.timeout_at(end):
                    await self._progress.wait()
            except TimeoutError:
                break
        for lane in self.lanes:
            if lane.is_awaited:
                lane.is_stuck = True
                told = (
                    f"{lane.label} has not come back from its bar in {self.decide_s:g} s; the others go on without it"
                )
                self.board.trouble(_slow(lane), told)
        return tuple(lane.name for lane in self.lanes if lane.is_stuck)

    async def _settle(self) -> None:
        """Let what was decided leave, and value the accounts by the closes."""
        prices = self.prices
        for account in self.accounts:
            if account.paper is not None or account.is_stepped:
                await account.settle()
            if account.is_stepped:
                await account.arrive()
            dealer = account.dealer  # targets that do not rest at the venue are watched here
            reached = [dealer.touch(symbol, Decimal(repr(price))) for symbol, price in prices.items()]
            if any(reached):
                account.hurry()
            if account.lanes:
                dealer.value(account.equity(prices))

    async def _watch(self) -> None:
        """Tell how the accounts are, again and again."""
        while True:
            self._judge_gate()
            for account in self.accounts:
                book, of = account.dealer.book, "" if not account.is_shadow else f"{account.name}: "
                for key, text, halts in (
                    ("journal", account.dealer.broken, True),
                    ("venue", book.degraded, False),
                    ("orders", book.halted, True),
                ):
                    self.board.keep(of + key, of + text if text else None, halts=halts)
                for lane in account.lanes:
                    self._watch_margin(of, lane)
            for lane in self.lanes:
                if lane.host.has_ended:
                    why = lane.host.why_ended or "has ended"
                    told = f"{lane.label}: {why}; its positions stay protected, it opens no new one"
                    has_none = all(one.host.has_ended for one in self.lanes)
                    self.board.trouble(f"{lane.label}: ended", told, halts=has_none)
            await asyncio.sleep(0.2)

    def _watch_margin(self, of: str, lane: Lane) -> None:
        """Tell of shorts that are near the price at which their exchange closes them."""
        for symbol, price in self.prices.items():
            if ":" in symbol and symbol in lane.symbols:
                held, entry = lane.books.sizes[symbol], lane.books.positions[symbol].price
                mark = self.marks.get(symbol, price)
                told = margin_trouble(symbol, held, Decimal(repr(float(entry))), Decimal(repr(mark)))
                self.board.keep(f"{of}{lane.label}: margin of {symbol}", told)

    def _judge_gate(self) -> None:
        if self.accounts and self.accounts[0].dealer.is_reconciled:
            self.gate.clear(RECONCILED)
        else:
            self.gate.hold(RECONCILED)


def not_live(symbol: str) -> str:
    """Word what the gate waits for."""
    return f"{symbol} is not live yet"


def _slow(lane: Lane) -> str:
    """Name the trouble that a lane takes too long, as its guard does: who sees it first tells it."""
    return f"{lane.label}: slow"
