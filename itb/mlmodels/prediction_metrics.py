"""intelligent-trading-bot's ``prediction-metrics`` of a score column, and what it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels import metrics
from itb.mlmodels.interval_precision import find_intervals
from itb.mlmodels.quality import grade

if TYPE_CHECKING:
    from itb.market.bars import FloatArray

NAMES = ("auc", "ap", "f1", "precision", "recall", "mae", "mape", "r2")
"""The original's figures, in its order: the first five for classes, all for numbers."""

_TINY = float(np.finfo(np.float64).eps)
_ABOVE_HALF = float(np.nextafter(0.5, 1))
_ABOVE_ZERO = float(np.nextafter(0.0, 1))


def prediction_metrics(
    labels: FloatArray, scores: FloatArray, *, is_classifier: bool, horizon: int
) -> dict[str, float]:
    """Give the original's figures, then ours (``margin`` is half the 95 % interval of ``auc`` or ``ic``).

    Rows in which either is NaN are left out. A probability says 1 above 0.5. For numbers, the first five compare
    signs: label above 0 with score above 0. ``mape`` divides by the label's size, kept 2.2e-16 away from 0, so labels
    of exactly 0 make it huge, as there. The original rounds to three digits; nothing is rounded here. Ours count
    stretches of equal labels, too (``interval_precision``, ``interval_recall``): the neighbours of a top are one top.

    >>> labels, scores = np.array([0, 0, 1, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])
    >>> found = prediction_metrics(labels, scores, is_classifier=True, horizon=1)
    >>> {name: round(found[name], 3) for name in ("auc", "ap", "f1", "precision", "recall", "rows")}
    {'auc': 0.75, 'ap': 0.833, 'f1': 0.667, 'precision': 1.0, 'recall': 0.5, 'rows': 4}
    """
    told = np.isfinite(labels) & np.isfinite(scores)
    y, s = labels[told], scores[told]
    found = dict.fromkeys(NAMES, float("nan"))
    if len(y):
        true = y if is_classifier else (y > 0).astype(np.float64)
        found["auc"], found["ap"] = metrics.auc(true, s), metrics.average_precision(true, s)
        threshold = _ABOVE_HALF if is_classifier else _ABOVE_ZERO
        found["precision"], found["recall"], found["f1"] = metrics.precision_recall_f1(true, s, threshold)
    if len(y) and not is_classifier:
        found["mae"] = metrics.mean_absolute_error(y, s)
        found["mape"] = float(np.mean(np.abs(y - s) / np.maximum(np.abs(y), _TINY)))
        found["r2"] = metrics.r2(y, s)
    quality = grade(labels, scores, is_classifier=is_classifier, horizon=horizon)
    ours = ("rows", "margin", "base_rate", "log_loss", "brier", "ic", "rank_ic", "skill")
    found |= {name: float(getattr(quality, name, float("nan"))) for name in ours}
    return {**found, "rows": quality.rows, **_by_stretch(labels, scores, is_classifier=is_classifier)}


def _by_stretch(labels: FloatArray, scores: FloatArray, *, is_classifier: bool) -> dict[str, float]:
    """Grade stretches of equal labels between the first score and the last; NaN where there is none."""
    told = np.flatnonzero(np.isfinite(scores))
    span = slice(int(told[0]), int(told[-1]) + 1) if len(told) else slice(0)
    y, s = labels[span], scores[span]
    true = y if is_classifier else np.where(np.isfinite(y), y > 0, np.nan)
    quality = find_intervals(true, s, _ABOVE_HALF if is_classifier else _ABOVE_ZERO).quality
    figures = (quality.precision, quality.recall) if np.isfinite(true).any() else (float("nan"),) * 2
    return dict(zip(("interval_precision", "interval_recall"), figures, strict=True))
