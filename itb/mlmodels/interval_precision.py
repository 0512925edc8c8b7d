"""How well scores find stretches of a label, each stretch counted once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from itb.market.bars import FloatArray, IntArray


@dataclass(frozen=True)
class IntervalQuality:
    """Stretches of rows with one label: true and false positives, true and false negatives.

    Figures that have nothing to divide by are 0.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Share of the stretches hit that are of label 1."""
        hit = self.true_positives + self.false_positives
        return self.true_positives / hit if hit else 0.0

    @property
    def recall(self) -> float:
        """Share of the stretches of label 1 that were hit."""
        true = self.true_positives + self.false_negatives
        return self.true_positives / true if true else 0.0


@dataclass(frozen=True, eq=False)
class Intervals:
    """Stretches of rows ``[starts, stops)``, their label, and whether any of their scores reaches the threshold."""

    starts: IntArray
    stops: IntArray
    labels: FloatArray
    is_hit: np.ndarray[tuple[int], np.dtype[np.bool_]]

    @property
    def quality(self) -> IntervalQuality:
        """Count the stretches: one hit is enough for a true one, and too much for a false one."""
        is_true = self.labels > 0
        pairs = ((is_true, self.is_hit), (~is_true, self.is_hit), (~is_true, ~self.is_hit), (is_true, ~self.is_hit))
        return IntervalQuality(*(int((kind & hit).sum()) for kind, hit in pairs))


def find_intervals(labels: FloatArray, scores: FloatArray, threshold: float) -> Intervals:
    """Cut rows into stretches of equal labels (0 or 1) and look for a score at or above ``threshold`` in each.

    An unknown label (NaN) belongs to no stretch and ends one; a NaN score hits nothing. Each neighbour of a top is a
    correct answer, so that points alone would count one found top many times (intelligent-trading-bot's
    ``find_interval_precision``).

    >>> labels, scores = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0]), np.array([0.1, 0.2, 0.9, 0.3, 0.1, 0.8])
    >>> found = find_intervals(labels, scores, threshold=0.5)
    >>> found.starts.tolist(), found.is_hit.tolist(), found.quality.precision
    ([0, 1, 4], [False, True, True], 0.5)
    """
    if len(labels) != len(scores):
        raise ValueError(f"labels and scores must be as long as each other, were {len(labels)} and {len(scores)} rows")
    kinds = np.where(np.isnan(labels), -1.0, labels)
    changes = np.flatnonzero(np.diff(kinds)) + 1
    starts = np.concatenate([[0], changes]).astype(np.int64)[: len(kinds)]
    stops = np.append(changes, len(kinds)).astype(np.int64)[: len(starts)]
    hits = np.concatenate([[0], np.cumsum(scores >= threshold)])
    known = kinds[starts] >= 0
    starts, stops = starts[known], stops[known]
    return Intervals(starts, stops, kinds[starts], hits[stops] > hits[starts])
