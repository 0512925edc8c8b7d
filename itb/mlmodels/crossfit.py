"""Fit and score the splits of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.algorithm import score_rows
from itb.mlmodels.algorithms import check_can_learn, column_name
from itb.mlmodels.by_class import for_label
from itb.mlmodels.fold import FoldData
from itb.mlmodels.labels.column import typical_reach
from itb.mlmodels.quality import Quality, grade
from itb.mlmodels.retrospective import RetrospectiveScores
from itb.mlmodels.training import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from itb.market.bars import IntArray
    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.kfold import CrossSplit, IntTable
    from itb.mlmodels.table import TrainingTable


class CrossValidation(Protocol):
    """A way to cut history that scores every fold ``paths`` times."""

    @property
    def paths(self) -> int: ...
    def splits(self, known_at: IntArray) -> Iterator[CrossSplit]: ...
    def path_ids(self) -> IntTable: ...


@dataclass(frozen=True, eq=False)
class CrossScores:
    """One row of ``scores`` for each path; NaN where a model did not speak. ``notes``: fits that say something."""

    is_retrospective: ClassVar[bool] = True

    column: str
    algorithm: Algorithm
    table: TrainingTable
    scores: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def source(self, path: int = 0) -> RetrospectiveScores:
        """Give one path as a score source, marked retrospective."""
        low, high = self.algorithm.score_range
        return RetrospectiveScores(self.column, low, high, self.table.open_time, self.scores[path])

    def qualities(self) -> tuple[Quality, ...]:
        """Grade each path against the labels."""
        label = self.table.label
        reach = typical_reach(label.known_at)
        return tuple(
            grade(label.values, self.scores[path], is_classifier=self.algorithm.is_classifier, horizon=reach)
            for path in range(len(self.scores))
        )


def cross_scores(
    table: TrainingTable,
    algorithm: Algorithm,
    cut: CrossValidation,
    *,
    training: Training | None = None,
    seed: int = 0,
    min_train_rows: int = 2,
    every_nth_row: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> CrossScores:
    """Fit every split of ``cut`` and put its scores together to paths.

    Only training rows with all features are learned from. A split whose labels are all equal or lack a class, or that
    has fewer than ``min_train_rows``, leaves NaN and a note. Raises :class:`ModelError` when no split could be fitted.
    """
    check_can_learn(algorithm, table.label_name, is_binary=table.is_binary, has_classes=table.has_classes)
    algorithm = for_label(algorithm, has_classes=table.has_classes)
    table.refuse_unusable()
    training, data = training or Training(), FoldData.of(table)
    scores: npt.NDArray[np.float64] = np.full((cut.paths, len(table)), np.nan)
    path_ids, notes, fitted = cut.path_ids(), list[str](), 0
    for split in cut.splits(table.label.known_at):
        rows = split.train[table.complete[split.train]]
        rows = training.newest(rows[table.open_time[rows] // table.timeframe.ms % every_nth_row == 0])
        labels = table.label.values[rows]
        if len(rows) < max(1, min_train_rows) or (labels == labels[0]).all():
            notes.append(f"fit {split.number}: {len(rows)} rows to learn from, too few or all alike: not fitted")
        else:
            try:
                model, _, note = training.teach(algorithm, data.lesson(rows), seed)
            except ModelError as error:  # a class is absent from these rows
                notes.append(f"fit {split.number}: {error}: not fitted")
            else:
                notes += [f"fit {split.number}: {told}" for told in (model.note, note) if told]
                for (start, stop), path in zip(split.spans, path_ids[split.number], strict=True):
                    scores[path, start:stop] = score_rows(model, table.features[start:stop])
                fitted += 1
        if progress is not None:
            progress(split.number + 1, len(path_ids), f"fold {'+'.join(map(str, split.tested))}")
    if not fitted:
        raise ModelError(f"no split could be fitted ({notes[0]}): load more bars, or use fewer folds")
    return CrossScores(column_name(table.label_name, algorithm), algorithm, table, scores, tuple(notes))
