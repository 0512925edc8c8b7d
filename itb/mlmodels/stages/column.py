"""A column of out-of-sample scores, as the stages after a walk-forward take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.scores import WalkForwardScores

if TYPE_CHECKING:
    from itb.market.bars import FloatArray, IntArray
    from itb.mlmodels.labels.column import LabelColumn
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.splits import Block


@dataclass(frozen=True, eq=False)
class ScoreColumn:
    """Scores that were given without knowledge of their labels, and those labels.

    ``blocks`` are the refits that gave the scores. ``embargo_bars`` is how long before a refit a label must have been
    known to be learned from. ``later`` are open times of bars that are still to come, from which a refit may speak.
    ``is_probability``: scores of a classifier, from 0 to 1.
    """

    name: str
    scores: FloatArray
    low: float
    high: float
    is_probability: bool
    label: LabelColumn
    label_name: str
    blocks: tuple[Block, ...]
    open_time: IntArray
    embargo_bars: int = 0
    later: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.scores) == len(self.label) == len(self.open_time):
            raise ValueError(
                f"scores, label and open_time must be as long as each other, were {len(self.scores)}, "
                f"{len(self.label)} and {len(self.open_time)}"
            )

    @classmethod
    def of(cls, walked: WalkForwardResult, embargo_bars: int = 0) -> ScoreColumn:
        """Take the scores of a finished walk-forward."""
        return cls(
            name=walked.column,
            scores=walked.scores,
            low=walked.low,
            high=walked.high,
            is_probability=walked.is_classifier,
            label=walked.table.label,
            label_name=walked.table.label_name,
            blocks=tuple(fold.block for fold in walked.folds),
            open_time=walked.table.open_time,
            embargo_bars=embargo_bars,
        )

    def with_scores(self, scores: FloatArray, low: float | None = None, high: float | None = None) -> ScoreColumn:
        """Give the column with other scores, and with another range where one is told."""
        return replace(
            self, scores=scores, low=self.low if low is None else low, high=self.high if high is None else high
        )

    @property
    def source(self) -> WalkForwardScores:
        """The scores as a source that a data feed can carry."""
        return WalkForwardScores(self.name, self.low, self.high, self.open_time, self.scores)

    @property
    def times(self) -> IntArray:
        """Open times of its bars and of those to come."""
        return np.concatenate((self.open_time, np.array(self.later, dtype=np.int64)))

    @property
    def first(self) -> int:
        """The first row that has a score; the number of rows if none has."""
        told = np.flatnonzero(np.isfinite(self.scores))
        return int(told[0]) if len(told) else len(self.scores)
