"""How a bot is: NORMAL, DEGRADED or HALTED, why, and since when; each change is told once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itb.live.cockpit import Health
    from itb.live.episodes import Episode


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not as it should be, from ``since`` on (UTC milliseconds). ``halts``: no new risk is taken."""

    key: str
    text: str
    since: int
    halts: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """A trouble that began, or (``is_over``) ended at ``time``; ``health`` is how the bot is after it."""

    trouble: Trouble
    is_over: bool
    time: int
    health: Health


def _tell_nobody(_change: Change) -> None:
    return


class HealthBoard:
    """Gather troubles from everywhere; any thread may report.

    ``tell`` hears of each trouble twice, when it begins and when it is over, in the order in which that happened, and
    outside any lock; what it raises is not caught. A trouble whose text changes is the same trouble; one that begins to
    halt, or no longer does, is told anew.

    >>> told = []
    >>> board = HealthBoard(lambda: 5, told.append)
    >>> board.trouble("venue", "maintenance")
    >>> board.trouble("venue", "maintenance, still")
    >>> board.trouble("orders", "lost 6 % today", halts=True)
    >>> board.health, board.reasons
    ('HALTED', ('lost 6 % today', 'maintenance, still'))
    >>> board.well("orders"), board.well("venue"), board.health
    (None, None, 'NORMAL')
    >>> [(one.trouble.key, one.is_over, one.health) for one in told]
    [('venue', False, 'DEGRADED'), ('orders', False, 'HALTED'), ('orders', True, 'DEGRADED'), ('venue', True, 'NORMAL')]
    """

    def __init__(self, clock: Callable[[], float], tell: Callable[[Change], None] = _tell_nobody) -> None:
        self._clock, self._tell = clock, tell
        self._troubles: dict[str, Trouble] = {}
        self._lock = threading.Lock()

    def trouble(self, key: str, text: str, *, halts: bool = False) -> None:
        """Report a trouble, or that it goes on."""
        with self._lock:
            before = self._troubles.get(key)
            now = int(self._clock())
            if before is None or before.halts != halts:
                trouble, is_news = Trouble(key, text, now, halts), True
            else:
                trouble, is_news = replace(before, text=text, count=before.count + 1), False
            self._troubles[key] = trouble
            health = self._health()
        if is_news:
            self._tell(Change(trouble, is_over=False, time=now, health=health))

    def well(self, key: str) -> None:
        """Report that it works (again)."""
        if key not in self._troubles:  # the usual case costs no lock
            return
        with self._lock:
            before = self._troubles.pop(key, None)
            health = self._health()
        if before is not None:
            self._tell(Change(before, is_over=True, time=int(self._clock()), health=health))

    def keep(self, key: str, text: str | None, *, halts: bool = False) -> None:
        """Report a trouble where there is a text, and that all is well where there is none."""
        if text:
            self.trouble(key, text, halts=halts)
        else:
            self.well(key)

    def hear(self, episode: Episode) -> None:
        """Take what :class:`itb.live.episodes.Episodes` tells."""
        self.keep(episode.key, None if episode.is_over else episode.text)

    @property
    def health(self) -> Health:
        """How the bot is."""
        with self._lock:
            return self._health()

    def _health(self) -> Health:
        return health_of(self._troubles.values())

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong now: what halts first, then by age."""
        with self._lock:
            return tuple(sorted(self._troubles.values(), key=lambda one: (not one.halts, one.since)))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not NORMAL, the worst first."""
        return tuple(trouble.text for trouble in self.troubles)


def health_of(troubles: Iterable[Trouble]) -> Health:
    """Judge by what is wrong.

    >>> health_of([]), health_of([Trouble("venue", "503", 0)]), health_of([Trouble("orders", "paused", 0, halts=True)])
    ('NORMAL', 'DEGRADED', 'HALTED')
    """
    kinds = {trouble.halts for trouble in troubles}
    return "HALTED" if True in kinds else "DEGRADED" if kinds else "NORMAL"
