"""Thresholds that would have earned most, found by trying many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from itb.mlmodels.thresholds.policy import NO_TRADE, Numbers, SideThresholds, known_rows

Objective = Literal["sum", "mean"]


@dataclass(frozen=True)
class SideCurve:
    """Rows beyond each threshold: their number, and the sum and mean (NaN of none) of their returns after cost."""

    thresholds: Numbers
    rows: Numbers
    sums: Numbers

    @property
    def means(self) -> Numbers:
        """Mean return after cost."""
        none = np.full(len(self.rows), np.nan)
        means: Numbers = np.divide(self.sums, self.rows, out=none, where=self.rows > 0)
        return means


@dataclass(frozen=True)
class Sweep:
    """Try ``points`` thresholds between the outermost scores and take the one that earned most.

    The thresholds lie evenly between the ``tail`` and the 1 - ``tail`` quantile of the scores. For the long side the
    returns less ``cost`` above each are counted, for the short side the negative returns less ``cost`` below each.
    ``objective`` says whether the largest sum or the largest mean wins; the lowest of equals does. A side is traded
    only if it has won something and more than holding the coin did, by the same figure before cost. Thresholds with
    fewer than ``least_rows`` rows beyond them do not compete (one lucky row has the best mean there is).

    >>> scores = np.linspace(-1, 1, 201)
    >>> fitted = Sweep(cost=0.001).fit(scores, np.where(scores > 0.5, 0.01, -0.002))
    >>> 0.5 <= fitted.buy < 0.51
    True
    """

    objective: Objective = "sum"
    cost: float = 0.001
    points: int = 2000
    tail: float = 0.0001
    least_rows: int = 30

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise ValueError(f'objective must be "sum" or "mean", was {self.objective!r}')
        if not 0 <= self.cost < 1:
            raise ValueError(f"cost must be a fraction of at least 0 and below 1, was {self.cost}")
        if self.points < 2:
            raise ValueError(f"points must be at least 2, was {self.points}")
        if not 0 <= self.tail < 0.5:
            raise ValueError(f"tail must be at least 0 and below 0.5, was {self.tail}")
        if self.least_rows < 1:
            raise ValueError(f"least_rows must be at least 1, was {self.least_rows}")

    def curves(self, scores: Numbers, returns: Numbers) -> tuple[SideCurve, SideCurve]:
        """Give the curves of the long and of the short side over all thresholds, for at least one known row."""
        known_scores, known = known_rows(scores, returns)
        order = np.argsort(known_scores, kind="stable")
        ordered, gains = known_scores[order], known[order]
        outer = np.quantile(ordered, [self.tail, 1 - self.tail])
        thresholds = np.linspace(outer[0], outer[1], self.points)
        above = ordered.searchsorted(thresholds, "right")
        below = ordered.searchsorted(thresholds, "left")
        long = np.append(np.cumsum((gains - self.cost)[::-1])[::-1], 0.0)
        short = np.insert(np.cumsum(-gains - self.cost), 0, 0.0)
        return (
            SideCurve(thresholds, (len(ordered) - above).astype(np.float64), long[above]),
            SideCurve(thresholds, below.astype(np.float64), short[below]),
        )

    def fit(self, scores: Numbers, returns: Numbers) -> SideThresholds:
        """Choose both thresholds from the known rows."""
        _, known = known_rows(scores, returns)
        if len(known) < self.least_rows:
            return NO_TRADE
        hold = float(known.sum() if self.objective == "sum" else known.mean())
        long, short = (self._best(curve, max(hold, 0.0)) for curve in self.curves(scores, returns))
        return SideThresholds(long, short)

    def _best(self, curve: SideCurve, bar: float) -> float:
        figures = curve.sums if self.objective == "sum" else curve.means
        figures = np.where(curve.rows >= self.least_rows, figures, -np.inf)
        best = int(figures.argmax())
        return float(curve.thresholds[best]) if figures[best] > bar else np.nan
