"""Thresholds where the scores of large gains and of large losses lie, if they lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from itb.mlmodels.thresholds.policy import NO_TRADE, Numbers, SideThresholds, known_rows


@dataclass(frozen=True)
class MeanGap:
    """Buy above the mean score of rises, sell below the mean score of falls, if a t-test tells the two apart.

    Rises are returns above ``move``, falls those below ``-move``. Welch's two-sided test (Student's with
    ``equal_variance``) must give less than ``p_value``, and rises must score higher on average; otherwise nothing is
    traded. Neighbouring returns that overlap make the test more certain than it should be.

    >>> MeanGap().fit(np.array([0.2, 0.4, -0.1, -0.3]), np.array([0.02, 0.01, -0.01, -0.02])).sell
    -0.2
    """

    move: float = 0.005
    p_value: float = 0.2
    equal_variance: bool = False

    def __post_init__(self) -> None:
        if not self.move >= 0:
            raise ValueError(f"move must be a fraction of at least 0, was {self.move}")
        if not 0 < self.p_value <= 1:
            raise ValueError(f"p_value must be above 0 and at most 1, was {self.p_value}")

    def fit(self, scores: Numbers, returns: Numbers) -> SideThresholds:
        """Compare the scores of rises and falls among the known rows."""
        known_scores, known = known_rows(scores, returns)
        rises, falls = known_scores[known > self.move], known_scores[known < -self.move]
        if min(len(rises), len(falls)) < 2:
            return NO_TRADE
        buy, sell = float(rises.mean()), float(falls.mean())
        is_apart = buy > sell and two_sided_p(rises, falls, equal_variance=self.equal_variance) < self.p_value
        return SideThresholds(buy, sell) if is_apart else NO_TRADE


def two_sided_p(one: Numbers, other: Numbers, *, equal_variance: bool) -> float:
    """Give the chance of means at least as far apart under equal means: Student's t-test, or Welch's.

    Both samples hold two values or more; without any spread different means give 0 and equal ones 1.
    """
    from scipy.special import stdtr

    sizes = np.array([len(one), len(other)], dtype=np.float64)
    variances = np.array([one.var(ddof=1), other.var(ddof=1)])
    freedom = sizes.sum() - 2
    if equal_variance:
        variances[:] = ((sizes - 1) * variances).sum() / freedom
    parts = variances / sizes
    gap = abs(float(one.mean() - other.mean()))
    if not parts.sum() > 0:
        return float(gap == 0)
    if not equal_variance:
        freedom = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
    return float(2 * stdtr(freedom, -gap / np.sqrt(parts.sum())))
