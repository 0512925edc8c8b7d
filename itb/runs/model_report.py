"""What a report says of the models behind the scores: folds, calibration, importance, grades side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from itb.charts.data import Calibration, FoldQuality, Importance, Table
from itb.charts.wording import number, percent
from itb.config.columns import columns
from itb.market.bars import utc
from itb.mlmodels.quality import ModelQuality
from itb.mlmodels.result import WalkForwardResult
from itb.runs.deep import learning_curves

if TYPE_CHECKING:
    from itb.config import Config


class Graded(NamedTuple):
    """A learned column and its grades; ``name`` tells it from others, empty where it is the only one."""

    name: str
    walked: WalkForwardResult
    quality: ModelQuality


def model_parts(graded: Sequence[Graded], drawn: int | None = None) -> dict[str, Any]:
    """Give the parts of a report that show models; only the first ``drawn`` columns have figures of their own."""
    shown = graded[:drawn]
    return {
        "folds": tuple(_fold(one) for one in shown),
        "calibrations": tuple(
            Calibration(one.name or one.walked.column, curve.predicted, curve.observed, curve.counts)
            for one in shown
            if (curve := one.quality.calibration)
        ),
        "importances": tuple(
            Importance(
                one.walked.table.feature_names,
                one.walked.importance,
                one.walked.importance_kind,
                one.name,
            )
            for one in shown
        ),
        "curves": learning_curves([one.walked for one in shown]),
        "quality": _quality(graded),
    }


def models_told(config: Config, graded: Sequence[Graded]) -> list[dict[str, Any]]:
    """Describe the models for the manifest."""
    seeds = {column.name: column.seed for column in columns(config)} if graded else {}
    return [
        {
            "column": one.walked.column,
            "fingerprint": one.walked.fingerprint,
            "seed": seeds.get(one.walked.column, config.stack.seed),
            "refits": len(one.walked.folds),
            "features": len(one.walked.table.feature_names),
            "skill": one.quality.pooled.sentence,
        }
        for one in graded
    ]


def _fold(one: Graded) -> FoldQuality:
    metric, pooled, base = one.quality.pooled.headline
    labels = tuple(utc(fold.entry.speaks_from)[:10] for fold in one.walked.folds)
    values = np.array([fold.headline[1] for fold in one.quality.folds], dtype=np.float64)
    return FoldQuality(metric, labels, values, base, pooled if math.isfinite(pooled) else None, one.name)


def _quality(graded: Sequence[Graded]) -> Table | None:
    """Set the columns' grades side by side, where there are several."""
    if len(graded) < 2:
        return None
    rows = []
    for one in graded:
        name, value, _ = one.quality.pooled.headline
        margin = getattr(one.quality.pooled, "margin", math.nan)
        rows.append(
            (
                one.name,
                name,
                number(value, 3) + (f" ± {number(margin, 3)}" if math.isfinite(margin) else ""),
                percent(one.quality.pooled.skill, 2) if math.isfinite(one.quality.pooled.skill) else "–",
                f"{one.quality.pooled.rows:,}",
                str(len(one.walked.folds)),
            )
        )
    return Table(("score column", "figure", "pooled", "skill", "rows", "refits"), tuple(rows))
