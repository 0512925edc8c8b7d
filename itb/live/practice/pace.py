"""How market time goes: a multiple of wall time, as fast as possible, or one bar at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from itb.live.practice.refusals import RefusedError, Words

if TYPE_CHECKING:
    from itb.live.practice.tape import Tape


def parse_speed(text: str) -> float | str:
    """Read a speed: a number (market seconds in a second), ``max`` or ``lockstep``.

    >>> parse_speed("600"), parse_speed("max")
    (600.0, 'max')
    """
    if text in {"max", "lockstep"}:
        return text
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed <= 1e6:
        raise ValueError(f'speed must be a number above 0, "max" or "lockstep", was {text!r}')
    return speed


class LockStep:
    """Holds market time until every bar that has just closed was read and answered for.

    To answer, a client names the symbol and the open time of its newest final bar: it cannot know it without having
    read it. When the last one is answered, time goes on to the next close.
    """

    def __init__(self, tapes: Mapping[str, Tape], start_ms: int, stop_ms: int) -> None:
        self._tapes, self._stop = tapes, stop_ms
        self.now = start_ms
        self._waiting = self._closing()

    @property
    def waiting(self) -> dict[str, int]:
        """Symbols that are not answered yet, with the open time of the bar that closed."""
        return dict(self._waiting)

    def answer(self, symbol: str, open_time: int) -> int:
        """Take an answer and give the time to go to (that may be now); refuse one for another bar with HTTP 409."""
        if self._waiting.get(symbol) != open_time:
            wanted = ", ".join(f"{name} {time}" for name, time in self._waiting.items()) or "nothing"
            raise RefusedError(Words(-1102, f"{symbol} {open_time} is not waited for; waiting for {wanted}", 409))
        del self._waiting[symbol]
        return self.now if self._waiting else self.step()

    def step(self) -> int:
        """Go on to the next close, whoever has answered."""
        closes = [
            int(tape.bars.close_time[row]) for tape in self._tapes.values() if (row := self._row(tape)) is not None
        ]
        self.now = min([*closes, self._stop]) if closes else self._stop
        self._waiting = self._closing() if self.now < self._stop else {}
        return self.now

    def _row(self, tape: Tape) -> int | None:
        row = int(np.searchsorted(tape.bars.close_time, self.now, side="right"))
        return row if row < len(tape.bars) else None

    def _closing(self) -> dict[str, int]:
        found = {}
        for name, tape in self._tapes.items():
            row = int(np.searchsorted(tape.bars.close_time, self.now))
            if row < len(tape.bars) and tape.bars.close_time[row] == self.now:
                found[name] = int(tape.bars.open_time[row])
        return found
