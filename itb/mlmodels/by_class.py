"""Hold, buy and sell learned at once: one model, a chance for each class, and their difference as its score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels.algorithm import Algorithm, FloatMatrix, Model
from itb.mlmodels.labels.trade_classes import CLASSES, class_places
from itb.mlmodels.stopping import Stage

CLASS_NAMES = ("hold", "buy", "sell")

Chances = npt.NDArray[np.float64]


class ChanceModel(Protocol):
    """A fitted model of classes."""

    @property
    def note(self) -> str: ...
    @property
    def importance(self) -> FloatArray: ...
    def chances(self, features: FloatMatrix) -> Chances:
        """Give one column for each class, which sum up to 1 in a row; a row alone scores as among others."""

    def to_bytes(self) -> bytes: ...


@dataclass(frozen=True, eq=False)
class ClassModel:
    """A model of hold, buy and sell. Its score is P(buy) - P(sell), from -1 to 1."""

    inner: ChanceModel

    @property
    def note(self) -> str:
        """What the model of the classes has to say of its fit."""
        return self.inner.note

    @property
    def importance(self) -> FloatArray:
        """How much each feature matters, over all classes."""
        return self.inner.importance

    def chances(self, features: FloatMatrix) -> Chances:
        """Give the chances to hold, to buy and to sell of complete rows."""
        return self.inner.chances(features)

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows."""
        chances = self.chances(features)
        return np.asarray(chances[:, 1] - chances[:, 2], dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Give the content of the model file."""
        return self.inner.to_bytes()


@runtime_checkable
class ClassAlgorithm(Protocol):
    """A classifier that can learn more than two classes at once."""

    def fit_classes(
        self, features: FloatMatrix, classes: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ClassModel:
        """Learn from rows of which every class (0 hold, 1 buy, 2 sell) has some."""


@dataclass(frozen=True)
class ByClass:
    """A classifier that is taught labels of -1 (sell), 0 (hold) and 1 (buy), each as a class of its own.

    Its score, P(buy) - P(sell), is an estimate of the label.

    >>> from itb.mlmodels.linear import Logistic
    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(600, 2)).astype(np.float32)
    >>> labels = np.clip(np.round(1.5 * features[:, 0]), -1, 1)
    >>> model = ByClass(Logistic()).fit(features, labels, seed=1)
    >>> (model.predict(np.array([[-2, 0], [0, 0], [2, 0]], dtype=np.float32)).round(1) + 0).tolist()
    [-1.0, 0.0, 1.0]
    """

    base: Any

    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if not isinstance(self.base, ClassAlgorithm):
            raise TypeError(f"base must learn several classes, {type(self.base).__name__} tells two apart")

    @property
    def name(self) -> str:
        """That of the classifier."""
        return str(self.base.name)

    @property
    def suffix(self) -> str:
        """That of the classifier's files."""
        return str(self.base.suffix)

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None) -> Model:
        """Learn all three classes."""
        return self._inner().fit_classes(features, _classes(labels), seed, weights)

    def load(self, content: bytes) -> Model:
        """Read a file of such a model."""
        model: Model = self.base.load(content)
        if not isinstance(model, ClassModel):
            raise ModelError("the file holds a model of two classes, expected hold, buy and sell. Train it again.")
        return model

    def _inner(self) -> ClassAlgorithm:
        inner: ClassAlgorithm = self.base
        return inner


class _ClassStages(Protocol):
    steps: int

    def with_steps(self, steps: int) -> Self: ...
    def learn_classes(
        self,
        features: FloatMatrix,
        classes: FloatArray,
        seed: int,
        weights: FloatArray | None,
        tail: FloatMatrix,
    ) -> Iterator[Stage]: ...


@dataclass(frozen=True)
class StepwiseByClass(ByClass):
    """The same for a classifier that learns step by step."""

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return self._stages().steps

    def with_steps(self, steps: int) -> Self:
        """Give the same with another number of steps."""
        return replace(self, base=self._stages().with_steps(steps))

    def learn(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None, tail: FloatMatrix
    ) -> Iterator[Stage]:
        """Learn, and give the chances of ``tail`` after each step."""
        return self._stages().learn_classes(features, _classes(labels), seed, weights, tail)

    def _stages(self) -> _ClassStages:
        inner: _ClassStages = self.base
        return inner


def for_label(algorithm: Algorithm, *, has_classes: bool) -> Algorithm:
    """Give what learns the label: a classifier learns hold, buy and sell as classes, anything else as numbers."""
    if not (has_classes and algorithm.is_classifier and isinstance(algorithm, ClassAlgorithm)):
        return algorithm
    return (StepwiseByClass if hasattr(algorithm, "learn_classes") else ByClass)(algorithm)


def _classes(labels: FloatArray) -> FloatArray:
    classes = class_places(labels)
    absent = [name for place, name in zip(map(int, CLASSES), CLASS_NAMES, strict=True) if not (classes == place).any()]
    if absent:
        raise ModelError(
            f"no row to learn from is labelled {' or '.join(absent)}: lengthen the training window, or loosen the label"
        )
    return classes.astype(np.float64)
