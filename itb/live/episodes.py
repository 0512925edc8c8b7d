"""Troubles told once: the first time, and when they are over; in between they are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Episode:
    """A trouble that begins, or (``is_over``) has ended after ``count`` occurrences."""

    key: str
    text: str
    is_over: bool = False
    count: int = 1


class Episodes:
    """Tell each kind of trouble (``key``) once until it is over; any thread may report.

    >>> told = []
    >>> episodes = Episodes(told.append)
    >>> for _ in range(3):
    ...     episodes.trouble("score", "the model is missing")
    >>> episodes.well("score")
    >>> [(one.text, one.is_over, one.count) for one in told]
    [('the model is missing', False, 1), ('the model is missing', True, 3)]
    """

    def __init__(self, tell: Callable[[Episode], None]) -> None:
        self._tell = tell
        self._open: dict[str, Episode] = {}
        self._lock = threading.Lock()

    @property
    def troubles(self) -> tuple[Episode, ...]:
        """What is going on now."""
        with self._lock:
            return tuple(self._open.values())

    def trouble(self, key: str, text: str) -> None:
        """Report a trouble; only the first of an episode is told."""
        with self._lock:
            before = self._open.get(key)
            count = 1 if before is None else before.count + 1
            self._open[key] = Episode(key, text if before is None else before.text, count=count)
            told = self._open[key] if before is None else None
        if told is not None:
            self._tell(told)

    def well(self, key: str) -> None:
        """Report that it works; tells the end of an episode."""
        if key not in self._open:  # the usual case costs no lock
            return
        with self._lock:
            before = self._open.pop(key, None)
        if before is not None:
            self._tell(Episode(key, before.text, is_over=True, count=before.count))


def about(name: str, tell: Callable[[Episode], None]) -> Callable[[Episode], None]:
    """Tell the troubles of one of several under its name: what ails one must not end what ails another.

    >>> about("BTC/USDT", print)(Episode("features", "no such column"))
    Episode(key='BTC/USDT: features', text='BTC/USDT: no such column', is_over=False, count=1)
    """

    def told(episode: Episode) -> None:
        tell(replace(episode, key=f"{name}: {episode.key}", text=f"{name}: {episode.text}"))

    return told
