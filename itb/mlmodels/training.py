"""How a model is taught, whoever asks: walk-forward, cross-validation, or the latest model for live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np

from itb.errors import ModelError
from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.algorithm import Algorithm, FloatMatrix, Model
from itb.mlmodels.bins import Binned, Bins
from itb.mlmodels.lesson import Lesson
from itb.mlmodels.row_weights import balanced
from itb.mlmodels.scaling import Scaling, check_scaling
from itb.mlmodels.stopping import EarlyStopping, Stepwise
from itb.mlmodels.uniqueness import label_spans, sequential_bootstrap
from itb.mlmodels.weights import Product, SampleWeights, balanced_rows

Balance = Literal["none", "weights", "rows"]

_MOST_CLASSES = 3


class ClassLostError(ModelError):
    """Of the rows to learn from, those of a whole class were left out."""


class Taught(NamedTuple):
    """A model; after how many steps its training was stopped (``None``: it was not), and what to know about that."""

    model: Model
    steps: int | None = None
    note: str = ""


@runtime_checkable
class Timed(Protocol):
    """An algorithm that holds rows back from itself and must know which labels overlap."""

    def fit_timed(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None, settled: IntArray
    ) -> Model:
        """Learn; ``settled`` is :attr:`itb.mlmodels.lesson.Lesson.settled`."""


@dataclass(frozen=True)
class Training:
    """Which rows are shown to the algorithm, how much each of them counts, and when it stops learning.

    All of it is decided inside a refit, from the rows that it learns from. ``weights`` are multiplied, and rows that
    weigh nothing are left out. ``class_balance`` then evens out the classes: by ``"weights"``, or by drawing ``"rows"``
    as FollowUpward does. ``sequential_bootstrap`` draws as many rows as there are, each less likely the more its label
    overlaps with those drawn; the time it takes grows with the square of the rows. ``train_rows_max`` keeps the newest
    rows only (0: all of them). ``reuse_bins`` lets the refits of a walk-forward use the bins of its first
    window (LightGBM). ``coin_scaling`` scales the features of a pool coin by coin, see
    :class:`itb.mlmodels.coin_scales.CoinScales`; where rows are those of one coin it does nothing.

    >>> from itb.mlmodels.linear import Logistic
    >>> features = np.arange(6, dtype=np.float32)[:, None]
    >>> lesson = Lesson(features, np.array([0, 0, 0, 0, 1, 1.0]), np.arange(6), np.arange(6) + 1)
    >>> plain, even = Training(), Training(class_balance="weights")
    >>> [round(float(how.teach(Logistic(), lesson, 1).model.predict(features[3:4])[0]), 2) for how in (plain, even)]
    [0.36, 0.49]
    """

    weights: tuple[SampleWeights, ...] = ()
    class_balance: Balance = "none"
    sequential_bootstrap: bool = False
    train_rows_max: int = 0
    early_stopping: EarlyStopping | None = None
    reuse_bins: bool = False
    coin_scaling: Scaling = "none"

    def __post_init__(self) -> None:
        if self.class_balance not in get_args(Balance):
            raise ValueError(f'class_balance must be "none", "weights" or "rows", was {self.class_balance!r}')
        if self.class_balance == "rows" and self.sequential_bootstrap:
            raise ValueError('sequential_bootstrap must be false where class_balance = "rows" draws the rows')
        if self.train_rows_max < 0:
            raise ValueError(f"train_rows_max must be at least 0, was {self.train_rows_max}")
        check_scaling(self.coin_scaling)

    def newest(self, rows: IntArray) -> IntArray:
        """Give the rows that may be learned from at all."""
        return rows[-self.train_rows_max :] if self.train_rows_max else rows

    def teach(self, algorithm: Algorithm, lesson: Lesson, seed: int, bins: Bins | None = None) -> Taught:
        """Fit; an algorithm that learns in no steps takes no notice of early stopping.

        ``bins`` are those to use, if the algorithm has any. Raises :class:`ClassLostError` where no row is left of a
        class: weighed by nothing, or not drawn.
        """
        if self.early_stopping is None or not isinstance(algorithm, Stepwise):
            return Taught(self._fit(algorithm, lesson, seed, bins))
        cut = self.early_stopping.cut(lesson)
        try:
            shown, weights = (lesson, None) if cut is None else self._shown(cut[0], seed)
        except ClassLostError:
            cut = None
        if cut is None:
            note = "nothing to stop early by (too few rows, or no closes to trade at): trained to the last step"
            return Taught(self._fit(algorithm, lesson, seed, bins), note=note)
        stage = self.early_stopping.best(algorithm, shown, weights, cut[1], seed)
        if not self.early_stopping.refit:
            return Taught(stage.model(), stage.steps)
        return Taught(self._fit(algorithm.with_steps(stage.steps), lesson, seed, bins), stage.steps)

    def _fit(self, algorithm: Algorithm, lesson: Lesson, seed: int, bins: Bins | None) -> Model:
        shown, weights = self._shown(lesson, seed)
        if bins is not None and isinstance(algorithm, Binned):
            return algorithm.fit_binned(shown.features, shown.labels, seed, weights, bins)
        if isinstance(algorithm, Timed):
            return algorithm.fit_timed(shown.features, shown.labels, seed, weights, shown.settled)
        if weights is None:
            return algorithm.fit(shown.features, shown.labels, seed)
        return algorithm.fit(shown.features, shown.labels, seed, weights)

    def _shown(self, lesson: Lesson, seed: int) -> tuple[Lesson, FloatArray | None]:
        """Give the rows that are drawn, in order of time, and what each counts."""
        weights = Product(self.weights)(lesson.rows, lesson.labels, lesson.known_at) if self.weights else None
        places = self._drawn(lesson, seed)
        if weights is not None and not weights.all():
            places = np.arange(len(lesson)) if places is None else places
            places = places[weights[places] > 0]
        if places is not None:
            _refuse_lost_class(lesson.labels, lesson.labels[places])
            lesson, weights = lesson.take(places), None if weights is None else weights[places]
        if self.class_balance == "weights":
            weights = balanced(lesson.labels, np.ones(len(lesson)) if weights is None else weights)
        return lesson, weights

    def _drawn(self, lesson: Lesson, seed: int) -> IntArray | None:
        if self.class_balance == "rows":
            return np.sort(balanced_rows(lesson.labels, np.random.default_rng(seed)))
        if self.sequential_bootstrap:
            spans = label_spans(lesson.rows, lesson.known_at)
            return np.sort(sequential_bootstrap(*spans, np.random.default_rng(seed)))
        return None


def _refuse_lost_class(labels: FloatArray, left: FloatArray) -> None:
    classes, still = np.unique(labels), np.unique(left)
    if len(still) < len(classes) <= _MOST_CLASSES:
        lost = " and ".join(f"{one:g}" for one in np.setdiff1d(classes, still))
        raise ClassLostError(
            f"no row of class {lost} is left of {len(labels)}: none was drawn, or all weigh nothing; raise "
            "training.oldest_weight, or lengthen the training window"
        )
