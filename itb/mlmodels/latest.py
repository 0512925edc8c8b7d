"""Fit one model on everything known now, by the very code that refits in a walk-forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.errors import ModelError
from itb.mlmodels.algorithms import check_can_learn, column_name
from itb.mlmodels.by_class import for_label
from itb.mlmodels.fold import FoldData, FoldJob, fit_fold
from itb.mlmodels.registry import check_model
from itb.mlmodels.splits import Block

if TYPE_CHECKING:
    from pathlib import Path

    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.registry import Manifest
    from itb.mlmodels.table import TrainingTable
    from itb.mlmodels.walkforward import WalkForward


@dataclass(frozen=True)
class Latest:
    """A model fitted at the close of the last bar: its manifest's path and what that says."""

    path: Path
    manifest: Manifest
    note: str


def fit_latest(
    walk: WalkForward, table: TrainingTable, algorithm: Algorithm, folder: Path, *, seed: int = 0, column: str = ""
) -> Latest:
    """Fit on the last training window of ``walk``, labels known by the last bar only, and keep the files in ``folder``.

    ``column`` names the scores; empty takes label and algorithm. Nothing is held back for a skill gate. Raises
    :class:`itb.errors.ModelError` when there is too little to learn from.
    """
    check_can_learn(algorithm, table.label_name, is_binary=table.is_binary, has_classes=table.has_classes)
    algorithm = for_label(algorithm, has_classes=table.has_classes)
    table.refuse_unusable()
    last = len(table) - 1
    start = max(table.first_complete, last - walk.train_bars + 1) if walk.mode == "sliding" else table.first_complete
    first = walk.blocks(table)[:1] if walk.training.reuse_bins else ()  # whose bins the refits of a walk-forward use
    block = Block(
        number=len(first),
        fit_bar=last,
        train_start=start,
        known_until=last - walk.embargo_bars,
        test_start=last + 1,
        test_stop=last + 1,
    )
    job = FoldJob(
        algorithm=algorithm,
        column=column or column_name(table.label_name, algorithm),
        label_name=table.label_name,
        feature_names=table.feature_names,
        blocks=(*first, block),
        holdback_bars=0,
        min_train_rows=walk.min_train_rows,
        every_nth_row=walk.every_nth_row,
        timeframe_ms=table.timeframe.ms,
        seed=seed,
        folder=folder,
        training=walk.training,
        coins=table.coins,
    )
    result = fit_fold(job, FoldData.of(table), block.number)
    if not result.manifest:
        raise ModelError(
            f"{job.column}: nothing was trained: {result.note}. Load more bars, or shorten walkforward.train."
        )
    path = job.models / result.manifest
    return Latest(path, check_model(path)[0], result.note)
