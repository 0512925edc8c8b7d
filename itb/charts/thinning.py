"""Fewer points, same picture: thin long series so that no extreme is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import Bars, FloatArray, IntArray

DETAIL = 40_000  # points kept in the file per line: what zooming in can reveal


def thin_line(values: FloatArray, limit: int = DETAIL) -> IntArray:
    """Positions of at most ``limit`` points that draw like the whole line: lowest and highest of every bucket.

    The first and the last position stay, a stretch of NaN keeps one NaN per bucket (so the line breaks there), and
    positions increase strictly. ``limit`` is at least 4.

    >>> thin_line(np.array([0.0, 9.0, 1.0, 1.0, -5.0, 1.0, 1.0, 0.0]), limit=6).tolist()
    [0, 1, 4, 5, 7]
    """
    n = len(values)
    if n <= limit:
        return np.arange(n, dtype=np.int64)
    buckets = (limit - 2) // 2
    width = -(-n // buckets)
    padded = np.full(width * buckets, np.nan)
    padded[:n] = values
    rows = padded.reshape(buckets, width)
    start = np.arange(buckets) * width
    unknown = np.isnan(rows)
    low = start + np.where(unknown, np.inf, rows).argmin(axis=1)
    high = start + np.where(unknown, -np.inf, rows).argmax(axis=1)
    kept = np.unique(np.concatenate((low, high, [0, n - 1])))
    return kept[kept < n].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Candles:
    """Open, high, low and close of ``bars_each`` bars at a time (the last one may cover fewer)."""

    time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    bars_each: int


def merge_candles(bars: Bars, limit: int = DETAIL) -> Candles:
    """Merge neighbouring bars into at most ``limit`` candles whose highs and lows are the bars' own.

    ``time`` is the open time of the first bar in each candle. A picture only: unlike
    :func:`itb.market.aggregate.aggregate` it counts bars, not minutes.
    """
    each = max(1, -(-len(bars) // limit))
    first = np.arange(0, len(bars), each)
    last = np.minimum(first + each, len(bars)) - 1
    if len(bars) == 0:
        return Candles(bars.open_time, bars.open, bars.high, bars.low, bars.close, 1)
    high, low = np.maximum.reduceat(bars.high, first), np.minimum.reduceat(bars.low, first)
    return Candles(bars.open_time[first], bars.open[first], high, low, bars.close[last], each)
