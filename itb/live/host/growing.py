"""Bars that grow at the end: what a live feed and live features look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.errors import BarsError
from itb.market.bars import Bars, FloatArray, IntArray, utc

if TYPE_CHECKING:
    from itb.live.bars.bar import Bar
    from itb.market.timeframe import Timeframe


class GrowingBars:
    """A history and the bars after it; one thread appends. What was given out never changes.

    Offers what strategies ask :class:`itb.market.bars.Bars` for, position by position: ``open_time`` and the columns.

    >>> from itb.datafeeds.waves import sinus
    >>> from itb.live.bars.bar import rows_of
    >>> bars = sinus(bars=100)
    >>> growing = GrowingBars(bars.head(60))
    >>> for row in rows_of(bars)[60:]:
    ...     growing.append(row)
    >>> growing.tail(100).equals(bars)
    True
    """

    def __init__(self, history: Bars) -> None:
        self.symbol, self.timeframe = history.symbol, history.timeframe
        self.history = len(history)
        self._names = tuple(history.columns)
        self._count = len(history)
        self._times: IntArray = np.array(history.open_time, dtype=np.int64)
        self._values = np.array([history.columns[name] for name in self._names], dtype=np.float64)

    def append(self, bar: Bar) -> None:
        """Add a bar, which must come after the last one; raise :class:`itb.errors.BarsError` otherwise."""
        if self._count and bar.open_time <= self._times[self._count - 1]:
            raise BarsError(
                f"{self.label}: bar {utc(bar.open_time)} does not come after {utc(self._times[self._count - 1])}"
            )
        if self._count == len(self._times):
            room = max(1_024, self._count // 4)
            self._times = np.concatenate((self._times, np.zeros(room, dtype=np.int64)))
            self._values = np.concatenate((self._values, np.full((len(self._names), room), np.nan)), axis=1)
        self._times[self._count] = bar.open_time
        self._values[:, self._count] = bar.values
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> FloatArray:
        return self._values[self._names.index(name), : self._count]

    @property
    def label(self) -> str:
        """Symbol and timeframe, as messages name them."""
        return f"{self.symbol} {self.timeframe}"

    @property
    def open_time(self) -> IntArray:
        return self._times[: self._count]

    @property
    def close(self) -> FloatArray:
        return self["close"]

    def row(self, place: int) -> tuple[float, ...]:
        """Give open, high, low, close and volume of one bar."""
        return tuple(self._values[:5, place].tolist())

    def tail(self, n: int) -> Bars:
        """Give the last ``n`` bars without copying or checking them again."""
        return self.until(self._count, n)

    def until(self, stop: int, n: int) -> Bars:
        """Give the last ``n`` of the first ``stop`` bars."""
        start = max(0, stop - n)
        part = object.__new__(Bars)
        columns = {name: self._values[place, start:stop] for place, name in enumerate(self._names)}
        fields = {
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "open_time": self._times[start:stop],
            "columns": columns,
        }
        for name, value in fields.items():
            object.__setattr__(part, name, value)
        return part

    def place(self, open_time: int) -> int:
        """Give the position of the bar that opens at ``open_time``, -1 if there is none."""
        if self._count and open_time == self._times[self._count - 1]:
            return self._count - 1
        found = int(np.searchsorted(self.open_time, open_time))
        return found if found < self._count and self._times[found] == open_time else -1


def grown(bars: Bars | GrowingBars) -> GrowingBars:
    """Give bars that can grow."""
    return bars if isinstance(bars, GrowingBars) else GrowingBars(bars)


def frame_of(markets: dict[str, GrowingBars]) -> Timeframe:
    """Give the timeframe that all have; raise ``ValueError`` if they differ."""
    frames = {one.timeframe for one in markets.values()}
    if len(frames) != 1:
        raise ValueError(f"expected bars of one timeframe, got {', '.join(map(str, sorted(frames))) or 'no bars'}")
    return frames.pop()
