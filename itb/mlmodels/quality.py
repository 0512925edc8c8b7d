"""How good a model's scores were, out of sample, and what that means in one honest sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itb.market.bars import FloatArray
from itb.mlmodels import metrics
from itb.mlmodels.labels.column import typical_reach

if TYPE_CHECKING:
    from itb.mlmodels.result import WalkForwardResult

Marks = npt.NDArray[np.bool_]

NAN = float("nan")
_GROUPS, _FEWEST_GROUPS = 20, 5


@dataclass(frozen=True)
class ClassifierQuality:
    """Grades of probabilities.

    ``margin`` is half the 95 % interval of the AUC; ``base_*`` is what one earns by always saying the share of ones
    among the graded rows (known only in hindsight, so it is hard to beat).
    """

    rows: int
    base_rate: float = NAN
    auc: float = NAN
    margin: float = NAN
    average_precision: float = NAN
    precision: float = NAN
    recall: float = NAN
    f1: float = NAN
    log_loss: float = NAN
    base_log_loss: float = NAN
    brier: float = NAN
    base_brier: float = NAN

    @property
    def skill(self) -> float:
        """Share of the base rate's log loss that is saved; below 0 the scores do harm as probabilities."""
        return 1 - self.log_loss / self.base_log_loss if self.base_log_loss > 0 else NAN

    @property
    def headline(self) -> tuple[str, float, float]:
        """Name of the leading figure, its value, and what guessing earns."""
        return "AUC", self.auc, 0.5

    @property
    def sentence(self) -> str:
        """What the figures mean, in words."""
        if not self.rows:
            return "No score has met a known label yet: nothing can be said."
        if np.isnan(self.auc):
            return f"All {self.rows:,} graded labels are the same: nothing can be said."
        told = f"AUC {self.auc:.3f}{_plus_minus(self.margin)} on {self.rows:,} rows: "
        told += _judgement(self.auc - 0.5, self.margin, (0.03, 0.08, 0.2))
        word = "better" if self.skill >= 0 else "worse"
        told += (
            f". As probabilities the scores are {abs(self.skill):.1%} {word} than always saying {self.base_rate:.3f}"
        )
        return f"{told} (log loss {self.log_loss:.4f} against {self.base_log_loss:.4f})."


@dataclass(frozen=True)
class RegressionQuality:
    """Grades of estimates.

    ``margin`` is half the 95 % interval of ``ic`` (Pearson correlation with the label), ``rank_ic`` is Spearman's;
    ``base_mae`` is what one earns by always saying the median label.
    """

    rows: int
    ic: float = NAN
    margin: float = NAN
    rank_ic: float = NAN
    rank_margin: float = NAN
    r2: float = NAN
    mae: float = NAN
    base_mae: float = NAN

    @property
    def skill(self) -> float:
        """Share of the labels' variance that is explained (R²); below 0 the mean would have done better."""
        return self.r2

    @property
    def headline(self) -> tuple[str, float, float]:
        """Name of the leading figure, its value, and what guessing earns."""
        return "IC", self.ic, 0.0

    @property
    def sentence(self) -> str:
        """What the figures mean, in words."""
        if not self.rows:
            return "No score has met a known label yet: nothing can be said."
        if np.isnan(self.ic):
            return f"All {self.rows:,} graded scores or labels are the same: nothing can be said."
        told = f"IC {self.ic:+.3f}{_plus_minus(self.margin)} on {self.rows:,} rows: "
        told += _judgement(self.ic, self.margin, (0.02, 0.06, 0.2))
        word = "better" if self.r2 >= 0 else "worse"
        told += f". As estimates the scores are {abs(self.r2):.1%} {word} than always saying the mean"
        return f"{told} (R² {self.r2:+.4f})."


Quality = ClassifierQuality | RegressionQuality


@dataclass(frozen=True, eq=False)
class ModelQuality:
    """Grades of a walk-forward: ``pooled`` over all scored rows, ``folds`` one by one, calibration of probabilities."""

    column: str
    pooled: Quality
    folds: tuple[Quality, ...]
    calibration: metrics.Calibration | None


def grade_result(result: WalkForwardResult) -> ModelQuality:
    """Grade the out-of-sample scores of a walk-forward against its labels, pooled and refit by refit."""
    labels, scores = result.table.label.values, result.scores
    horizon = typical_reach(result.table.label.known_at)
    parts = [slice(fold.block.test_start, fold.block.test_stop) for fold in result.folds]
    graded = np.isfinite(labels) & np.isfinite(scores)
    curve = metrics.calibration(labels[graded], scores[graded]) if result.is_classifier and graded.any() else None
    return ModelQuality(
        column=result.column,
        pooled=grade(labels, scores, is_classifier=result.is_classifier, horizon=horizon),
        folds=tuple(
            grade(labels[part], scores[part], is_classifier=result.is_classifier, horizon=horizon) for part in parts
        ),
        calibration=curve,
    )


def grade(labels: FloatArray, scores: FloatArray, *, is_classifier: bool, horizon: int) -> Quality:
    """Grade scores against labels in time order; rows in which either is NaN are left out.

    ``horizon`` says over how many rows labels overlap: margins come from leaving out one long stretch of time after
    the other (delete-a-group jackknife), since a formula for independent rows would make them far too narrow.

    >>> labels = np.arange(400) % 2.0
    >>> grade(labels, 0.5 + 0.2 * labels - 0.1, is_classifier=True, horizon=1).sentence
    'AUC 1.000 ± 0.000 on 400 rows: so much better than guessing that a leak should be ruled out first. As probabilities
    the scores are 26.3% better than always saying 0.500 (log loss 0.5108 against 0.6931).'
    """
    graded = np.isfinite(labels) & np.isfinite(scores)
    y, s = labels[graded], scores[graded]
    return _classifier(y, s, horizon) if is_classifier else _regression(y, s, horizon)


def _classifier(y: FloatArray, s: FloatArray, horizon: int) -> ClassifierQuality:
    if not len(y):
        return ClassifierQuality(rows=0)
    base = np.full(len(y), y.mean())
    precision, recall, f1 = metrics.precision_recall_f1(y, s)
    order = np.argsort(s, kind="stable")
    ordered_y, ordered_s = y[order], s[order]
    return ClassifierQuality(
        rows=len(y),
        base_rate=float(y.mean()),
        auc=metrics.sorted_auc(ordered_y, ordered_s),
        margin=jackknife_margin(len(y), horizon, lambda kept: _kept_auc(ordered_y, ordered_s, kept[order])),
        average_precision=metrics.average_precision(y, s),
        precision=precision,
        recall=recall,
        f1=f1,
        log_loss=metrics.log_loss(y, s),
        base_log_loss=metrics.log_loss(y, base),
        brier=metrics.brier(y, s),
        base_brier=metrics.brier(y, base),
    )


def _kept_auc(ordered_y: FloatArray, ordered_s: FloatArray, kept: Marks) -> float:
    return metrics.sorted_auc(ordered_y[kept], ordered_s[kept])


def _regression(y: FloatArray, s: FloatArray, horizon: int) -> RegressionQuality:
    if not len(y):
        return RegressionQuality(rows=0)
    ranks_y, ranks_s = metrics.midranks(y), metrics.midranks(s)
    return RegressionQuality(
        rows=len(y),
        ic=metrics.pearson(y, s),
        margin=jackknife_margin(len(y), horizon, lambda kept: metrics.pearson(y[kept], s[kept])),
        rank_ic=metrics.pearson(ranks_y, ranks_s),
        rank_margin=jackknife_margin(len(y), horizon, lambda kept: metrics.pearson(ranks_y[kept], ranks_s[kept])),
        r2=metrics.r2(y, s),
        mae=metrics.mean_absolute_error(y, s),
        base_mae=metrics.mean_absolute_error(y, np.full(len(y), np.median(y))),
    )


def jackknife_margin(rows: int, horizon: int, figure: Callable[[Marks], float]) -> float:
    """Give half the 95 % interval of a figure by the delete-a-group jackknife over up to 20 stretches of time."""
    groups = min(_GROUPS, rows // (5 * horizon))
    if groups < _FEWEST_GROUPS:
        return NAN
    edges = np.linspace(0, rows, groups + 1).astype(np.int64)
    figures = []
    for start, stop in pairwise(edges):
        kept = np.ones(rows, dtype=np.bool_)
        kept[start:stop] = False
        figures.append(figure(kept))
    spread = np.sqrt((groups - 1) / groups * np.sum((np.array(figures) - np.mean(figures)) ** 2))
    return float(_student(groups - 1) * spread)


def _student(freedom: int) -> float:
    """Give the 97.5 % point of Student's t (Cornish-Fisher; within 0.3 % from 4 degrees of freedom on)."""
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _plus_minus(margin: float) -> str:
    return "" if np.isnan(margin) else f" ± {margin:.3f}"


def _judgement(excess: float, margin: float, steps: tuple[float, float, float]) -> str:
    if np.isnan(margin):
        return "too few independent rows to tell it from guessing"
    if excess + margin < 0:
        return "worse than guessing"
    if excess - margin <= 0:
        return "not to be told from guessing"
    words = ("barely better than guessing", "a little better than guessing", "clearly better than guessing")
    for step, word in zip(steps, words, strict=True):
        if excess < step:
            return word
    return "so much better than guessing that a leak should be ruled out first"
