"""What is lost where only labels known by a certain bar may be learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.labels.column import NEVER

if TYPE_CHECKING:
    from itb.market.bars import FloatArray
    from itb.mlmodels.labels.column import LabelColumn


@dataclass(frozen=True)
class Dropped:
    """How many rows of a training window are too new to be learned from, and whether they differ from the others.

    ``rows`` of the window will have a label some day; ``late`` of them do not yet. ``kept`` and ``lost`` give the share
    of each class among those learned from and those left out (empty for labels that are numbers), ``kept_mean`` and
    ``lost_mean`` the mean label, NaN of no rows. A hindsight label settles some classes later than others, so a model
    sees fewer of them than there are.

    >>> from itb.mlmodels.labels.column import LabelColumn
    >>> column = LabelColumn(np.array([0.0, 0.0, 1.0, 1.0, np.nan]), np.array([1, 2, 3, 9, -1]))
    >>> dropped = Dropped.of(column, start=0, stop=5, known_by=4)
    >>> print(dropped)
    1 of 4 rows (25.0 %) not known yet; of those kept 67 % are 0, 33 % are 1, of those dropped 100 % are 1
    """

    rows: int
    late: int
    kept: dict[float, float]
    lost: dict[float, float]
    kept_mean: float
    lost_mean: float

    @classmethod
    def of(cls, column: LabelColumn, start: int, stop: int, known_by: int) -> Dropped:
        """Look at rows ``start:stop`` of a whole history's label, learned from at the close of bar ``known_by``."""
        known_at, values = column.known_at[start:stop], column.values[start:stop]
        kept = values[(known_at != NEVER) & (known_at <= known_by)]
        lost = values[known_at > known_by]
        return cls(len(kept) + len(lost), len(lost), _shares(kept), _shares(lost), _mean(kept), _mean(lost))

    @property
    def share(self) -> float:
        """Fraction of the rows that are dropped."""
        return self.late / self.rows if self.rows else 0.0

    def __str__(self) -> str:
        said = f"{self.late} of {self.rows} rows ({100 * self.share:.1f} %) not known yet"
        if self.kept and self.lost:
            return f"{said}; of those kept {_told(self.kept)}, of those dropped {_told(self.lost)}"
        if self.late and self.late < self.rows:
            return f"{said}; the mean of those kept is {self.kept_mean:.4g}, of those dropped {self.lost_mean:.4g}"
        return said


_MOST_CLASSES = 5


def _shares(values: FloatArray) -> dict[float, float]:
    classes, counts = np.unique(values, return_counts=True)
    if len(classes) > _MOST_CLASSES or (classes != np.round(classes)).any():
        return {}
    return {float(value): float(count) / len(values) for value, count in zip(classes, counts, strict=True)}


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _told(shares: dict[float, float]) -> str:
    return ", ".join(f"{100 * share:.0f} % are {value:g}" for value, share in shares.items())
