"""Intervals that hold the label as often as promised, whatever the model: split and adaptive conformal prediction.

For scores that estimate a number. The errors of earlier scores say how wide an interval must be: as wide as the
k-th smallest of n errors, k = ceil((n + 1) (1 - alpha)) (Vovk; Lei et al., 2018).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, inf, isfinite, isnan, nan

import numpy as np

from itb.market.bars import FloatArray
from itb.mlmodels.labels.column import LabelColumn

_ROUNDING = 1e-9


def conformal_rank(rows: int, alpha: float) -> int:
    """Give which of ``rows`` errors, counted from 1, is the half width for a share ``alpha`` of misses.

    Above ``rows``: no finite interval is wide enough. Below 1: none is narrow enough.

    >>> conformal_rank(99, 0.1), conformal_rank(100, 0.1), conformal_rank(5, 0.1)
    (90, 91, 6)
    """
    return ceil((rows + 1) * (1 - alpha) - _ROUNDING)


def half_width(ordered_errors: list[float] | FloatArray, alpha: float) -> float:
    """Give the half width: infinite if the errors are too few (or alpha <= 0), minus infinite if alpha >= 1.

    ``ordered_errors`` are absolute errors in ascending order.
    """
    rank = conformal_rank(len(ordered_errors), alpha)
    if rank > len(ordered_errors):
        return inf
    return float(ordered_errors[rank - 1]) if rank >= 1 else -inf


def adapt(alpha: float, target: float, gamma: float, *, missed: bool) -> float:
    """Give the next alpha (Gibbs and Candès, 2021): wider intervals after a miss, narrower after a hit.

    It may leave [0, 1]: at or below 0 the interval is infinite, at or above 1 it is empty.

    >>> round(adapt(0.1, 0.1, 0.05, missed=True), 3)
    0.055
    """
    return alpha + gamma * (target - missed)


@dataclass(frozen=True, eq=False)
class Intervals:
    """For each row the lowest and highest label expected, and the alpha it was made with.

    NaN while too few errors are known or where there is no score; an empty interval has ``low`` above ``high``.
    """

    low: FloatArray
    high: FloatArray
    alpha: FloatArray

    def coverage(self, labels: FloatArray) -> float:
        """Share of rows whose label lies inside; rows without interval or label are left out. NaN if none is left."""
        judged = ~np.isnan(self.low) & ~np.isnan(labels)
        if not judged.any():
            return float("nan")
        inside = (self.low[judged] <= labels[judged]) & (labels[judged] <= self.high[judged])
        return float(inside.mean())


@dataclass(frozen=True)
class Conformal:
    """Intervals around out-of-sample scores that shall miss a share ``alpha`` of the labels.

    Each row's width comes from the newest ``window`` errors whose labels are known at the close of that row
    (0: all of them); there must be ``min_rows``. With ``gamma`` 0 this is split conformal prediction, right as long
    as errors are exchangeable. With ``gamma`` above 0 alpha follows the misses, so that the share of misses comes
    true in the long run even when markets change; each miss or hit counts once its label is known.

    >>> scores = np.zeros(40)
    >>> label = LabelColumn.after(np.arange(40) % 10 / 10, horizon=1)
    >>> found = Conformal(alpha=0.2, min_rows=9).intervals(scores, label)
    >>> found.low[8:12].tolist(), float(found.high[30])
    ([nan, -0.7, -0.8, -0.8], 0.8)
    """

    alpha: float = 0.1
    gamma: float = 0.0
    window: int = 1_000
    min_rows: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, was {self.alpha}")
        if not self.gamma >= 0:
            raise ValueError(f"gamma must be at least 0, was {self.gamma}")
        if self.min_rows < 1:
            raise ValueError(f"min_rows must be at least 1, was {self.min_rows}")
        if self.window and self.window < self.min_rows:
            raise ValueError(f"window must be 0 (all rows) or at least min_rows, {self.min_rows}, was {self.window}")

    def intervals(self, scores: FloatArray, label: LabelColumn) -> Intervals:
        """Give each row's interval from what was known at its close; ``scores`` must be out-of-sample scores."""
        return self.walk(scores, label)[0]

    def walk(self, scores: FloatArray, label: LabelColumn) -> tuple[Intervals, ConformalState]:
        """Give the intervals, and what is known after the last row: there live scoring goes on."""
        if len(scores) != len(label):
            raise ValueError(f"{len(scores)} scores have {len(label)} labels")
        low, high, alphas = np.full((3, len(scores)), np.nan)
        usable = np.flatnonzero((label.known_at >= 0) & np.isfinite(scores))
        arriving = deque(usable[np.argsort(label.known_at[usable], kind="stable")].tolist())
        state = ConformalState(self)
        for row in range(len(scores)):
            while arriving and label.known_at[arriving[0]] <= row:
                told = arriving.popleft()
                state.learn(float(scores[told]), float(label.values[told]), float(low[told]), float(high[told]))
            low[row], high[row], alphas[row] = state.interval(float(scores[row]))
        return Intervals(low, high, alphas), state


class ConformalState:
    """The newest errors and the present alpha: what the next interval is made of.

    Labels must be told in the order in which they become known, those of one bar in the order of their rows; then the
    intervals are those of :meth:`Conformal.intervals`, bit for bit.

    >>> state = ConformalState(Conformal(alpha=0.5, min_rows=1))
    >>> state.learn(score=0.0, label=0.25)
    >>> state.interval(1.0)
    (0.75, 1.25, 0.5)
    """

    def __init__(self, conformal: Conformal) -> None:
        self.conformal = conformal
        self.alpha = conformal.alpha
        self.newest = deque[float]()
        self._ordered: list[float] = []

    def learn(self, score: float, label: float, low: float = nan, high: float = nan) -> None:
        """Take in a score whose label became known; ``low`` and ``high`` are its interval, NaN if it had none."""
        window = self.conformal.window
        if not isnan(low):
            missed = not low <= label <= high
            self.alpha = adapt(self.alpha, self.conformal.alpha, self.conformal.gamma, missed=missed)
        self.newest.append(abs(label - score))
        insort(self._ordered, self.newest[-1])
        if window and len(self.newest) > window:
            del self._ordered[bisect_left(self._ordered, self.newest.popleft())]

    def interval(self, score: float) -> tuple[float, float, float]:
        """Give lowest and highest label to expect, and the alpha they are made with; all NaN while errors are few."""
        if len(self.newest) < self.conformal.min_rows or not isfinite(score):
            return nan, nan, nan
        width = half_width(self._ordered, self.alpha)
        return score - width, score + width, self.alpha


def adapted_alphas(misses: Iterable[bool], target: float, gamma: float) -> list[float]:
    """Give alpha after each of some misses and hits, starting at ``target``.

    >>> [round(alpha, 3) for alpha in adapted_alphas([False, False, True], target=0.1, gamma=0.05)]
    [0.105, 0.11, 0.065]
    """
    alphas, alpha = list[float](), target
    for missed in misses:
        alpha = adapt(alpha, target, gamma, missed=missed)
        alphas.append(alpha)
    return alphas
