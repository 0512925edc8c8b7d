"""A raster: the times at which any of several symbols has a bar, and which bar of each is the last one then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import Bars, IntArray
    from itb.market.timeframe import Timeframe


@dataclass(frozen=True, eq=False)
class Raster:
    """The steps of several symbols, each a time at which at least one of them has a bar.

    ``rows[k][s]`` is the number of the last bar of symbol ``k`` at step ``s``, -1 before its first; ``steps[k][i]`` is
    the step of its bar ``i``. A symbol that has no bar at a step (a gap, not listed any more) stands where it stood.

    >>> raster = Raster.of([np.array([0, 60, 180]), np.array([60, 120])])
    >>> raster.times.tolist(), [rows.tolist() for rows in raster.rows]
    ([0, 60, 120, 180], [[0, 1, 1, 2], [-1, 0, 1, 1]])
    """

    times: IntArray
    rows: tuple[IntArray, ...]
    steps: tuple[IntArray, ...]

    @classmethod
    def of(cls, times: Sequence[IntArray]) -> Raster:
        """Lay the times of each symbol, strictly increasing, on one raster."""
        union = np.unique(np.concatenate(times)) if times else np.zeros(0, dtype=np.int64)
        rows = tuple(np.searchsorted(own, union, side="right") - 1 for own in times)
        return cls(union, rows, tuple(np.searchsorted(union, own) for own in times))

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, eq=False)
class Clock:
    """Times of bars without the bars: what figures of an account that holds several symbols are reckoned on."""

    timeframe: Timeframe
    open_time: IntArray

    @classmethod
    def of(cls, markets: Sequence[Bars]) -> Clock:
        """Take every time at which one of the markets, all of one timeframe, has a bar."""
        return cls(markets[0].timeframe, Raster.of([bars.open_time for bars in markets]).times)

    @cached_property
    def close_time(self) -> IntArray:
        """When each bar is complete, UTC milliseconds."""
        return self.open_time + self.timeframe.ms

    def __len__(self) -> int:
        return len(self.open_time)

    def slice(self, start: int | None, stop: int | None) -> Clock:
        """Give the times ``start:stop`` by position."""
        return Clock(self.timeframe, self.open_time[start:stop])
