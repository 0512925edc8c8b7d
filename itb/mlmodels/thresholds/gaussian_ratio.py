"""Sides where a score looks more like those before large moves than like all others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from itb.mlmodels.thresholds.policy import Numbers, Sides, known_rows


@dataclass(frozen=True)
class GaussianRatio:
    """Go long where the likelihood ratio of "large rise" to "anything else" exceeds ``ratio``, short likewise.

    Scores of rises (returns above ``move``) and of all other rows are each taken as normally distributed; so are those
    of falls (returns below ``-move``) and of the rows that are none. A side is traded only where the scores of its
    moves lie on the right side of the others on average, and only beyond the others' mean: where one bell is wider the
    plain ratio also exceeds any limit at the opposite end. Fewer than ``least_rows`` moves, or others, trade nothing.

    >>> scores = np.array([0.1, 0.2, 0.3, 0.9, 1.0, 1.1])
    >>> fitted = GaussianRatio(move=0.01, least_rows=3).fit(scores, np.array([0.0, 0.0, 0.0, 0.02, 0.02, 0.02]))
    >>> fitted.sides(np.array([0.2, 0.7, 1.2, np.nan])).tolist()
    [0, 1, 1, 0]
    """

    move: float = 0.005
    ratio: float = 2.0
    least_rows: int = 30

    def __post_init__(self) -> None:
        if not self.move >= 0:
            raise ValueError(f"move must be a fraction of at least 0, was {self.move}")
        if not 0 < self.ratio < math.inf:
            raise ValueError(f"ratio must be above 0, was {self.ratio}")
        if self.least_rows < 2:
            raise ValueError(f"least_rows must be at least 2, was {self.least_rows}")

    def fit(self, scores: Numbers, returns: Numbers) -> RatioRule:
        """Describe the scores of moves and of other rows among the known rows."""
        known_scores, known = known_rows(scores, returns)
        return RatioRule(
            self._bells(known_scores, known > self.move, side=1),
            self._bells(known_scores, known < -self.move, side=-1),
            self.ratio,
        )

    def _bells(
        self, scores: Numbers, moved: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], side: int
    ) -> Bells | None:
        moves, others = scores[moved], scores[~moved]
        if min(len(moves), len(others)) < self.least_rows or not min(moves.std(), others.std()) > 0:
            return None
        bells = Bells(*(float(one) for one in (moves.mean(), moves.std(), others.mean(), others.std())))
        return bells if side * (bells.mean - bells.other_mean) > 0 else None


@dataclass(frozen=True)
class Bells:
    """Mean and standard deviation of the scores of moves, and of all others."""

    mean: float
    deviation: float
    other_mean: float
    other_deviation: float

    def log_ratio(self, scores: Numbers) -> Numbers:
        """Give the logarithm of the likelihood ratio, move to other."""
        moved = -0.5 * ((scores - self.mean) / self.deviation) ** 2 - math.log(self.deviation)
        other = -0.5 * ((scores - self.other_mean) / self.other_deviation) ** 2 - math.log(self.other_deviation)
        return np.asarray(moved - other, dtype=np.float64)


@dataclass(frozen=True)
class RatioRule:
    """A fitted :class:`GaussianRatio`; a side without bells is never taken."""

    long: Bells | None
    short: Bells | None
    ratio: float

    @property
    def never_trades(self) -> bool:
        """Whether neither side can be taken."""
        return self.long is None and self.short is None

    def sides(self, scores: Numbers) -> Sides:
        """Give the side of each score; what is both is neither."""
        return self._taken(self.long, scores, 1) - self._taken(self.short, scores, -1)

    def _taken(self, bells: Bells | None, scores: Numbers, side: int) -> Sides:
        if bells is None:
            return np.zeros(scores.shape, dtype=np.int8)
        is_beyond = side * (scores - bells.other_mean) > 0
        return (is_beyond & (bells.log_ratio(scores) > math.log(self.ratio))).astype(np.int8)
