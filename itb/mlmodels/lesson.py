"""Rows to learn from: features and labels in order of time, and until when each label looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.algorithm import FloatMatrix


@dataclass(frozen=True, eq=False)
class Lesson:
    """Complete rows, oldest first; a row that was drawn twice is there twice.

    ``rows`` are their positions among the bars, ``known_at`` is that of the whole label column, ``close`` holds the
    closes of all bars (``None`` where nobody asks for a trading result).

    >>> lesson = Lesson(np.zeros((3, 1), dtype=np.float32), np.zeros(3), np.array([2, 3, 7]), np.arange(9) + 2)
    >>> lesson.settled.tolist(), lesson.known_before(7).tolist()
    ([2, 2, 3], [0, 1])
    """

    features: FloatMatrix
    labels: FloatArray
    rows: IntArray
    known_at: IntArray
    close: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def settled(self) -> IntArray:
        """For each row the place, here, of the first row that comes after all that its label looks at."""
        return np.searchsorted(self.rows, self.known_at[self.rows], side="right").astype(np.int64)

    def known_before(self, bar: int) -> IntArray:
        """Give the places of the rows whose label was known before ``bar``."""
        return np.flatnonzero(self.known_at[self.rows] < bar).astype(np.int64)

    def take(self, places: IntArray) -> Lesson:
        """Give some of the rows; ``places`` must not descend."""
        whole = len(places) == len(self) and np.array_equal(places, np.arange(len(self)))
        features = self.features if whole else self.features[places]
        return Lesson(features, self.labels[places], self.rows[places], self.known_at, self.close)
