"""Fit one model on the training ranges of a split file and score its other ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.algorithm import score_rows
from itb.mlmodels.algorithms import check_can_learn, column_name
from itb.mlmodels.by_class import for_label
from itb.mlmodels.fold import FoldData
from itb.mlmodels.retrospective import RetrospectiveScores
from itb.mlmodels.scores import WalkForwardScores
from itb.mlmodels.training import Training

if TYPE_CHECKING:
    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.split_file import SetsSplit, SetType
    from itb.mlmodels.table import TrainingTable


def split_scores(
    table: TrainingTable,
    algorithm: Algorithm,
    split: SetsSplit,
    *,
    scored: tuple[SetType, ...] = ("test",),
    training: Training | None = None,
    seed: int = 0,
    embargo_bars: int = 0,
) -> WalkForwardScores | RetrospectiveScores:
    """Learn from the training rows, purged, and score the ranges of the types ``scored``; NaN elsewhere.

    The scores are marked retrospective when a label learned from was not yet known, ``embargo_bars`` before the first
    row scored. Raises :class:`ModelError` when there is nothing to learn from or to score.
    """
    check_can_learn(algorithm, table.label_name, is_binary=table.is_binary, has_classes=table.has_classes)
    algorithm = for_label(algorithm, has_classes=table.has_classes)
    known_at = table.label.known_at
    rows = split.rows(table.open_time, known_at, "training", embargo_bars)
    training = training or Training()
    rows = training.newest(rows[table.complete[rows]])
    labels = table.label.values[rows]
    if not len(rows) or (labels == labels[0]).all():
        raise ModelError(
            f"{table.label_name}: the training ranges hold {len(rows)} rows with label and features, too few or all "
            f"alike; compare their times with the data's"
        )
    spans = [part.span(table.open_time) for name in scored for part in split.of(name)]
    spans = [(start, stop) for start, stop in spans if start < stop]
    if not spans:
        raise ModelError(f"no bar lies in a range of type {' or '.join(scored)}; compare their times with the data's")
    model = training.teach(algorithm, FoldData.of(table).lesson(rows), seed).model
    scores = np.full(len(table), np.nan)
    for start, stop in spans:
        scores[start:stop] = score_rows(model, table.features[start:stop])
    low, high = algorithm.score_range
    first = min(start for start, _ in spans)
    kind = WalkForwardScores if int(known_at[rows].max()) + embargo_bars < first else RetrospectiveScores
    return kind(column_name(table.label_name, algorithm), low, high, table.open_time, scores)
