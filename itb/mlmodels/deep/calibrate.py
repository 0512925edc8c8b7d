"""From a network's estimates to expected labels: a regression over all coins on the rows held back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.thresholds.recalibrated import LinearRule, Recalibrated

if TYPE_CHECKING:
    from itb.mlmodels.deep.lesson import PanelLesson
    from itb.mlmodels.deep.model import PanelModel


def calibrated(model: PanelModel, lesson: PanelLesson) -> tuple[PanelModel, str]:
    """Fit what the part asks for on labels themselves, not on scaled ones; give the model and what to know about it.

    Estimates and labels are measured in each coin's own standard deviation while the regression looks for weights, so
    that one penalty fits all coins. With too few complete rows the model stays as it is.
    """
    part = model.part
    if part.post == "none":
        return model, ""
    taken = np.flatnonzero(np.isfinite(model.unit))
    estimates = model.scores(lesson.panel, lesson.tail)[:, taken] / model.unit[taken]
    labels = lesson.tail_labels[:, taken] / model.unit[taken]
    rule = Recalibrated(0.0, 0.0, part.penalty if part.post == "elastic_net" else 0.0).fit(estimates, labels)
    if not isinstance(rule, LinearRule):
        return model, f"too few of {len(lesson.tail)} held-back rows are complete to calibrate on"
    mix, offset = np.array(model.mix), np.array(model.offset)
    mix[np.ix_(taken, taken)] = rule.weights * model.unit[taken] / model.unit[taken][:, np.newaxis]
    offset[taken] = rule.level * model.unit[taken]
    return replace(model, mix=mix, offset=offset), ""
