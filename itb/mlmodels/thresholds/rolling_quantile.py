"""Thresholds that follow the latest scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from itb.mlmodels.thresholds.policy import Numbers, Sides, take_sides


@dataclass(frozen=True)
class RollingQuantile:
    """Long above the ``high`` quantile of the last ``window`` scores, short below their ``low`` quantile.

    The present score is one of them; quantiles between two scores are interpolated. Missing scores are left out, and
    nothing is traded before ``window`` scores are known. Returns are not asked.

    >>> rule = RollingQuantile(window=4, high=0.75, low=0.25).fit(np.array([1.0, 2.0, 3.0]), np.full(3, np.nan))
    >>> rule.sides(np.array([4.0, 0.0, 1.5])).tolist()
    [1, -1, 0]
    """

    window: int = 427
    high: float = 0.95
    low: float = 0.05

    def __post_init__(self) -> None:
        if self.window < 2:
            raise ValueError(f"window must be at least 2 scores, was {self.window}")
        if not 0 < self.low < self.high < 1:
            raise ValueError(f"low and high must be quantiles with 0 < low < high < 1, were {self.low}, {self.high}")

    def fit(self, scores: Numbers, returns: Numbers) -> QuantileRule:  # noqa: ARG002  a policy is asked with returns
        """Remember the newest scores, known returns or not."""
        known = scores[~np.isnan(scores)]
        return QuantileRule(self, known[max(0, len(known) - self.window + 1) :])


@dataclass(frozen=True, eq=False)
class QuantileRule:
    """A :class:`RollingQuantile` that has seen ``before``; its sides take scores that follow these directly."""

    policy: RollingQuantile
    before: Numbers

    never_trades: ClassVar[bool] = False

    def sides(self, scores: Numbers) -> Sides:
        """Give the side of each score by the quantiles of the scores up to it."""
        import pandas as pd

        is_known = ~np.isnan(scores)
        seen = np.concatenate([self.before, scores[is_known]])
        rolling = pd.Series(seen).rolling(self.policy.window)
        buy, sell = (rolling.quantile(share).to_numpy() for share in (self.policy.high, self.policy.low))
        sides = np.zeros(len(scores), dtype=np.int8)
        sides[is_known] = take_sides(seen, buy, sell)[len(self.before) :]
        return sides
