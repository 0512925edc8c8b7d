"""Bars and scores gathered into longer blocks for a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import FloatArray, IntArray
    from itb.market.timeframe import Timeframe


@dataclass(frozen=True, eq=False)
class ScoreBlocks:
    """Prices and a score by block; ``time`` is when a block begins (UTC milliseconds)."""

    time: IntArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    score: FloatArray

    def tail(self, n: int) -> ScoreBlocks:
        """Give the last ``n`` blocks."""
        return ScoreBlocks(self.time[-n:], self.high[-n:], self.low[-n:], self.close[-n:], self.score[-n:])

    def gathered(self, timeframe: Timeframe) -> ScoreBlocks:
        """Gather into blocks of ``timeframe``, the last of which may be unfinished.

        The score of a block is its largest where all are above 0, its smallest where all are below, else the mean;
        NaN is left aside (intelligent-trading-bot's rule). For people to look at: nothing decides by it.

        >>> from itb.market.timeframe import Timeframe
        >>> ones = np.ones(4)
        >>> quarters = ScoreBlocks(np.arange(4) * 900_000, ones, ones, ones, np.array([0.1, 0.3, 0.2, 0.2]))
        >>> quarters.gathered(Timeframe.parse("30m")).score.tolist()
        [0.3, 0.2]
        """
        groups = timeframe.floor(self.time)
        starts = np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1))
        ends = np.append(starts[1:], len(groups))
        score = np.array([_of_block(self.score[a:b]) for a, b in zip(starts, ends, strict=True)], dtype=np.float64)
        return ScoreBlocks(
            groups[starts],
            np.maximum.reduceat(self.high, starts),
            np.minimum.reduceat(self.low, starts),
            self.close[ends - 1],
            score,
        )


def _of_block(scores: FloatArray) -> float:
    there = scores[~np.isnan(scores)]
    if len(there) == 0:
        return np.nan
    if (there > 0).all():
        return float(there.max())
    return float(there.min() if (there < 0).all() else there.mean())


def moving_average(values: FloatArray, window: int) -> FloatArray:
    """Give the mean of the last ``window`` values that are numbers; NaN where fewer than half of them are.

    >>> moving_average(np.array([1.0, 3.0, np.nan, 5.0]), 2).tolist()
    [1.0, 2.0, 3.0, 5.0]
    """
    there = np.isfinite(values)
    sums = np.cumsum(np.where(there, values, 0.0))
    counts = np.cumsum(there).astype(np.float64)
    sums[window:], counts[window:] = sums[window:] - sums[:-window], counts[window:] - counts[:-window]
    enough = counts >= max(1, window // 2)
    return np.where(enough, sums / np.where(enough, counts, 1.0), np.nan)
