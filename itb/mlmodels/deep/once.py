"""Fit a network once, outside of a walk-forward: on everything known now, or on the rows that a split names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.deep.calibrate import calibrated
from itb.mlmodels.deep.fit import teach
from itb.mlmodels.deep.lesson import PanelLesson
from itb.mlmodels.labels.column import NEVER
from itb.mlmodels.registry import check_model, save_content
from itb.mlmodels.splits import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from itb.market.bars import IntArray
    from itb.mlmodels.deep.model import PanelModel
    from itb.mlmodels.deep.walk import PanelWalk
    from itb.mlmodels.kfold import Span
    from itb.mlmodels.registry import Manifest

    Told = Callable[[int, int], None]


@dataclass(frozen=True)
class LatestNetwork:
    """A network fitted at the close of the last bar of any coin, and what its manifest says."""

    model: PanelModel
    manifest: Manifest

    def save(self, folder: Path) -> tuple[Path, Manifest]:
        """Write model and manifest; give the manifest's path and itself, with the names of the files."""
        path = folder / save_content(self.model.to_bytes(), self.model.part.suffix, self.manifest, folder)
        return path, check_model(path)[0]


def fit_latest_network(walk: PanelWalk, draft: Path | None = None, told: Told | None = None) -> LatestNetwork:
    """Fit on the last training window of ``walk``, as a refit at the last bar would that goes on from no other.

    ``draft`` and ``told`` are as :func:`itb.mlmodels.deep.fit.teach` takes them. Raises :class:`ModelError` when there
    is too little to learn from.
    """
    last, first = len(walk.panel) - 1, walk.algorithm.warmup
    start = max(first, last - walk.walk.train_bars + 1) if walk.walk.mode == "sliding" else first
    block = Block(0, last, start, last - walk.walk.embargo_bars, last + 1, last + 1)
    lesson = walk.lesson(block) if last > first else None
    if lesson is None or not walk.is_enough(lesson):
        rows = 0 if lesson is None else len(lesson.rows)
        raise ModelError(
            f"{walk.column}: nothing was trained: only {rows} rows with a known label, {walk.walk.min_train_rows} are "
            "needed. Load more bars, or shorten walkforward.train or the model's steps."
        )
    model, note = calibrated(teach(walk.algorithm, lesson, walk.seed, draft=draft, told=told).model, lesson)
    return LatestNetwork(model, walk.manifest(block, lesson, note))


def known_rows(walk: PanelWalk) -> IntArray:
    """Give for each time of the raster the row at whose close the last of its labels was known, -1 without any."""
    found: IntArray = walk.targets.known_at.max(axis=1)
    return found


def fit_on(walk: PanelWalk, train: IntArray, hidden: Sequence[Span], told: Told | None = None) -> PanelModel:
    """Fit on the rows ``train``; bars of the spans ``hidden`` shape no scale. Raise :class:`ModelError` for too few."""
    lesson = lesson_on(walk, train, hidden)
    if not walk.is_enough(lesson):
        rows = int(np.isfinite(lesson.labels).any(axis=1).sum())
        raise ModelError(f"{rows} rows to learn from, {max(2, walk.walk.min_train_rows)} are needed")
    return calibrated(teach(walk.algorithm, lesson, walk.seed, told=told).model, lesson)[0]


def lesson_on(walk: PanelWalk, train: IntArray, hidden: Sequence[Span]) -> PanelLesson:
    """Take the rows ``train`` for a lesson: labels of all others are not known, and the newest of them are held back.

    What is held back is a share of the rows that are learned from, not of all between the first and the last of them.
    """
    panel, every = walk.panel, walk.walk.every_nth_row
    bars = panel.open_time // panel.timeframe.ms
    train = train[(train >= walk.algorithm.warmup) & (bars[train] % every == 0)]
    train = walk.walk.training.newest(train)
    if not len(train):
        none = np.full((0, len(panel.symbols)), np.nan)
        return PanelLesson(panel, range(0), none, range(0), none)
    rows = range(int(train[0]), int(train[-1]) + 1, every)
    known_at = walk.targets.known_at[rows.start : rows.stop : every]
    is_learned = np.isin(np.asarray(rows), train)[:, np.newaxis] & (known_at != NEVER)
    labels = np.where(is_learned, walk.targets.values[rows.start : rows.stop : every], np.nan)
    held = round(len(train) * walk.algorithm.tail_fraction)
    start = len(rows) if not held else int(np.searchsorted(np.asarray(rows), train[-held]))
    before = labels[:start]
    if held:
        before = np.where(known_at[:start] < rows[start], before, np.nan)
    learned = np.flatnonzero(~np.isnan(before).all(axis=1))
    stop = int(learned[-1]) + 1 if len(learned) else 0
    return PanelLesson(panel, rows[:stop], before[:stop], rows[start:], labels[start:], tuple(hidden))
