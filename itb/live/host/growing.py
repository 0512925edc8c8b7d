"""Bars that grow at the end: what a live feed and live features look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.errors import BarsError
from itb.live.rest import Rest
from itb.market.bars import Bars, IntArray, utc

if TYPE_CHECKING:
    from itb.live.bars.bar import Bar
    from itb.market.timeframe import Timeframe


class GrowingBars:
    """A history and the bars after it; one thread appends. What was given out never changes.

    Offers what strategies ask :class:`itb.market.bars.Bars` for, position by position: ``open_time`` and the columns.
    With ``keep`` the newest bars stay in memory, so many at least and twice as many at most; positions stay what they
    were, and one that was let go of raises :class:`itb.errors.BarsError`.

    >>> from itb.datafeeds.waves import sinus
    >>> from itb.live.bars.bar import rows_of
    >>> bars = sinus(bars=100)
    >>> growing = GrowingBars(bars.head(60))
    >>> for row in rows_of(bars)[60:]:
    ...     growing.append(row)
    >>> growing.tail(100).equals(bars)
    True
    """

    def __init__(self, history: Bars, keep: int = 0) -> None:
        self.symbol, self.timeframe = history.symbol, history.timeframe
        self.history, self.keep = len(history), keep
        self._names = tuple(history.columns)
        self._first, self._count = 0, len(history)
        self._times: IntArray = np.array(history.open_time, dtype=np.int64)
        self._values = np.array([history.columns[name] for name in self._names], dtype=np.float64)

    def append(self, bar: Bar) -> None:
        """Add a bar, which must come after the last one; raise :class:`itb.errors.BarsError` otherwise."""
        end = self._count - self._first
        if end and bar.open_time <= self._times[end - 1]:
            raise BarsError(f"{self.label}: bar {utc(bar.open_time)} does not come after {utc(self._times[end - 1])}")
        if end == len(self._times):
            end = self._make_room(end)
        self._times[end] = bar.open_time
        self._values[:, end] = bar.values
        self._count += 1

    def _make_room(self, held: int) -> int:
        """Move to a larger place, or leave the oldest bars behind; give where the next bar goes."""
        left = self.keep if 0 < 2 * self.keep <= held else held
        room = max(2 * self.keep, left) - left if self.keep else max(1_024, held // 4)
        self._times = np.concatenate((self._times[held - left :], np.zeros(room, dtype=np.int64)))
        self._values = np.concatenate(
            (self._values[:, held - left :], np.full((len(self._names), room), np.nan)), axis=1
        )
        self._first = self._count - left
        return left

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> Rest[float]:
        return Rest(self._values[self._names.index(name), : self._count - self._first], self._first)

    @property
    def label(self) -> str:
        """Symbol and timeframe, as messages name them."""
        return f"{self.symbol} {self.timeframe}"

    @property
    def open_time(self) -> Rest[int]:
        return Rest(self._times[: self._count - self._first], self._first)

    @property
    def close(self) -> Rest[float]:
        return self["close"]

    def row(self, place: int) -> tuple[float, ...]:
        """Give open, high, low, close and volume of one bar."""
        return tuple(self._values[:5, place - self._first].tolist())

    def tail(self, n: int) -> Bars:
        """Give the last ``n`` bars without copying or checking them again."""
        return self.until(self._count, n)

    def until(self, stop: int, n: int) -> Bars:
        """Give the last ``n`` of the first ``stop`` bars, as far as they are kept."""
        stop -= self._first
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
        """Give the position of the bar that opens at ``open_time``, -1 if there is none, or none any more."""
        times = self.open_time
        found = times.searchsorted(open_time)
        return found if found < len(times) and times[found] == open_time else -1


def grown(bars: Bars | GrowingBars) -> GrowingBars:
    """Give bars that can grow."""
    return bars if isinstance(bars, GrowingBars) else GrowingBars(bars)


def frame_of(markets: dict[str, GrowingBars]) -> Timeframe:
    """Give the timeframe that all have; raise ``ValueError`` if they differ."""
    frames = {one.timeframe for one in markets.values()}
    if len(frames) != 1:
        raise ValueError(f"expected bars of one timeframe, got {', '.join(map(str, sorted(frames))) or 'no bars'}")
    return frames.pop()
