"""Calibrate a walk-forward's scores block by block, each with what was known when its model was fitted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.calibrators import Calibrator
from itb.mlmodels.labels.column import LabelColumn
from itb.mlmodels.splits import Block


def known_scores(scores: FloatArray, label: LabelColumn, bar: int) -> IntArray:
    """Give the rows that have a score and whose label was known at the close of ``bar``.

    >>> known_scores(np.array([np.nan, 0.3, 0.4, 0.5]), LabelColumn.after(np.zeros(4), 1), bar=2).tolist()
    [1]
    """
    known = label.known_at[: bar + 1]
    return np.flatnonzero((known >= 0) & (known <= bar) & np.isfinite(scores[: bar + 1])).astype(np.int64)


def calibrate_forward(
    scores: FloatArray,
    label: LabelColumn,
    blocks: Iterable[Block],
    calibrator: Calibrator,
    *,
    min_rows: int = 100,
    embargo_bars: int = 0,
) -> FloatArray:
    """Give calibrated scores: each block's calibrator learns from scores of earlier blocks only.

    Of these it takes the rows whose label was known ``embargo_bars`` before the close of the block's ``fit_bar``.
    Blocks with fewer than ``min_rows`` such rows, or with labels of one class only, are NaN. ``scores`` must be
    out-of-sample scores, aligned to ``label``.

    >>> from itb.mlmodels.calibrators import Platt
    >>> from itb.mlmodels.splits import walk_forward_blocks
    >>> label = LabelColumn.after(np.arange(60) % 2.0, horizon=1)
    >>> scores = np.where(np.arange(60) < 10, np.nan, 0.4 + 0.2 * label.values)
    >>> blocks = walk_forward_blocks(60, mode="sliding", train_bars=10, refit_every=20)
    >>> calibrate_forward(scores, label, blocks, Platt(), min_rows=15)[[29, 30, 31]].round(2).tolist()
    [nan, 0.08, 0.91]
    """
    if len(scores) != len(label):
        raise ValueError(f"{len(scores)} scores have {len(label)} labels")
    found = np.full(len(scores), np.nan)
    for block in blocks:
        rows = known_scores(scores, label, block.fit_bar - embargo_bars)
        labels = label.values[rows]
        if len(rows) < max(2, min_rows) or (labels == labels[0]).all():
            continue
        part = slice(block.test_start, block.test_stop)
        found[part] = calibrator.fit(scores[rows], labels)(scores[part])
    return found
