"""Stages on learned score columns: abstain, calibrate, surround with intervals."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itb.config import stages as configured
from itb.config.columns import columns
from itb.mlmodels.scores import WalkForwardScores

if TYPE_CHECKING:
    from pathlib import Path

    from itb.config import Config
    from itb.market.bars import FloatArray
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.stages.column import ScoreColumn
    from itb.runs.market import Market
    from itb.runs.scored import ScoredMarket, ScoreRanges
    from itb.runs.workspace import Workspace

Marks = npt.NDArray[np.bool_]

ANY = (-np.inf, np.inf)


def stages_folder(config: Config, market: Market, walked: WalkForwardResult) -> Path:
    """Give the folder beside a column's models that holds what its stages learned, one for each way to set them."""
    sections = (config.abstain, config.calibration, config.conformal, config.thresholds)
    made_of = (market.fingerprint, config.all_models[0].seed, [section.model_dump() for section in sections])
    text = repr(made_of)
    return walked.folder / f"stages-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def score_column(config: Config, scored: ScoredMarket, walked: WalkForwardResult) -> ScoreColumn:
    """Take a learned column as the stages so far have left it."""
    from itb.mlmodels.stages.column import ScoreColumn

    now = scored.scores[walked.column]
    column = ScoreColumn.of(walked, config.walkforward.embargo_bars)
    return column.with_scores(now.batch(), now.low, now.high)


def abstain_ranges(config: Config, ranges: ScoreRanges) -> ScoreRanges:
    """Say which columns abstention adds."""
    return ranges if configured.abstention(config) is None else _with_raw(config, ranges, is_any=True)


def abstain(workspace: Workspace, scored: ScoredMarket) -> ScoredMarket:
    """Let each model be silent far from what it learned from."""
    config = workspace.config
    stage = configured.abstention(config)
    if stage is None:
        return scored
    for number, walked in enumerate(scored.walked):
        workspace.report(number, len(scored.walked), f"abstaining from {walked.column}")
        before = score_column(config, scored, walked)
        after, _ = stage.keep(walked, before, stages_folder(config, scored.market, walked))
        told = np.isfinite(before.scores)
        silent = told & np.isnan(after.scores)
        note = (
            f"{walked.column}: silent on {100 * silent.sum() / max(1, told.sum()):.1f} % of {told.sum():,} bars, "
            f"which lie far from what the model learned from (dissimilarity {stage.dissimilarity:g} or more)"
        )
        by_class = {source.column: _without(source, silent) for source in walked.class_sources}
        scored = scored.with_scores({walked.column: after.source, **by_class, **_raw(scored, before)}, note)
    return scored


def _without(source: WalkForwardScores, silent: Marks) -> WalkForwardScores:
    return replace(source, scores=np.where(silent, np.nan, source.scores))


def calibration_ranges(config: Config, ranges: ScoreRanges) -> ScoreRanges:
    """Say which columns calibration adds."""
    return ranges if configured.calibration(config) is None else _with_raw(config, ranges, is_any=False)


def calibrate(workspace: Workspace, scored: ScoredMarket) -> ScoredMarket:
    """Calibrate the probabilities of each model."""
    config = workspace.config
    stage = configured.calibration(config)
    for walked in scored.walked if stage is not None else ():
        if stage is None or not walked.is_classifier:
            continue
        before = score_column(config, scored, walked)
        after, timeline = stage.keep(before, stages_folder(config, scored.market, walked))
        waiting = sum(not entry.promoted for entry in timeline.entries)
        wait = f"; empty in the first {waiting} of {len(timeline.entries)} blocks" if waiting else ""
        note = f"{walked.column}: calibrated by {stage.method}, {_brier(before, after.scores)}{wait}"
        scored = scored.with_scores({walked.column: after.source, **_raw(scored, before)}, note)
    return scored


def conformal_ranges(config: Config, ranges: ScoreRanges) -> ScoreRanges:
    """Say which columns intervals add."""
    if configured.conformal(config) is None:
        return ranges
    numbers = [column.name for column in columns(config) if not column.taught.is_classifier]
    return {**ranges, **{f"{name}_{end}": ANY for name in numbers for end in ("low", "high")}}


def surround(workspace: Workspace, scored: ScoredMarket) -> ScoredMarket:
    """Put intervals around the scores of models that estimate a number."""
    from itb.mlmodels.stages.intervals import cover

    config = workspace.config
    stage = configured.conformal(config)
    for walked in scored.walked if stage is not None else ():
        if stage is None or walked.is_classifier:
            continue
        column = score_column(config, scored, walked)
        found = stage.around(column)
        bounds = {f"{walked.column}_{end}": getattr(found, end) for end in ("low", "high")}
        note = f"{walked.column}: {cover(stage, found, column).sentence}"
        times = column.open_time
        sources = {name: WalkForwardScores(name, *ANY, times, values) for name, values in bounds.items()}
        scored = scored.with_scores(sources, note)
    return scored


def _with_raw(config: Config, ranges: ScoreRanges, *, is_any: bool) -> ScoreRanges:
    touched = [column for column in columns(config) if is_any or column.taught.is_classifier]
    return {**ranges, **{f"{column.name}_raw": column.taught.score_range for column in touched}}


def _raw(scored: ScoredMarket, before: ScoreColumn) -> dict[str, WalkForwardScores]:
    """Give the scores as the model gave them, unless an earlier stage did."""
    name = f"{before.name}_raw"
    return {} if name in scored.scores else {name: replace(before, name=name).source}


def _brier(before: ScoreColumn, after: FloatArray) -> str:
    from itb.mlmodels import metrics

    labels = before.label.values
    rows = np.isfinite(after) & np.isfinite(labels)
    if not rows.any():
        return "but no calibrated score has met a known label yet"
    figures = [metrics.brier(labels[rows], scores[rows]) for scores in (before.scores, after)]
    return f"Brier score {figures[0]:.4f} before and {figures[1]:.4f} after on {rows.sum():,} rows"
