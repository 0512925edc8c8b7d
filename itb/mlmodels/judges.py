"""What a score is worth on rows held back from learning: the measures by which training is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from itb.mlmodels import metrics
from itb.mlmodels.labels.trade_classes import class_places
from itb.mlmodels.lesson import Lesson
from itb.mlmodels.thresholds.class_rule import Probabilities
from itb.mlmodels.thresholds.trade_matrix import Assessment, ClassMatrix, ReturnMatrix

Scores = npt.NDArray[np.float64]

_TINY = 1e-12
_BUY_SHARES = (0.6, 0.7, 0.8, 0.9, 0.95)


class Judge(Protocol):
    """Says what scores are worth; more is better. A frozen value object."""

    def __call__(self, scores: Scores, tail: Lesson, *, is_classifier: bool) -> float:
        """Judge ``scores`` of the rows ``tail``.

        One score per row, or the chances to hold, to buy and to sell; the labels are then 0, 1 and -1.
        """


@dataclass(frozen=True)
class Loss:
    """The negative log loss of probabilities, or the negative mean squared error of estimates.

    >>> tail = Lesson(np.zeros((2, 1), dtype=np.float32), np.array([0.0, 1.0]), np.arange(2), np.arange(2) + 1)
    >>> round(Loss()(np.array([0.2, 0.8]), tail, is_classifier=True), 3)
    -0.223
    """

    def __call__(self, scores: Scores, tail: Lesson, *, is_classifier: bool) -> float:
        """Judge by the loss that the algorithms themselves minimise."""
        if scores.ndim > 1:
            told = scores[np.arange(len(scores)), class_places(tail.labels)]
            return float(np.mean(np.log(np.maximum(told, _TINY))))
        if is_classifier:
            return -metrics.log_loss(tail.labels, scores)
        return -float(np.mean((scores - tail.labels) ** 2))


@dataclass(frozen=True)
class Rank:
    """The AUC of probabilities, or the rank correlation of estimates with the label.

    Of several classes: the mean over the classes of each one's AUC against the others.
    """

    def __call__(self, scores: Scores, tail: Lesson, *, is_classifier: bool) -> float:
        """Judge by order alone."""
        if scores.ndim > 1:
            places = class_places(tail.labels)
            each = [metrics.auc((places == place) + 0.0, scores[:, place]) for place in range(scores.shape[1])]

            told = [value for value in each if np.isfinite(value)]
            return float(np.mean(told)) if told else float("nan")
        if is_classifier:
            return metrics.auc(tail.labels, scores)
        return metrics.pearson(metrics.midranks(tail.labels), metrics.midranks(scores))


@dataclass(frozen=True)
class TradingResult:
    """What the best pair of a buy and a sell threshold would have earned on the held-back closes, after fees.

    Of three classes it is FollowUpward's measure: the best cell of its 7 x 7 matrix. Of one score the thresholds are
    quantiles of the scores: buy among the highest 40, 30, 20, 10, 5 %, sell among the lowest, so that only the order
    of the scores counts. ``fee`` is of one side, a fraction; slippage belongs to it.
    """

    fee: float = 0.0015

    def __call__(self, scores: Scores, tail: Lesson, *, is_classifier: bool) -> float:  # noqa: ARG002 -- what every judge is told
        """Judge by money; ``tail`` must know the closes."""
        if tail.close is None:
            raise ValueError("a trading result needs the closes of the bars, this table has none")
        close, assessment = tail.close[tail.rows], Assessment(fee=self.fee)
        if scores.ndim > 1:
            return ClassMatrix(assessment=assessment)(
                Probabilities(scores[:, 0], scores[:, 1], scores[:, 2]), close
            ).best_gain
        lines = np.quantile(scores, [*_BUY_SHARES, *(1 - share for share in _BUY_SHARES)])
        buys, sells = (tuple(sorted(set(part.tolist()))) for part in np.split(lines, 2))
        return ReturnMatrix(buys, sells, assessment)(scores, close).best_gain


JUDGES: dict[str, type[Judge]] = {"loss": Loss, "rank": Rank, "trading": TradingResult}
