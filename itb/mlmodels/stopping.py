"""When to stop learning: judged on the newest training rows, from whose labels nothing was learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import numpy as np

from itb.market.bars import FloatArray
from itb.mlmodels.algorithm import FloatMatrix, Model
from itb.mlmodels.judges import Judge, Loss, Scores, TradingResult
from itb.mlmodels.lesson import Lesson

_MOST_CLASSES = 3


@dataclass(frozen=True, eq=False)
class Stage:
    """What is learned after a number of steps: scores of the rows held back, and the way to the model."""

    steps: int
    scores: Scores
    model: Callable[[], Model]


@runtime_checkable
class Stepwise(Protocol):
    """An algorithm that learns step by step: trees, or passes over the rows."""

    @property
    def is_classifier(self) -> bool:
        """Whether scores are probabilities."""

    def with_steps(self, steps: int) -> Self:
        """Give the same algorithm, which takes ``steps`` steps."""

    def learn(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None, tail: FloatMatrix
    ) -> Iterator[Stage]:
        """Learn, and score the rows ``tail`` after each step."""

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None) -> Model:
        """Take all steps."""


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when ``patience`` steps have not improved what the ``judge`` says of the newest rows.

    The newest ``tail_fraction`` of the rows are held back; rows whose label was not known before the first of them
    are left out (they would tell of it). The model of the best step is fitted anew on all rows (``refit``), or is
    itself the result. No row that is scored later is looked at: all of this happens inside the training window.
    """

    judge: Judge = field(default_factory=Loss)
    tail_fraction: float = 0.2
    patience: int = 20
    refit: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.tail_fraction < 1:
            raise ValueError(f"tail_fraction must be between 0 and 1, was {self.tail_fraction}")
        if self.patience < 1:
            raise ValueError(f"patience must be at least 1, was {self.patience}")

    def cut(self, lesson: Lesson) -> tuple[Lesson, Lesson] | None:
        """Give the rows to learn from and the newest ones; ``None`` where either cannot tell classes or numbers apart.

        ``None`` too where a trading result is asked for and nobody knows the closes.

        >>> rows = np.arange(10)
        >>> lesson = Lesson(np.zeros((10, 1), dtype=np.float32), rows % 2.0, rows, rows + 3)
        >>> learned, tail = EarlyStopping().cut(lesson)
        >>> learned.rows.tolist(), tail.rows.tolist()
        ([0, 1, 2, 3, 4], [8, 9])
        """
        if lesson.close is None and isinstance(self.judge, TradingResult):
            return None
        start = len(lesson) - round(len(lesson) * self.tail_fraction)
        if not 0 < start < len(lesson):
            return None
        first = int(lesson.rows[start])
        learned = lesson.take(lesson.known_before(first))
        tail = lesson.take(np.arange(start, len(lesson)))
        if any(not len(part) or (part.labels == part.labels[0]).all() for part in (learned, tail)):
            return None
        classes = set(np.unique(lesson.labels).tolist())
        if len(classes) <= _MOST_CLASSES and set(np.unique(learned.labels).tolist()) != classes:
            return None
        return learned, tail

    def best(self, algorithm: Stepwise, learned: Lesson, weights: FloatArray | None, tail: Lesson, seed: int) -> Stage:
        """Learn until it no longer helps; give the best stage, the last if none is judged.

        Of stages that the judge holds for equal, as a trading result does where no trade pays, the one with the lower
        loss is the better, of equals the earliest.
        """
        last, best, highest = None, None, (-np.inf, -np.inf)
        for stage in algorithm.learn(learned.features, learned.labels, seed, weights, tail.features):
            worth = self.judge(stage.scores, tail, is_classifier=algorithm.is_classifier)
            merit = worth, Loss()(stage.scores, tail, is_classifier=algorithm.is_classifier)
            last = stage
            if np.isfinite(worth) and merit > highest:
                best, highest = stage, merit
            elif best is not None and stage.steps - best.steps >= self.patience:
                break
        assert last is not None, "an algorithm takes at least one step"
        return best or last
