"""Take over what an earlier walk-forward fitted, where its bars are the beginning of the ones there are now."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.files import write_whole
from itb.mlmodels.fold import stored_fold
from itb.mlmodels.labels.column import NEVER, LabelColumn
from itb.mlmodels.registry import check_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from itb.mlmodels.fold import FoldJob
    from itb.mlmodels.splits import Block
    from itb.mlmodels.table import TrainingTable

PLAN = "plan.json"


def as_it_was(table: TrainingTable, rows: int) -> TrainingTable:
    """Give the table as it was when its first ``rows`` rows were all there was: later, labels were not known yet.

    >>> from itb.market.timeframe import Timeframe
    >>> from itb.mlmodels.table import TrainingTable
    >>> label, minute = LabelColumn.after(np.array([0.0, 1.0, 1.0, 0.0]), horizon=1), Timeframe.parse("1m")
    >>> table = TrainingTable(np.zeros((4, 1), np.float32), ("a",), label, "up", True, np.arange(4) * 60_000, minute)
    >>> as_it_was(table, 3).label.values.tolist()
    [0.0, 1.0, nan]
    """
    label, close = table.label, table.close
    known_at = label.known_at[:rows]
    was_known = known_at < rows
    return replace(
        table,
        features=table.features[:rows],
        label=LabelColumn(np.where(was_known, label.values[:rows], np.nan), np.where(was_known, known_at, NEVER)),
        open_time=table.open_time[:rows],
        close=None if close is None else close[:rows],
    )


def take_over(
    job: FoldJob, table: TrainingTable, plan: Mapping[str, Any], blocks: Callable[[TrainingTable], tuple[Block, ...]]
) -> int:
    """Copy refits that stand in a folder beside that of ``job``; give how many.

    Only those that would come out the same, bit for bit: settings, seed and versions of ``plan`` are the same, so is
    every row that there was, and a refit scores the same rows. Nothing is taken over where refits are there already.
    """
    if job.path(0).parent.exists():
        return 0
    for rows, home, fingerprint in sorted(_earlier(job, plan, len(table)), reverse=True):
        before = as_it_was(table, rows)
        if before.fingerprint != fingerprint:
            continue
        there = replace(job, folder=home, blocks=blocks(before))
        same = [block.number for block in there.blocks if job.blocks[block.number] == block]
        return sum(_copy(there, job, number) for number in same)
    return 0


def _earlier(job: FoldJob, plan: Mapping[str, Any], most_rows: int) -> Iterator[tuple[int, Path, str]]:
    """Give walk-forwards of the same column and settings on fewer rows."""
    asked = _settings(json.loads(json.dumps(plan, default=repr)))
    for path in job.folder.parent.glob(f"{job.column}-*/{PLAN}"):
        try:
            told = json.loads(path.read_bytes())
            rows, fingerprint = int(told["rows"]), str(told["table"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if _settings(told) == asked and 0 < rows < most_rows:
            yield rows, path.parent, fingerprint


def _settings(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plan.items() if name not in {"fingerprint", "table", "rows"}}


def _copy(source: FoldJob, target: FoldJob, number: int) -> bool:
    """Copy one refit, its result last; say whether it could be trusted."""
    result = stored_fold(source, number)
    if result is None:
        return False
    if result.manifest:
        manifest, _ = check_model(source.models / result.manifest)
        for file in (manifest.file, manifest.scales, result.manifest):
            if file:
                write_whole(target.models / file, (source.models / file).read_bytes())
    write_whole(target.path(number), source.path(number).read_bytes())
    return True
