"""Scores of a walk-forward as a source that a data feed can carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from itb.market.bars import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class WalkForwardScores:
    """Out-of-sample scores by the bar's open time; NaN where no model spoke. ``low`` and ``high``: declared range.

    Implements :class:`itb.indicators.score.ScoreSource`.

    >>> source = WalkForwardScores("up_lightgbm", 0.0, 1.0, np.array([0, 60_000]), np.array([np.nan, 0.7]))
    >>> source.at(60_000), source.at(90_000)
    (0.7, nan)
    >>> source.aligned(np.array([60_000, 120_000])).batch().tolist()
    [0.7, nan]
    """

    column: str
    low: float
    high: float
    open_time: IntArray
    scores: FloatArray

    def __post_init__(self) -> None:
        if len(self.open_time) != len(self.scores):
            raise ValueError(f"{len(self.open_time)} open times have {len(self.scores)} scores")
        told = self.scores[~np.isnan(self.scores)]
        if len(told) and not self.low <= told.min() <= told.max() <= self.high:
            raise ValueError(f"scores run from {told.min()} to {told.max()}, declared are {self.low} to {self.high}")

    def batch(self) -> FloatArray:
        """Give the score of every bar."""
        return self.scores

    def at(self, open_time: int) -> float:
        """Give the score of the bar that opens then; NaN if there is none."""
        row = int(np.searchsorted(self.open_time, open_time))
        found = row < len(self.open_time) and self.open_time[row] == open_time
        return float(self.scores[row]) if found else float("nan")

    def aligned(self, open_time: IntArray) -> WalkForwardScores:
        """Give the same scores for other bars, such as those of a feed that starts later."""
        rows = np.searchsorted(self.open_time, open_time)
        found = rows < len(self.open_time)
        found[found] = self.open_time[rows[found]] == open_time[found]
        scores = np.full(len(open_time), np.nan)
        scores[found] = self.scores[rows[found]]
        return WalkForwardScores(self.column, self.low, self.high, open_time, scores)
