"""Bins of LightGBM that later refits use again: found once, in the first training window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels.algorithm import FloatMatrix, Model

MOST_OUTSIDE = 0.01
"""Share of a feature's values that may lie outside the range of the window that the bins were found in."""


@dataclass(frozen=True, eq=False)
class Bins:
    """The binned first window, and the lowest and the highest value of each of its features."""

    reference: Any
    low: FloatMatrix
    high: FloatMatrix

    @classmethod
    def of(cls, reference: Any, features: FloatMatrix) -> Bins:
        """Note the ranges of the rows that were binned."""
        return cls(reference, features.min(axis=0), features.max(axis=0))

    def check(self, features: FloatMatrix, names: tuple[str, ...]) -> None:
        """Refuse features that have left the range of the bins, with :class:`ModelError`.

        Values beyond the outermost bin all look the same to a tree: a price level that has risen, say.
        """
        outside = ((features < self.low) | (features > self.high)).mean(axis=0)
        worst = int(outside.argmax())
        if outside[worst] > MOST_OUTSIDE:
            raise ModelError(
                f"training.reuse_bins: {100 * outside[worst]:.2f} % of {names[worst]!r} lie outside the range it had "
                f"in the first training window, at most {100 * MOST_OUTSIDE:.0f} % may; set it to false, or make the "
                f"feature relative"
            )


@runtime_checkable
class Binned(Protocol):
    """An algorithm that sorts features into bins before it learns."""

    def bins(self, features: FloatMatrix, seed: int) -> Bins:
        """Find bins."""

    def fit_binned(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None, bins: Bins
    ) -> Model:
        """Learn, with bins that were found in other rows."""
