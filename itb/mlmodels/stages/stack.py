"""A stack: a model that learns from the out-of-sample scores of other models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.linear import ElasticNet, Linear, Logistic, LogisticElasticNet
from itb.mlmodels.table import TrainingTable

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.timeframe import Timeframe
    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.algorithms import AnyAlgorithm
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.stages.column import ScoreColumn
    from itb.mlmodels.walkforward import Progress, WalkForward


@dataclass(frozen=True)
class Stack:
    """Walk forward once more, over score columns instead of features; the column is named ``<label>_stack``.

    The first refit waits until every input has spoken for ``walk.train_bars`` bars; it learns from rows whose label was
    known, and the inputs of each row were given by models that did not know it. Rows that an input says nothing about
    are neither learned from nor scored.
    """

    algorithm: Algorithm
    walk: WalkForward

    def table(
        self, inputs: Sequence[ScoreColumn], target: ScoreColumn, timeframe: Timeframe, *, is_binary: bool
    ) -> TrainingTable:
        """Put the inputs side by side with the label of ``target``."""
        if not inputs:
            raise ValueError("inputs must be one score column or more")
        return TrainingTable(
            features=np.column_stack([column.scores for column in inputs]).astype(np.float32),
            feature_names=tuple(column.name for column in inputs),
            label=target.label,
            label_name=target.label_name,
            is_binary=is_binary,
            open_time=target.open_time,
            timeframe=timeframe,
        )

    def run(
        self, table: TrainingTable, folder: Path, *, seed: int = 0, progress: Progress | None = None
    ) -> WalkForwardResult:
        """Train and score; everything is kept in a folder below ``folder``, as a walk-forward keeps it."""
        column = f"{table.label_name}_stack"
        return self.walk.run(table, self.algorithm, folder, column=column, seed=seed, progress=progress)


@dataclass(frozen=True)
class NoStack:
    """No stack: scores stay those of the single models."""


STACKERS: dict[str, type[NoStack | AnyAlgorithm]] = {
    "none": NoStack,
    "logistic": Logistic,
    "logistic_elastic_net": LogisticElasticNet,
    "linear": Linear,
    "elastic_net": ElasticNet,
    "lightgbm": LightGbm,
    "lightgbm_regression": LightGbmRegression,
}
