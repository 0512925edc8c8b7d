"""What came of the bars, from the lowest scores to the highest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.quality import jackknife_margin

if TYPE_CHECKING:
    from itb.market.bars import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ScoreGroups:
    """Bars in groups of their score, lowest first: mean score, mean return, half its 95 % interval, number of bars.

    ``margin`` is NaN where there are too few stretches of time without shared bars to tell.
    """

    score: FloatArray
    value: FloatArray
    margin: FloatArray
    rows: IntArray


def score_groups(scores: FloatArray, values: FloatArray, *, reach: int, groups: int = 10) -> ScoreGroups:
    """Cut bars into ``groups`` groups with equally many bars each, by score, and take the mean of ``values`` in each.

    Both arrays are in time order; rows in which either is NaN are left out. Equal scores stay together, so there may be
    fewer groups. ``reach`` says over how many rows values share their bars: margins leave out one long stretch of time
    after the other. The cuts are those of all bars together, which nobody knew before the end.

    >>> scores = np.arange(1000) % 10 / 10
    >>> found = score_groups(scores, scores**2, reach=1, groups=5)
    >>> found.value.round(3).tolist(), found.rows.tolist()
    ([0.005, 0.065, 0.205, 0.425, 0.725], [200, 200, 200, 200, 200])
    """
    told = np.isfinite(scores) & np.isfinite(values)
    s, v = scores[told], values[told]
    place = _places(s, groups)
    used = np.unique(place)
    mine = [place == one for one in used]
    return ScoreGroups(
        score=np.array([s[one].mean() for one in mine]),
        value=np.array([v[one].mean() for one in mine]),
        margin=np.array([_margin(v, one, reach) for one in mine]),
        rows=np.array([one.sum() for one in mine], dtype=np.int64),
    )


def _places(scores: FloatArray, groups: int) -> IntArray:
    """Give the group of each score; the lowest score of a group is the first that reaches its share of the rows."""
    if not len(scores):
        return np.zeros(0, dtype=np.int64)
    ordered = np.sort(scores)
    cuts = ordered[[len(ordered) * number // groups for number in range(1, groups)]]
    return np.searchsorted(np.unique(cuts), scores, side="right").astype(np.int64)


def _margin(values: FloatArray, mine: BoolArray, reach: int) -> float:
    def mean(kept: BoolArray) -> float:
        left = values[kept & mine]
        return float(left.mean()) if len(left) else float("nan")

    return jackknife_margin(len(values), reach, mean)
