"""Conformal intervals around a score column, and how many labels they held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from itb.mlmodels.conformal import Conformal
from itb.mlmodels.labels.column import label_reach
from itb.mlmodels.quality import jackknife_margin

if TYPE_CHECKING:
    from itb.mlmodels.conformal import Intervals
    from itb.mlmodels.stages.column import ScoreColumn

Method = Literal["split", "adaptive"]


@dataclass(frozen=True)
class ConformalIntervals:
    """Give each score the lowest and highest label to expect, so that a share ``coverage`` of labels lies inside.

    ``"split"`` takes the width from the newest ``window`` errors (0: all) once ``min_rows`` are known; ``"adaptive"``
    also follows the misses by ``rate`` a step (:class:`itb.mlmodels.conformal.Conformal`), which keeps the promise
    when markets change.
    """

    method: Method = "adaptive"
    coverage: float = 0.9
    rate: float = 0.02
    window: int = 1_000
    min_rows: int = 100

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f'method must be "split" or "adaptive", was {self.method!r}')
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, was {self.coverage}")
        if not self.rate > 0:
            raise ValueError(f"rate must be above 0, was {self.rate}")
        self.conformal  # noqa: B018  building it checks window and min_rows

    @property
    def conformal(self) -> Conformal:
        """The same in the words of the value object."""
        gamma = self.rate if self.method == "adaptive" else 0.0
        return Conformal(1 - self.coverage, gamma, self.window, self.min_rows)

    def around(self, column: ScoreColumn) -> Intervals:
        """Give every row's interval, from the labels that were known at its close."""
        if column.is_probability:
            raise ValueError(f"{column.name} is a probability; intervals are for scores that estimate a number")
        return self.conformal.intervals(column.scores, column.label)


@dataclass(frozen=True)
class Coverage:
    """How many labels lay inside their intervals: a ``share`` of ``rows``, give or take ``margin`` (95 %).

    ``width`` is the median width of the intervals that are neither empty nor infinite.
    """

    rows: int
    share: float
    margin: float
    asked: float
    width: float

    @property
    def sentence(self) -> str:
        """The figures in words."""
        if not self.rows:
            return "no interval has met a known label yet"
        margin = "" if np.isnan(self.margin) else f" ± {100 * self.margin:.1f}"
        told = f"intervals held {100 * self.share:.1f}{margin} % of {self.rows:,} labels"
        return f"{told}, {100 * self.asked:g} % were promised; their median width is {self.width:.4g}"


def cover(stage: ConformalIntervals, intervals: Intervals, column: ScoreColumn) -> Coverage:
    """Count what the intervals held; the margin minds that neighbouring labels overlap."""
    judged = ~np.isnan(intervals.low) & (column.label.known_at >= 0)
    labels = column.label.values[judged]
    inside = (intervals.low[judged] <= labels) & (labels <= intervals.high[judged])
    width = (intervals.high - intervals.low)[judged]
    width = width[np.isfinite(width) & (width >= 0)]
    rows = int(judged.sum())
    reach = label_reach(column.label.known_at)
    return Coverage(
        rows=rows,
        share=float(inside.mean()) if rows else float("nan"),
        margin=jackknife_margin(rows, reach, lambda kept: float(inside[kept].mean())),
        asked=stage.coverage,
        width=float(np.median(width)) if len(width) else float("nan"),
    )
