"""Threshold policies: from scores to sides, by thresholds derived from what came of earlier scores."""

from __future__ import annotations

from itb.mlmodels.thresholds.gaussian_ratio import GaussianRatio
from itb.mlmodels.thresholds.mean_gap import MeanGap
from itb.mlmodels.thresholds.policy import SideRule, SideThresholds, ThresholdPolicy
from itb.mlmodels.thresholds.recalibrated import Recalibrated
from itb.mlmodels.thresholds.rolling_quantile import RollingQuantile
from itb.mlmodels.thresholds.sweep import Sweep

POLICIES: dict[str, type[Sweep | RollingQuantile | MeanGap | GaussianRatio | Recalibrated]] = {
    "sweep": Sweep,
    "rolling_quantile": RollingQuantile,
    "mean_gap": MeanGap,
    "gaussian_ratio": GaussianRatio,
    "recalibrated": Recalibrated,
}

__all__ = [
    "POLICIES",
    "GaussianRatio",
    "MeanGap",
    "Recalibrated",
    "RollingQuantile",
    "SideRule",
    "SideThresholds",
    "Sweep",
    "ThresholdPolicy",
]
