"""Drift of live features: how far they are from what the model learned from, bar by bar in little memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.market.bars import FloatArray
    from itb.mlmodels.algorithm import FloatMatrix

BINS = 10
_LEAST_SHARE = 1e-4  # of an empty bin, so that one alone does not make the index infinite


@dataclass(frozen=True, eq=False)
class TrainingQuantiles:
    """Inner edges of ten bins with equally many training rows each, and the shares that fell into them, by feature."""

    edges: Mapping[str, FloatArray]
    shares: Mapping[str, FloatArray]

    @classmethod
    def of(cls, names: Sequence[str], rows: FloatMatrix, bins: int = BINS) -> TrainingQuantiles:
        """Take them from the rows that a model learned from; features without a number there are left out."""
        edges: dict[str, FloatArray] = {}
        shares: dict[str, FloatArray] = {}
        for place, name in enumerate(names):
            values = rows[:, place].astype(np.float64)
            values = values[np.isfinite(values)]
            if len(values):
                edges[name] = np.unique(np.quantile(values, np.arange(1, bins) / bins))
                shares[name] = _shares(values, edges[name])
        return cls(edges, shares)

    def index(self, name: str, values: FloatArray) -> float:
        """Give the population stability index of live values against training; NaN where there is no number.

        Sum over bins of (live - training) x ln(live / training), an empty bin counting as 1e-4. The number that
        :func:`itb.mlmodels.explore.drift.stability_index` gives for the same rows.

        >>> rows = np.arange(100.0)[:, None]
        >>> quantiles = TrainingQuantiles.of(("a",), rows)
        >>> quantiles.index("a", rows[:, 0]), round(quantiles.index("a", rows[:, 0] + 50), 2)
        (0.0, 4.35)
        """
        known = values[np.isfinite(values)]
        if name not in self.edges or not len(known):
            return float("nan")
        was, now = self.shares[name], _shares(known, self.edges[name])
        return float(np.sum((now - was) * np.log(now / was)))


def _shares(values: FloatArray, edges: FloatArray) -> FloatArray:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), _LEAST_SHARE)


class DriftWatch:
    """Keep the last ``window`` rows of features and say how far they are from training.

    Below ``least`` rows nothing is said. ``worth_telling`` is the index from which a feature counts as moved (0.25 by a
    common rule of thumb).
    """

    def __init__(
        self, names: Sequence[str], training: TrainingQuantiles, *, window: int = 500, least: int = 100
    ) -> None:
        if not 1 <= least <= window:
            raise ValueError(f"expected 1 <= least <= window, were {least} and {window}")
        self._names, self._training, self._least = tuple(names), training, least
        self._rows: deque[FloatMatrix] = deque(maxlen=window)

    def add(self, row: FloatMatrix) -> None:
        """Take the features of one bar (shape 1 x features)."""
        self._rows.append(np.array(row, dtype=np.float32))

    def against(self, training: TrainingQuantiles) -> None:
        """Compare with other training rows from now on: a new model speaks."""
        self._training = training

    def indices(self) -> dict[str, float]:
        """Give the index of each feature, empty before there are enough rows."""
        if len(self._rows) < self._least:
            return {}
        rows = np.concatenate(list(self._rows)).astype(np.float64)
        return {name: self._training.index(name, rows[:, place]) for place, name in enumerate(self._names)}

    def moved(self, worth_telling: float = 0.25) -> dict[str, float]:
        """Give the features that have moved, the farthest first."""
        found = {name: value for name, value in self.indices().items() if value >= worth_telling}
        return dict(sorted(found.items(), key=lambda one: -one[1]))
