"""Calibrate a walk-forward's scores block by block, each with what was known when its model was fitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.calibrators import Calibrated, Calibrator
from itb.mlmodels.labels.column import LabelColumn
from itb.mlmodels.splits import Block


def known_scores(scores: FloatArray, label: LabelColumn, bar: int) -> IntArray:
    """Give the rows that have a score and whose label was known at the close of ``bar``.

    >>> known_scores(np.array([np.nan, 0.3, 0.4, 0.5]), LabelColumn.after(np.zeros(4), 1), bar=2).tolist()
    [1]
    """
    known = label.known_at[: max(0, bar + 1)]
    return np.flatnonzero((known >= 0) & (known <= bar) & np.isfinite(scores[: len(known)])).astype(np.int64)


@dataclass(frozen=True, eq=False)
class BlockCalibration:
    """The calibrator of one block and the rows it learned from; ``None`` with too few rows, and ``reason`` says so."""

    block: Block
    rows: IntArray
    fitted: Calibrated | None
    reason: str


def fit_forward(
    scores: FloatArray,
    label: LabelColumn,
    blocks: Iterable[Block],
    calibrator: Calibrator,
    *,
    min_rows: int = 100,
    embargo_bars: int = 0,
) -> Iterator[BlockCalibration]:
    """Fit a calibrator for each block, on scores of earlier blocks only.

    Of these it takes the rows whose label was known ``embargo_bars`` before the close of the block's ``fit_bar``.
    Fewer than ``min_rows`` such rows, or labels of one class only, teach nothing. ``scores`` must be out-of-sample
    scores, aligned to ``label``.
    """
    if len(scores) != len(label):
        raise ValueError(f"{len(scores)} scores have {len(label)} labels")
    for block in blocks:
        rows = known_scores(scores, label, block.fit_bar - embargo_bars)
        labels = label.values[rows]
        if len(rows) < max(2, min_rows):
            reason = f"only {len(rows)} earlier scores met a known label, {max(2, min_rows)} are needed"
            yield BlockCalibration(block, rows, None, reason)
        elif (labels == labels[0]).all():
            reason = f"all {len(rows)} known labels are {labels[0]:g}: nothing to tell apart"
            yield BlockCalibration(block, rows, None, reason)
        else:
            fitted = calibrator.fit(scores[rows], labels)
            yield BlockCalibration(block, rows, fitted, f"learned from {len(rows)} earlier scores")


def apply_forward(scores: FloatArray, fits: Iterable[BlockCalibration]) -> FloatArray:
    """Give each block's scores as its calibrator says them; NaN before there is one."""
    found = np.full(len(scores), np.nan)
    speaking: Calibrated | None = None
    for fit in fits:
        speaking = fit.fitted or speaking
        part = slice(fit.block.test_start, fit.block.test_stop)
        if speaking is not None:
            found[part] = speaking(scores[part])
    return found


def calibrate_forward(
    scores: FloatArray,
    label: LabelColumn,
    blocks: Iterable[Block],
    calibrator: Calibrator,
    *,
    min_rows: int = 100,
    embargo_bars: int = 0,
) -> FloatArray:
    """Give calibrated scores: each block's calibrator learns from scores of earlier blocks only (:func:`fit_forward`).

    >>> from itb.mlmodels.calibrators import Platt
    >>> from itb.mlmodels.splits import walk_forward_blocks
    >>> label = LabelColumn.after(np.arange(60) % 2.0, horizon=1)
    >>> scores = np.where(np.arange(60) < 10, np.nan, 0.4 + 0.2 * label.values)
    >>> blocks = walk_forward_blocks(60, mode="sliding", train_bars=10, refit_every=20)
    >>> calibrate_forward(scores, label, blocks, Platt(), min_rows=15)[[29, 30, 31]].round(2).tolist()
    [nan, 0.08, 0.91]
    """
    fits = fit_forward(scores, label, blocks, calibrator, min_rows=min_rows, embargo_bars=embargo_bars)
    return apply_forward(scores, fits)
