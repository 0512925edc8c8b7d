"""What the rows held back say of a network after each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itb.mlmodels.metrics import pearson
from itb.mlmodels.thresholds.policy import take_sides
from itb.mlmodels.thresholds.walk import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.mlmodels.deep.algorithm import Watch

Table = npt.NDArray[np.float64]

_OUTER = 0.1


@dataclass(frozen=True)
class Epoch:
    """One pass over the rows: its mean loss, the loss, correlation and trading result held back, the step size."""

    number: int
    loss: float
    held_loss: float
    held_ic: float
    held_trading: float
    rate: float

    def worth(self, watch: Watch) -> float:
        """Give what training is stopped by; more is better."""
        return {"loss": -self.held_loss, "ic": self.held_ic, "trading": self.held_trading}[watch]


def kept_epoch(curve: Sequence[Epoch], watch: Watch) -> int:
    """Give the place of the epoch whose state is kept: the best, of equals the earliest; the first if none is judged.

    >>> held = (0.9, 0.7, 0.8)
    >>> kept_epoch([Epoch(number, 1.0, loss, 0.0, 0.0, 0.001) for number, loss in enumerate(held)], "loss")
    1
    """
    worths = [epoch.worth(watch) for epoch in curve]
    return int(np.argmax([worth if np.isfinite(worth) else -np.inf for worth in worths]))


def mean_ic(scores: Table, labels: Table) -> float:
    """Give the mean over coins of the correlation of scores with labels; NaN where no coin has any.

    >>> mean_ic(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 0.0]]), np.array([[1.0, np.nan], [2.0, 1.0], [3.0, 2.0]]))
    0.0
    """
    found = []
    for score, label in zip(scores.T, labels.T, strict=True):
        known = np.isfinite(score + label)
        if known.sum() > 1:
            found.append(pearson(label[known], score[known]))
    told = [one for one in found if np.isfinite(one)]
    return float(np.mean(told)) if told else float("nan")


def mean_trading(scores: Table, labels: Table, cost: float) -> float:
    """Give the mean over coins of what the outer tenths of the scores bring after cost, long above and short below."""
    found = []
    for score, label in zip(scores.T, labels.T, strict=True):
        known = np.isfinite(score + label)
        if known.any():
            low, high = np.quantile(score[known], [_OUTER, 1 - _OUTER])
            found.append(judge(take_sides(score[known], float(high), float(low)), label[known], cost).total)
    return float(np.mean(found)) if found else float("nan")
