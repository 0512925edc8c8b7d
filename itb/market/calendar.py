"""What share of bars is there, cell by cell of the calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import BoolArray, FloatArray, IntArray
    from itb.market.timeframe import Timeframe

DAY_MS = 86_400_000


def cell_days(first_ms: int, last_ms: int, most: int = 400) -> int:
    """Give how many days a cell must have, so that there are at most ``most`` of them.

    >>> cell_days(0, 365 * DAY_MS), cell_days(0, 3650 * DAY_MS)
    (1, 10)
    """
    days = last_ms // DAY_MS - first_ms // DAY_MS + 1
    return max(1, -(-days // most))


def raster(open_time: IntArray, timeframe: Timeframe) -> tuple[IntArray, BoolArray]:
    """Give every open time from the first bar to the last, and whether there is a bar.

    >>> from itb.market.timeframe import Timeframe
    >>> times, is_there = raster(np.array([0, 60_000, 180_000]), Timeframe.parse("1m"))
    >>> is_there.tolist()
    [True, True, False, True]
    """
    times: IntArray = np.arange(open_time[0], open_time[-1] + 1, timeframe.ms, dtype=np.int64)
    is_there: BoolArray = np.zeros(len(times), dtype=np.bool_)
    is_there[(open_time - open_time[0]) // timeframe.ms] = True
    return times, is_there


def calendar_share(
    times: IntArray, is_there: BoolArray, *, first_ms: int, last_ms: int, days: int
) -> tuple[IntArray, FloatArray]:
    """Give the start of each cell of ``days`` days (UTC) and the share of ``times`` in it that are there.

    Cells run from the day of ``first_ms`` to that of ``last_ms``; one in which no time lies is NaN.

    >>> hours = np.arange(36) * 3_600_000
    >>> start, share = calendar_share(hours, hours < 30 * 3_600_000, first_ms=0, last_ms=2 * DAY_MS, days=1)
    >>> share.tolist()
    [1.0, 0.5, nan]
    """
    begin = first_ms // DAY_MS * DAY_MS
    cells = (last_ms - begin) // (days * DAY_MS) + 1
    place = (times - begin) // (days * DAY_MS)
    expected = np.bincount(place, minlength=cells)
    found = np.bincount(place, weights=is_there, minlength=cells)
    share = np.divide(found, expected, out=np.full(cells, np.nan), where=expected > 0)
    return begin + np.arange(cells, dtype=np.int64) * days * DAY_MS, share
