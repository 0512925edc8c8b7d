"""Seats: strategies compute a few at a time, so that the first decision leaves while the others are still thinking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable


class Seats:
    """Lets ``at_once`` threads compute; whoever takes longer than ``patience_s`` loses its seat, but not its work.

    Threads of one interpreter are not faster side by side: twenty that begin together all end at the end, and the
    thread that sends their orders stands in line with them. One after the other, the first is done after a twentieth of
    the time.

    >>> seats = Seats(at_once=1)
    >>> seats.take("a")
    >>> seats.leave("a")
    """

    def __init__(self, at_once: int = 2, patience_s: float = 0.05, clock: Callable[[], float] = time.monotonic) -> None:
        if at_once < 1 or not patience_s > 0:
            raise ValueError(f"at_once and patience_s must be above 0, were {at_once} and {patience_s}")
        self._at_once, self._patience, self._clock = at_once, patience_s, clock
        self._since: dict[Hashable, float] = {}
        self._freed = threading.Condition()

    def take(self, who: Hashable) -> None:
        """Wait for a seat; never longer than those who are at it may take."""
        with self._freed:
            while len(self._since) >= self._at_once:
                oldest = next(iter(self._since))
                left = self._since[oldest] + self._patience - self._clock()
                if left > 0:
                    self._freed.wait(left)
                else:
                    del self._since[oldest]
            self._since[who] = self._clock()

    def leave(self, who: Hashable) -> None:
        """Let the next one begin; who has lost its seat leaves none."""
        with self._freed:
            if self._since.pop(who, None) is not None:
                self._freed.notify()
