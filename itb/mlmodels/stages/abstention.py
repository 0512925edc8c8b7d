"""Abstention: a model says nothing about rows that lie far from everything it learned from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.dissimilarity import Dissimilarity, KnownGround
from itb.mlmodels.stages.kept import FittedPart, StageKind, keep_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from itb.market.bars import FloatArray
    from itb.mlmodels.algorithm import FloatMatrix
    from itb.mlmodels.result import Fold, WalkForwardResult
    from itb.mlmodels.stages.column import ScoreColumn
    from itb.mlmodels.timeline import ModelTimeline

NAME = "abstention"


@dataclass(frozen=True)
class Abstention:
    """Let a score be NaN where the dissimilarity index (FreqAI's) of its row is ``dissimilarity`` or more.

    The index compares the row with the rows that the very model which speaks learned from
    (:class:`itb.mlmodels.dissimilarity.Dissimilarity`); of these ``most_rows``, drawn by ``seed``, are kept. With
    a pooled model each coin is compared with its own rows: those of the last model that learned from any, and before
    there was one the coin has no score.
    """

    dissimilarity: float = 1.0
    most_rows: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.dissimilarity > 0:
            raise ValueError(f"dissimilarity must be above 0, was {self.dissimilarity}")
        if self.most_rows < 2:
            raise ValueError(f"most_rows must be at least 2, was {self.most_rows}")

    def ground(self, features: FloatMatrix) -> KnownGround:
        """Learn where training rows lie."""
        try:
            return Dissimilarity(self.dissimilarity, self.most_rows, self.seed).fit(features)
        except ValueError as error:
            raise ModelError(f"abstain: {error}; leave abstain.dissimilarity at 0") from None

    def __call__(self, walked: WalkForwardResult, column: ScoreColumn) -> ScoreColumn:
        """Silence scores."""
        return column.with_scores(self._silenced(walked, column, tuple(self._grounds(walked))))

    def keep(self, walked: WalkForwardResult, column: ScoreColumn, folder: Path) -> tuple[ScoreColumn, ModelTimeline]:
        """Silence scores, and write the ground of every model that speaks into ``folder``."""
        grounds = tuple(self._grounds(walked))
        parts = (_part(fold, ground) for fold, ground in grounds if fold.entry.promoted and fold.rows > 1)
        timeline = keep_parts(StageKind(NAME, "dissimilarity", asdict(self), ".npz"), column, parts, folder, self.seed)
        return column.with_scores(self._silenced(walked, column, grounds)), timeline

    def _silenced(
        self, walked: WalkForwardResult, column: ScoreColumn, grounds: Iterable[tuple[Fold, KnownGround | None]]
    ) -> FloatArray:
        scores = np.array(column.scores)
        for fold, ground in grounds:
            block = slice(fold.block.test_start, fold.block.test_stop)
            silent = np.full(len(scores[block]), np.nan)
            scores[block] = silent if ground is None else ground.abstain(scores[block], walked.table.features[block])
        return scores

    def _grounds(self, walked: WalkForwardResult) -> Iterator[tuple[Fold, KnownGround | None]]:
        """Give each refit with the ground of the model that speaks after it."""
        speaking = None
        for fold in walked.folds:
            if fold.entry.promoted and fold.rows > 1:
                speaking = self.ground(walked.table.features[fold.learned_rows])
            yield fold, speaking


def _part(fold: Fold, ground: KnownGround | None) -> FittedPart:
    return FittedPart(
        fit_bar=fold.block.fit_bar,
        speaks_from=fold.block.test_start,
        last_row=fold.last_row,
        rows=fold.rows,
        content=b"" if ground is None else ground.to_bytes(),
        reason=f"ground of {fold.entry.file}",
    )
