"""An event loop in which waiting takes no time: a year of bars through the very code that trades, in seconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Moves the loop's time on instead of waiting; nothing but timers may be waited for."""

    def __init__(self, start_s: float) -> None:
        super().__init__()
        self.now = start_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("everything waits for something that is no timer: nothing would ever happen")
            self.now += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a time of its own, seconds from ``start_s`` on; sleeps end at once, in the right order."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._jumping = _JumpingSelector(start_s)
        super().__init__(self._jumping)
        self._clock_resolution = 1e-5  # finer than a float64 of seconds since 1970 would make timers spin

    def time(self) -> float:
        """Give the loop's own time in seconds."""
        return self._jumping.now


def run_virtually(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run to the end on a loop of virtual time, then close the loop.

    >>> loop = VirtualLoop()
    >>> async def wait_a_year() -> float:
    ...     await asyncio.sleep(365 * 86_400)
    ...     return loop.time()
    >>> run_virtually(wait_a_year(), loop)
    31536000.0
    """
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
