"""The gate: no decision counts until every feed is live, the account is reconciled and the clock is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias

Changed: TypeAlias = Callable[[bool, tuple[str, ...]], None]


class StartGate:
    """Open while nothing holds it shut; any thread may hold and clear.

    ``trading_start`` is the moment when the last of ``waiting_for`` is cleared; later troubles hold the gate again.
    ``changed`` hears of each opening and closing, once, with what holds it.

    >>> gate = StartGate(("BTC/USDT is not live", "reconciliation"))
    >>> gate.clear("BTC/USDT is not live")
    >>> gate.is_open, gate.held_by
    (False, ('reconciliation',))
    >>> gate.clear("reconciliation")
    >>> gate.is_open
    True
    """

    def __init__(self, waiting_for: Iterable[str] = (), changed: Changed | None = None) -> None:
        self._held = dict.fromkeys(waiting_for)
        self._changed = changed
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether decisions count."""
        return not self._held

    @property
    def held_by(self) -> tuple[str, ...]:
        """What holds it shut, oldest first."""
        with self._lock:
            return tuple(self._held)

    def hold(self, why: str) -> None:
        """Shut it for a reason; the same one counts once."""
        self._change(why, is_held=True)

    def clear(self, why: str) -> None:
        """Take a reason back; one that does not hold it is no error."""
        self._change(why, is_held=False)

    def _change(self, why: str, *, is_held: bool) -> None:
        with self._lock:
            before = not self._held
            if is_held:
                self._held[why] = None
            else:
                self._held.pop(why, None)
            now, reasons = not self._held, tuple(self._held)
        if self._changed is not None and now != before:
            self._changed(now, reasons)
