"""A walk-forward that goes on: the refits that newer bars bring, by the very code that made the earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.market.bars import utc
from itb.mlmodels.by_class import for_label
from itb.mlmodels.fold import FoldData, fit_fold, pack_rows, training_rows
from itb.mlmodels.result import Fold, WalkForwardResult
from itb.mlmodels.timeline import ModelTimeline
from itb.mlmodels.walkforward import entry_of, scores_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from itb.market.bars import IntArray
    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.splits import Block
    from itb.mlmodels.table import TrainingTable
    from itb.mlmodels.timeline import TimelineEntry
    from itb.mlmodels.walkforward import WalkForward


def due_blocks(walk: WalkForward, table: TrainingTable, timeline: ModelTimeline) -> tuple[Block, ...]:
    """Give the refits whose bar is in the table and that the timeline does not have.

    The table must begin with the bar that the earlier refits counted from. Raises :class:`itb.errors.ModelError` where
    they were fitted at other bars.
    """
    blocks = walk.blocks(table, ahead=walk.refit_delay_bars)
    check_begun(timeline, blocks, table.open_time)
    return blocks[len(timeline.entries) :]


def check_begun(timeline: ModelTimeline, blocks: Sequence[Block], open_time: IntArray) -> None:
    """Refuse ``blocks``, counted in bars of ``open_time``, that do not begin with the refits of a timeline."""
    for block, entry in zip(blocks, timeline.entries, strict=False):
        if int(open_time[block.fit_bar]) != entry.known_at:
            raise ModelError(
                f"{timeline.column}: refit {block.number} was fitted at {utc(entry.known_at)}, these bars and settings "
                f"fit it at {utc(open_time[block.fit_bar])}; continue with the bars and settings it began with, or "
                "train anew"
            )
    if len(blocks) < len(timeline.entries):
        raise ModelError(
            f"{timeline.column}: {len(timeline.entries)} refits are there, these bars reach to {len(blocks)}; continue "
            "with the bars it began with"
        )


def continue_walk(
    walk: WalkForward,
    table: TrainingTable,
    algorithm: Algorithm,
    home: Path,
    *,
    seed: int = 0,
    tell: Callable[[TimelineEntry], None] = lambda _entry: None,
) -> tuple[TimelineEntry, ...]:
    """Fit and judge what is due in ``home``, where a walk-forward was kept; give the new entries, oldest first.

    The model files and the timeline are those that the same walk-forward over all bars would have written. The timeline
    is written after each refit, when its files are whole: whoever reads it meanwhile sees all of a refit or nothing.
    Raises :class:`itb.errors.ModelError` as :func:`due_blocks` does.
    """
    algorithm = for_label(algorithm, has_classes=table.has_classes)
    path = home / "timeline.json"
    timeline = ModelTimeline.load(path)
    due = due_blocks(walk, table, timeline)
    if not due:
        return ()
    blocks = walk.blocks(table, ahead=walk.refit_delay_bars)
    job = walk.job(table, algorithm, home, blocks, seed, timeline.column)
    data = FoldData.of(table)
    spoken = [entry.file for entry in timeline.entries if entry.promoted]
    speaking = spoken[-1].removeprefix("models/") if spoken else ""
    added = []
    for block in due:
        result = fit_fold(job, data, block.number)
        verdict = walk.judge(job, table, block, result, speaking)
        entry = entry_of(table, block, result, verdict)
        speaking = result.manifest if verdict.promoted else speaking
        timeline = timeline.appended(entry)
        timeline.save(path)
        added.append(entry)
        tell(entry)
    return tuple(added)


def kept_result(
    walk: WalkForward, table: TrainingTable, algorithm: Algorithm, home: Path, *, seed: int = 0
) -> WalkForwardResult:
    """Give what a walk-forward that was continued in ``home`` has come to, as a run over these bars gives it.

    Scores are given again by the models that spoke; importances are not known. A newest refit may speak only from a bar
    that is still to come: its block is empty.
    """
    algorithm = for_label(algorithm, has_classes=table.has_classes)
    timeline = ModelTimeline.load(home / "timeline.json")
    blocks = walk.blocks(table, ahead=walk.refit_delay_bars)[: len(timeline.entries)]
    job, data = walk.job(table, algorithm, home, blocks, seed, timeline.column), FoldData.of(table)
    scores = np.full(len(table), np.nan)
    folds, speaking = [], ""
    for block, entry in zip(blocks, timeline.entries, strict=True):
        speaking = entry.file.removeprefix("models/") if entry.promoted else speaking
        rows = np.arange(block.test_start, min(block.test_stop, len(table)))
        if speaking and len(rows):
            scores[rows] = scores_of(job, speaking, table.features[rows], rows)
        learned = training_rows(job, data, block) if entry.file else rows[:0]
        folds.append(
            Fold(
                block=block,
                entry=entry,
                rows=len(learned),
                first_row=int(learned[0]) if len(learned) else block.fit_bar,
                last_row=int(learned[-1]) if len(learned) else block.fit_bar,
                last_known=int(data.known_at[learned].max()) if len(learned) else -1,
                importance=np.zeros(len(table.feature_names)),
                note="",
                learned=pack_rows(learned),
            )
        )
    return WalkForwardResult(
        column=timeline.column,
        low=timeline.low,
        high=timeline.high,
        is_classifier=algorithm.is_classifier,
        scores=scores,
        table=table,
        timeline=timeline,
        folds=tuple(folds),
        folder=home,
        fingerprint="",
        algorithm=algorithm,
    )
