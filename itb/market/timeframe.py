"""Timeframes: the raster that bars lie on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

Ms = TypeVar("Ms", int, "np.ndarray[tuple[int, ...], np.dtype[np.int64]]")

MINUTE_MS = 60_000
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
_MONDAY_MS = 4 * DAY_MS  # the epoch was a Thursday; weeks start on Monday, as on every exchange
_UNITS = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": DAY_MS, "w": 7 * DAY_MS}


@dataclass(frozen=True, order=True)
class Timeframe:
    """Length of a bar, from one minute to one week; all times are milliseconds since 1970-01-01 UTC.

    A bar is labelled by its open time and covers ``[open, open + ms)``. Weeks start on Monday.

    >>> tf = Timeframe.parse("4h")
    >>> tf.ms, str(tf)
    (14400000, '4h')
    >>> tf.floor(5 * 3_600_000)
    14400000
    >>> Timeframe.parse("60m") == Timeframe.parse("1h")
    True
    """

    ms: int

    def __post_init__(self) -> None:
        if self.ms < MINUTE_MS or self.ms % MINUTE_MS or self.ms > 7 * DAY_MS or self._grid() % self.ms:
            raise ValueError(f"timeframe must divide a day or a week into whole minutes, was {self.ms} ms")

    def _grid(self) -> int:
        return DAY_MS if self.ms <= DAY_MS else 7 * DAY_MS

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """Read ``1m``, ``15m``, ``1h``, ``1d``, ``1w``; raise ``ValueError`` for anything else.

        >>> Timeframe.parse("1month")
        Traceback (most recent call last):
        ...
        ValueError: timeframe must be a whole number and m, h, d or w, such as "15m" or "1h", was '1month'
        """
        number, unit = text[:-1], text[-1:]
        if unit not in _UNITS or not number.isdecimal() or int(number) == 0:
            raise ValueError(f'timeframe must be a whole number and m, h, d or w, such as "15m" or "1h", was {text!r}')
        return cls(int(number) * _UNITS[unit])

    def __str__(self) -> str:
        unit = next(u for u in ("w", "d", "h", "m") if self.ms % _UNITS[u] == 0)
        return f"{self.ms // _UNITS[unit]}{unit}"

    @property
    def minutes(self) -> int:
        """Minutes in one bar."""
        return self.ms // MINUTE_MS

    @property
    def bars_per_year(self) -> float:
        """Bars in 365 days; crypto trades around the clock."""
        return YEAR_MS / self.ms

    def _origin(self) -> int:
        return _MONDAY_MS if self.ms > DAY_MS else 0

    def floor(self, time_ms: Ms) -> Ms:
        """Open time of the bar that contains ``time_ms`` (an integer or an int64 array)."""
        return time_ms - (time_ms - self._origin()) % self.ms

    def next_close(self, time_ms: Ms) -> Ms:
        """Close of the bar that contains ``time_ms``: always later than ``time_ms``."""
        return self.floor(time_ms) + self.ms

    def is_multiple_of(self, finer: Timeframe) -> bool:
        """Whether whole bars of ``finer`` make up one bar of this timeframe."""
        return self.ms % finer.ms == 0 and (self._origin() == finer._origin() or DAY_MS % finer.ms == 0)
