"""Keep the exchange's clock: ask for its time at the start, regularly, and when our own clocks part."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from itb.errors import GatewayError
from itb.live.bars.clock import ClockSample, ExchangeClock

Ask: TypeAlias = Callable[[], Awaitable[int]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnClocks:
    """Our machine's clocks, both in seconds: one that nobody sets, and the one that people and daemons set."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Timekeeper:
    """The exchange's time at any moment, from any thread; :meth:`keep` asks for it again and again.

    Parameters
    ----------
    ask
        Gives the exchange's time, UTC milliseconds.
    every_s
        Seconds between samples.
    jump_s
        How far our wall and monotonic clocks may part between two looks before the exchange is asked at once: somebody
        set the clock, or the machine slept.
    """

    def __init__(
        self, ask: Ask, own: OwnClocks = OwnClocks(), *, every_s: float = 300.0, jump_s: float = 0.25, burst: int = 5
    ) -> None:
        self._ask, self._own = ask, own
        self._every_s, self._jump_s, self._burst = every_s, jump_s, burst
        self.clock = ExchangeClock()
        self.failures = 0
        self._apart = own.wall() - own.monotonic()
        self._is_doubted = False

    def doubt(self) -> None:
        """Ask the exchange at the next look: it refused a request for its time."""
        self._is_doubted = True

    @property
    def is_set(self) -> bool:
        """Whether there is a time to judge bars by."""
        return self.clock.is_set

    def now_ms(self) -> float:
        """Give the exchange's time, best estimate."""
        return self.clock.now_ms(self._own.monotonic())

    def earliest_ms(self) -> float:
        """Give the time that the exchange has reached for sure."""
        return self.clock.earliest_ms(self._own.monotonic())

    def has_jumped(self) -> bool:
        """Whether our two clocks parted since the last look."""
        apart = self._own.wall() - self._own.monotonic()
        jumped = abs(apart - self._apart) > self._jump_s
        self._apart = apart
        return jumped

    async def sample(self, times: int = 1) -> bool:
        """Ask the exchange ``times`` times; give whether any answer came."""
        answered = False
        for _ in range(times):
            sent = self._own.monotonic()
            try:
                server = await self._ask()
            except (GatewayError, OSError, TimeoutError) as error:
                self.failures += 1
                _log.debug("the exchange did not say its time: %s", error)
                continue
            steps = self.clock.steps
            self.clock = self.clock.heard(ClockSample(sent, self._own.monotonic(), server))
            answered, self.failures = True, 0
            if self.clock.steps != steps:
                _log.warning(
                    "the clocks parted by %.0f ms: one was set, or this machine slept", self.clock.last_step_ms
                )
        return answered

    async def keep(self, look_s: float = 1.0) -> None:
        """Ask in a burst, then every ``every_s`` seconds and after a jump; runs until it is cancelled."""
        due = 0.0
        while True:
            now = self._own.monotonic()
            jumped, self._is_doubted = self.has_jumped() or self._is_doubted, False
            if jumped or now >= due or not self.is_set:
                answered = await self.sample(self._burst if jumped or not self.is_set else 1)
                due = self._own.monotonic() + (self._every_s if answered else min(self._every_s, 5.0))
            await asyncio.sleep(look_s)
