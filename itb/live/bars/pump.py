"""Drive the schedules and the barrier: ask the source when they say so, hand steps on as they get whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.errors import GatewayError
from itb.live.bars.bar import BarEvent

if TYPE_CHECKING:
    from itb.live.bars.barrier import Barrier, Step
    from itb.live.bars.schedule import BarRequest, BarSchedule, Outcome
    from itb.live.bars.source import BarSource

_log = logging.getLogger(__name__)
_UNREACHED = (GatewayError, OSError, TimeoutError)


@dataclass(frozen=True)
class Sinks:
    """Where things go: ``step`` takes timestamps to decide on, ``event`` whatever else is worth telling."""

    step: Callable[[Step], None]
    event: Callable[[BarEvent], None]


@dataclass(frozen=True)
class Patience:
    """Seconds: how long a request may take, the longest sleep, how long the stream may be silent beyond a bar.

    ``speed`` is how fast the market's time runs; 1 but for a market that is played again.
    """

    speed: float = 1.0
    request_s: float = 10.0
    sleep_s: float = 30.0
    silence_s: float = 15.0
    redial_s: float = 0.5
    redial_most_s: float = 30.0


class BarPump:
    """Run the machines on a source; ``clock`` is the exchange's time that is reached for sure, UTC milliseconds.

    One task for each symbol, one for the stream of hints, one for the barrier's deadline; nothing here blocks. The
    stream is only a waker: without it bars arrive ``delay_ms`` after their close.
    """

    def __init__(
        self,
        source: BarSource,
        clock: Callable[[], float],
        schedules: Mapping[str, BarSchedule],
        barrier: Barrier,
        sinks: Sinks,
        patience: Patience = Patience(),
    ) -> None:
        self._source, self._clock, self._schedules = source, clock, dict(schedules)
        self._barrier, self._sinks, self._patience = barrier, sinks, patience
        self._woken = {symbol: asyncio.Event() for symbol in self._schedules}
        self._settled = asyncio.Event()
        self.redials = 0

    async def run(self) -> None:
        """Run until cancelled; raises what is no fault of the network's."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="hints")
            tasks.create_task(self._watch_deadline(), name="deadline")
            for symbol in self._schedules:
                tasks.create_task(self._follow(symbol), name=f"bars of {symbol}")

    async def _follow(self, symbol: str) -> None:
        schedule, woken = self._schedules[symbol], self._woken[symbol]
        while True:
            request = schedule.tick(self._clock())
            if request is not None:
                self._take(symbol, await self._ask(symbol, schedule, request))
                continue
            await self._sleep(woken, schedule.wake_at)
            woken.clear()

    async def _ask(self, symbol: str, schedule: BarSchedule, request: BarRequest) -> Outcome:
        try:
            async with asyncio.timeout(self._patience.request_s):
                rows = await self._source.bars(symbol, schedule.rules.timeframe, request.since, request.limit)
        except _UNREACHED as error:
            return schedule.failed(self._clock(), str(error) or type(error).__name__)
        return schedule.page(rows, self._clock())

    def _take(self, symbol: str, outcome: Outcome) -> None:
        for event in outcome.events:
            self._sinks.event(event)
        if outcome.deliveries:
            self._hand_on(self._barrier.settled(symbol, outcome.deliveries, self._clock()))
            self._settled.set()

    def _hand_on(self, steps: Iterable[Step]) -> None:
        for step in steps:
            behind = [name for name in step.absent if self._schedules[name].next_time <= step.open_time]
            for name in behind:
                self._sinks.event(BarEvent("left_behind", name, step.open_time, step.released_at, "decided without it"))
            self._sinks.step(step)

    async def _watch_deadline(self) -> None:
        while True:
            self._hand_on(self._barrier.tick(self._clock()))
            await self._sleep(self._settled, self._barrier.wake_at)
            self._settled.clear()

    async def _listen(self) -> None:
        """Follow the stream; dial again when it ends, fails or falls silent."""
        pause = self._patience.redial_s
        frame_s = next(iter(self._schedules.values())).rules.timeframe.ms / 1000 / self._patience.speed
        while True:
            hints = aiter(self._source.hints())
            try:
                while True:
                    async with asyncio.timeout(frame_s + self._patience.silence_s):
                        hint = await anext(hints)
                    pause = self._patience.redial_s
                    if hint.symbol in self._schedules:
                        self._schedules[hint.symbol].hint(hint.open_time, self._clock(), hint.bar)
                        self._woken[hint.symbol].set()
            except StopAsyncIteration:
                _log.debug("the stream of bars ended")
            except _UNREACHED as error:
                _log.debug("the stream of bars broke: %s", error)
            self.redials += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._patience.redial_most_s)

    async def _sleep(self, woken: asyncio.Event, until: float | None) -> None:
        """Sleep until an exchange time or an event; never longer than ``sleep_s``, for the clock's offset may move."""
        most = self._patience.sleep_s
        seconds = most if until is None else min(most, max(0.0, (until - self._clock()) / 1000 / self._patience.speed))
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            return
