"""The walk-forward of a panel that goes on: refits that newer bars bring, by the code that made the earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.continued import check_begun
from itb.mlmodels.deep.door import torch_for
from itb.mlmodels.deep.result import PanelResult
from itb.mlmodels.timeline import ModelTimeline

if TYPE_CHECKING:
    from pathlib import Path

    from itb.mlmodels.deep.walk import PanelWalk
    from itb.mlmodels.splits import Block
    from itb.mlmodels.timeline import TimelineEntry


def continue_panel(walk: PanelWalk, home: Path) -> tuple[TimelineEntry, ...]:
    """Fit and judge what is due in ``home``, where a walk-forward was kept with its folds; give the new entries.

    Model files and timeline are those that the same walk-forward over all bars would have written. The timeline is
    written after each refit, when its files are whole. Raises :class:`itb.errors.ModelError` where the earlier refits
    were fitted at other bars.
    """
    torch_for(walk.algorithm.name)
    path = home / "timeline.json"
    timeline = ModelTimeline.load(path)
    blocks = _blocks(walk, timeline)
    files = [entry.file.removeprefix("models/") for entry in timeline.entries if entry.file]
    spoken = [entry.file.removeprefix("models/") for entry in timeline.entries if entry.promoted]
    latest, speaking = (found[-1] if found else "" for found in (files, spoken))
    added = []
    for block in blocks[len(timeline.entries) :]:
        refit = walk.refit(home, block, latest, speaking, total=len(blocks))
        entry = refit.fold.entry
        latest = refit.manifest or latest
        speaking = refit.manifest if entry.promoted else speaking
        timeline = timeline.appended(entry)
        timeline.save(path)
        added.append(entry)
    return tuple(added)


def kept_panel(walk: PanelWalk, home: Path) -> PanelResult:
    """Give what a walk-forward that was continued in ``home`` has come to, as a run over these bars gives it.

    Scores that were kept are taken, the others are given again by the model that spoke, and kept: so that going on
    costs what is new.
    """
    timeline = ModelTimeline.load(home / "timeline.json")
    panel = walk.panel
    scores = np.full(panel.there.shape, np.nan)
    folds, speaking = [], ""
    for block, entry in zip(_blocks(walk, timeline), timeline.entries, strict=False):
        if entry.promoted:
            speaking = entry.file.removeprefix("models/")
        fold, test = walk.fold(home, block, entry, speaking)
        rows = walk.test(block)
        known = min(len(test), len(rows))
        scores[rows.start : rows.start + known] = test[:known]
        if speaking and len(rows) > known:
            scores[rows.start + known : rows.stop] = walk.model(home, speaking).scores(panel, rows[known:])
            walk.keep_scores(home, block, speaking, scores[rows.start : rows.stop])
        folds.append(fold)
    return PanelResult(
        walk.column, panel, walk.targets, scores, timeline, tuple(folds), home, walk.fingerprint, 0, walk.algorithm
    )


def _blocks(walk: PanelWalk, timeline: ModelTimeline) -> tuple[Block, ...]:
    """Give all refits up to the last bar; refuse bars and settings by which the earlier ones were fitted elsewhere."""
    blocks = walk.blocks(ahead=walk.walk.refit_delay_bars)
    check_begun(timeline, blocks, walk.panel.open_time)
    return blocks
