"""Expected returns from the scores of all coins, refitted on what came of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from itb.mlmodels.thresholds.policy import NO_TRADE, Numbers, SideRule, Sides, take_sides


@dataclass(frozen=True)
class Recalibrated:
    """Regress returns on scores, then go long above ``buy`` and short below ``sell`` expected return (fractions).

    Scores and returns are of one coin (rows), or of several (rows x coins): then every coin's return is regressed on
    all coins' scores. ``penalty`` 0 is ordinary least squares; above 0 a multi-task elastic net with that ``alpha``
    and ``l1_ratio`` (no scaling: scores should be of the size of returns). Rows with any unknown number are left out;
    with fewer than ``least_rows`` of them nothing is traded.

    >>> scores = np.linspace(-1, 1, 50)
    >>> Recalibrated(buy=0.005, sell=-0.005).fit(scores, scores / 100).sides(np.array([0.4, 0.6, -0.7])).tolist()
    [0, 1, -1]
    """

    buy: float
    sell: float
    penalty: float = 0.0
    l1_ratio: float = 0.5
    least_rows: int = 30

    def __post_init__(self) -> None:
        if not self.buy >= self.sell:
            raise ValueError(f"buy must be at least sell, were {self.buy} and {self.sell}")
        if not 0 <= self.penalty < math.inf:
            raise ValueError(f"penalty must be at least 0, was {self.penalty}")
        if not 0 <= self.l1_ratio <= 1:
            raise ValueError(f"l1_ratio must lie in [0, 1], was {self.l1_ratio}")
        if self.least_rows < 2:
            raise ValueError(f"least_rows must be at least 2, was {self.least_rows}")

    def fit(self, scores: Numbers, returns: Numbers) -> SideRule:
        """Regress on the rows that are known in full."""
        if scores.shape != returns.shape:
            raise ValueError(f"scores and returns must be of one shape, were {scores.shape} and {returns.shape}")
        inputs, targets = _as_table(scores), _as_table(returns)
        known = ~np.isnan(inputs + targets).any(axis=1)
        inputs, targets = inputs[known], targets[known]
        if len(inputs) < max(self.least_rows, inputs.shape[1] + 1):
            return NO_TRADE
        centre, level = inputs.mean(axis=0), targets.mean(axis=0)
        weights = self._weights(inputs - centre, targets - level)
        return LinearRule(weights, level - centre @ weights, self.buy, self.sell)

    def _weights(self, inputs: Numbers, targets: Numbers) -> Numbers:
        if not self.penalty:
            return np.asarray(np.linalg.lstsq(inputs, targets)[0], dtype=np.float64)
        from sklearn.linear_model import MultiTaskElasticNet

        net = MultiTaskElasticNet(alpha=self.penalty, l1_ratio=self.l1_ratio, fit_intercept=False, max_iter=10_000)
        weights: Numbers = net.fit(inputs, targets).coef_.T
        return weights


@dataclass(frozen=True, eq=False)
class LinearRule:
    """Expected returns ``scores @ weights + level`` (weights: coins x coins) between two thresholds."""

    weights: Numbers
    level: Numbers
    buy: float
    sell: float

    never_trades: ClassVar[bool] = False

    def expected(self, scores: Numbers) -> Numbers:
        """Give the expected returns in the shape of the scores; NaN where a score of the row is."""
        expected: Numbers = _as_table(scores) @ self.weights + self.level
        return expected.reshape(scores.shape)

    def sides(self, scores: Numbers) -> Sides:
        """Give the side of each coin in each row."""
        return take_sides(self.expected(scores), self.buy, self.sell)


def _as_table(values: Numbers) -> Numbers:
    return values if values.ndim > 1 else values[:, np.newaxis]
