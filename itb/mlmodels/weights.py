"""How much each training row counts: by uniqueness, by age, by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.row_weights import balanced
from itb.mlmodels.uniqueness import average_uniqueness, label_spans


class SampleWeights(Protocol):
    """Weights of training rows; they look at these rows and their labels only, never at rows that are scored."""

    def __call__(self, rows: IntArray, labels: FloatArray, known_at: IntArray) -> FloatArray:
        """Weigh ``rows`` (ascending) with their ``labels``; ``known_at`` is that of the whole column.

        Weights are at least 0 and their mean is 1.
        """


@dataclass(frozen=True)
class UniquenessWeights:
    """Weigh a row by its label's average uniqueness among the labels learned from.

    >>> UniquenessWeights()(np.array([0, 1, 5]), np.zeros(3), np.arange(6) + 2).round(3).tolist()
    [0.9, 0.9, 1.2]
    """

    def __call__(self, rows: IntArray, labels: FloatArray, known_at: IntArray) -> FloatArray:  # noqa: ARG002  # one signature for all weights
        return _scaled(average_uniqueness(*label_spans(rows, known_at)))


@dataclass(frozen=True)
class TimeDecay:
    """Let old rows count less, by a straight line over the uniqueness gathered since (AFML 4.7).

    The newest row has weight 1 before scaling. ``oldest`` is the weight that the line reaches at the first row: 1
    for no decay, 0 for none at all; -0.25 gives the oldest quarter of the uniqueness no weight.

    >>> TimeDecay(oldest=0.5).line(np.ones(4)).tolist()
    [0.625, 0.75, 0.875, 1.0]
    >>> TimeDecay(oldest=-0.5).line(np.ones(4)).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """

    oldest: float = 0.5

    def __post_init__(self) -> None:
        if not -1 < self.oldest <= 1:
            raise ValueError(f"oldest must be above -1 and at most 1, was {self.oldest}")

    def line(self, uniqueness: FloatArray) -> FloatArray:
        """Give the unscaled weights of rows with such uniqueness, oldest first."""
        gathered = np.cumsum(uniqueness)
        whole = gathered[-1]
        slope = (1 - self.oldest) / whole if self.oldest >= 0 else 1 / ((self.oldest + 1) * whole)
        return np.asarray(np.maximum(0.0, 1 + slope * (gathered - whole)), dtype=np.float64)

    def __call__(self, rows: IntArray, labels: FloatArray, known_at: IntArray) -> FloatArray:  # noqa: ARG002  # one signature for all weights
        return _scaled(self.line(average_uniqueness(*label_spans(rows, known_at))) if len(rows) else np.zeros(0))


@dataclass(frozen=True)
class ClassBalance:
    """Let every class count the same: a row weighs rows / (classes x rows of its class).

    It is what FollowUpward reaches by drawing from each of its three classes with chance 1/3.

    >>> ClassBalance()(np.arange(4), np.array([0.0, 0.0, 0.0, 1.0]), np.arange(4) + 1).round(4).tolist()
    [0.6667, 0.6667, 0.6667, 2.0]
    """

    def __call__(self, rows: IntArray, labels: FloatArray, known_at: IntArray) -> FloatArray:  # noqa: ARG002  # one signature for all weights
        return balanced(labels, np.ones(len(labels)))


@dataclass(frozen=True)
class Product:
    """Weigh by several ways at once: their weights multiplied, with mean 1.

    >>> Product((ClassBalance(), TimeDecay(1.0)))(np.arange(2), np.array([0.0, 1.0]), np.arange(2) + 1).tolist()
    [1.0, 1.0]
    """

    parts: tuple[SampleWeights, ...]

    def __call__(self, rows: IntArray, labels: FloatArray, known_at: IntArray) -> FloatArray:
        weights = np.ones(len(rows))
        for part in self.parts:
            weights = weights * part(rows, labels, known_at)
        return _scaled(weights)


WEIGHTS: dict[str, type[SampleWeights]] = {
    "uniqueness": UniquenessWeights,
    "time_decay": TimeDecay,
    "class_balance": ClassBalance,
}


def balanced_rows(labels: FloatArray, rng: np.random.Generator, batch: int = 32) -> IntArray:
    """Draw positions for one epoch in which every class is equally frequent, as FollowUpward does.

    There are ceil(classes x largest class / ``batch``) batches. Each class runs through all its rows in random order
    before it repeats one; each row of a batch belongs to a class chosen at random.

    >>> labels = np.array([0.0] * 30 + [1.0] * 10 + [2.0] * 5)
    >>> len(balanced_rows(labels, np.random.default_rng(0)))  # ceil(3 * 30 / 32) * 32
    96
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, was {batch}")
    classes, counts = np.unique(labels, return_counts=True)
    if not len(classes):
        return np.zeros(0, dtype=np.int64)
    length = -(-len(classes) * int(counts.max()) // batch) * batch
    chosen = rng.integers(0, len(classes), length)
    rows = np.zeros(length, dtype=np.int64)
    for number, value in enumerate(classes):
        own, places = np.flatnonzero(labels == value), np.flatnonzero(chosen == number)
        rounds = -(-len(places) // len(own))
        stream = [rng.permutation(own) for _ in range(rounds)]
        rows[places] = np.concatenate([*stream, own[:0]])[: len(places)]
    return rows


def _scaled(weights: FloatArray) -> FloatArray:
    return weights / weights.mean() if len(weights) else weights
