"""What a walk-forward gives: scores, who gave them, and what each refit was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from itb.mlmodels.by_class import CLASS_NAMES, ClassModel
from itb.mlmodels.fold import unpack_rows
from itb.mlmodels.registry import load_model
from itb.mlmodels.scores import WalkForwardScores

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.bars import FloatArray, IntArray
    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.fold import PackedMarks
    from itb.mlmodels.splits import Block
    from itb.mlmodels.table import TrainingTable
    from itb.mlmodels.timeline import ModelTimeline, TimelineEntry


@dataclass(frozen=True, eq=False)
class Fold:
    """One refit of a finished walk-forward: what it was allowed to see, what it saw, and who spoke afterwards."""

    block: Block
    entry: TimelineEntry
    rows: int
    first_row: int
    last_row: int
    last_known: int
    importance: FloatArray
    note: str
    learned: PackedMarks

    @property
    def learned_rows(self) -> IntArray:
        """The rows it learned from; none where nothing was fitted."""
        return unpack_rows(self.learned, self.first_row)


@dataclass(frozen=True, eq=False)
class WalkForwardResult:
    """Out-of-sample scores of one column, and everything needed to judge and to repeat them.

    ``scores`` has one value per bar of the table, NaN where no model spoke. ``folder`` holds ``timeline.json`` and the
    model files; ``fingerprint`` is that of data, settings, algorithm, seed and library versions. ``coin`` is whose part
    of a pool it is.
    """

    column: str
    low: float
    high: float
    is_classifier: bool
    scores: FloatArray
    table: TrainingTable
    timeline: ModelTimeline
    folds: tuple[Fold, ...]
    folder: Path
    fingerprint: str
    fitted: int = field(default=0)
    algorithm: Algorithm | None = None
    coin: str = ""

    importance_kind: ClassVar[str] = "share of total gain, mean over refits"

    @property
    def source(self) -> WalkForwardScores:
        """The scores as a source that a data feed can carry."""
        return WalkForwardScores(self.column, self.low, self.high, self.table.open_time, self.scores)

    @cached_property
    def class_sources(self) -> tuple[WalkForwardScores, ...]:
        """The chances to hold, to buy and to sell, in columns of their own; none unless the label has classes.

        They are scored again by the models that spoke.
        """
        chances = np.full((len(CLASS_NAMES), len(self.scores)), np.nan)
        speaking, is_told = "", False
        for fold in self.folds:
            speaking = fold.entry.file if fold.entry.promoted else speaking
            stored = load_model(self.folder / speaking, self.algorithm) if speaking else None
            if stored is not None and isinstance(stored.model, ClassModel):
                part = slice(fold.block.test_start, fold.block.test_stop)
                chances[:, part] = stored.chances(self.table.features[part], self.coin)
                is_told = True
        if not is_told:
            return ()
        times = self.table.open_time
        return tuple(
            WalkForwardScores(f"{self.column}_{name}", 0.0, 1.0, times, own)
            for name, own in zip(CLASS_NAMES, chances, strict=True)
        )

    @property
    def importance(self) -> FloatArray:
        """Mean share of each feature over all fitted models; zeros if there was none."""
        shares = [fold.importance / fold.importance.sum() for fold in self.folds if fold.importance.sum() > 0]
        return np.mean(shares, axis=0) if shares else np.zeros(len(self.table.feature_names))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the scores should know: refits that failed, were refused, or did not converge."""
        told = []
        for fold in self.folds:
            if not fold.entry.promoted:
                told.append(f"refit {fold.block.number}: not promoted, {fold.entry.reason}")
            elif fold.note:
                told.append(f"refit {fold.block.number}: {fold.note}")
        return tuple(told)
