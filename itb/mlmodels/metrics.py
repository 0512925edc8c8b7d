"""Numbers that say how good scores are, each by its plain formula; scores and labels hold no NaN here.

Classification: labels are 0 and 1, scores are probabilities. Regression: both are numbers of the same unit.
A figure that the data cannot give (one class only, a constant) is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from itb.market.bars import FloatArray, IntArray

_TINY = float(np.finfo(np.float64).eps)


def midranks(values: FloatArray) -> FloatArray:
    """Give ranks from 1, equal values sharing the mean of theirs.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = _sorted_midranks(values[order])
    return ranks


def _sorted_midranks(ordered: FloatArray) -> FloatArray:
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(ordered)))
    return np.repeat(starts + (sizes + 1) / 2, sizes)


def auc(labels: FloatArray, scores: FloatArray) -> float:
    """Area under the ROC curve: the chance that a random 1 scores above a random 0 (ties count half).

    >>> auc(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    order = np.argsort(scores, kind="stable")
    return sorted_auc(labels[order], scores[order])


def sorted_auc(labels: FloatArray, scores: FloatArray) -> float:
    """Give :func:`auc` of rows that are already in the order of their scores."""
    ones = float(labels.sum())
    zeros = len(labels) - ones
    if not ones or not zeros:
        return float("nan")
    rank_sum = float(_sorted_midranks(scores)[labels > 0].sum())
    return (rank_sum - ones * (ones + 1) / 2) / (ones * zeros)


def average_precision(labels: FloatArray, scores: FloatArray) -> float:
    """Area under the precision-recall curve as a sum of steps, without interpolation."""
    order = np.argsort(-scores, kind="stable")
    hits, ordered = labels[order], scores[order]
    if not hits.any():
        return float("nan")
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    true = np.cumsum(hits)[last]
    recall = true / hits.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * true / (last + 1)))


def precision_recall_f1(labels: FloatArray, scores: FloatArray, threshold: float = 0.5) -> tuple[float, float, float]:
    """Precision, recall and F1 of "score >= threshold"; 0 where there is nothing to divide by.

    >>> precision_recall_f1(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.2]))
    (0.5, 0.5, 0.5)
    """
    said = scores >= threshold
    true = float((labels[said] > 0).sum())
    precision = true / float(said.sum()) if said.any() else 0.0
    recall = true / float(labels.sum()) if labels.any() else 0.0
    f1 = 2 * precision * recall / (precision + recall) if true else 0.0
    return precision, recall, f1


def log_loss(labels: FloatArray, scores: FloatArray) -> float:
    """Mean negative log likelihood, in nats; scores are kept 2.2e-16 away from 0 and 1 (as scikit-learn does)."""
    chance = np.clip(scores, _TINY, 1 - _TINY)
    return float(-np.mean(np.log(np.where(labels > 0, chance, 1 - chance))))


def brier(labels: FloatArray, scores: FloatArray) -> float:
    """Mean squared error of probabilities (Brier, 1950)."""
    return float(np.mean((scores - labels) ** 2))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Rows in bins of their score: mean score, share of ones, count; empty bins are left out.

    ``reliability`` (0 is best), ``resolution`` (more is better) and ``uncertainty`` are Murphy's parts (1973):
    reliability - resolution + uncertainty is the Brier score, exactly if a bin's scores are all equal.
    """

    predicted: FloatArray
    observed: FloatArray
    counts: IntArray

    @property
    def base_rate(self) -> float:
        """Share of ones among all rows."""
        return float(np.average(self.observed, weights=self.counts))

    @property
    def reliability(self) -> float:
        return float(np.average((self.predicted - self.observed) ** 2, weights=self.counts))

    @property
    def resolution(self) -> float:
        return float(np.average((self.observed - self.base_rate) ** 2, weights=self.counts))

    @property
    def uncertainty(self) -> float:
        return self.base_rate * (1 - self.base_rate)


def calibration(labels: FloatArray, scores: FloatArray, bins: int = 10) -> Calibration:
    """Compare probabilities with what came true, in ``bins`` bins of equal width over [0, 1].

    >>> table = calibration(np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.05, 0.1, 0.3, 0.35]), bins=5)
    >>> table.predicted.round(3).tolist(), table.observed.tolist(), table.counts.tolist()
    ([0.075, 0.325], [0.0, 0.5], [2, 2])
    """
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    place: npt.NDArray[np.int64] = np.searchsorted(inner, scores).astype(np.int64)
    counts = np.bincount(place, minlength=bins)
    used = counts > 0
    predicted = np.bincount(place, weights=scores, minlength=bins)[used] / counts[used]
    observed = np.bincount(place, weights=labels, minlength=bins)[used] / counts[used]
    return Calibration(predicted, observed, counts[used].astype(np.int64))


def mean_absolute_error(labels: FloatArray, scores: FloatArray) -> float:
    """Mean absolute error, in the label's unit."""
    return float(np.mean(np.abs(scores - labels)))


def r2(labels: FloatArray, scores: FloatArray) -> float:
    """Share of the labels' variance that is explained, against predicting their mean; can be negative."""
    if np.ptp(labels) == 0:
        return float("nan")
    return 1 - float(np.sum((labels - scores) ** 2)) / float(np.sum((labels - labels.mean()) ** 2))


def pearson(labels: FloatArray, scores: FloatArray) -> float:
    """Linear correlation: the information coefficient."""
    if np.ptp(labels) == 0 or np.ptp(scores) == 0:
        return float("nan")
    a, b = labels - labels.mean(), scores - scores.mean()
    return float(np.sum(a * b)) / float(np.sqrt(np.sum(a**2) * np.sum(b**2)))


def spearman(labels: FloatArray, scores: FloatArray) -> float:
    """Correlation of ranks: the rank information coefficient."""
    return pearson(midranks(labels), midranks(scores))
