"""What a feature is: named, past-looking columns of numbers, each of which knows how far back it looks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from itb.market.bars import Bars, FloatArray

FloatMatrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


class Feature(Protocol):
    """One or more columns computed from bars.

    Two laws bind it. Causal: bars after row t change nothing in rows up to t. Warm-up: row t is decided by bars
    ``t - warmup`` to ``t``, so that the last ``warmup + 1`` bars give the number that the whole history gives (to
    1e-9 of the column's scale). The first ``warmup`` rows of a column are NaN. :mod:`itb.laws` checks both.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        ...

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value."""
        ...

    def __call__(self, bars: Bars) -> FloatMatrix:
        """Compute a float64 array of shape (bars, names)."""
        ...


class ColumnFamily(ABC):
    """A feature that makes its columns one by one, so that many columns of many bars never lie in memory as float64."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""

    @property
    @abstractmethod
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""

    @abstractmethod
    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns in the order of ``names``; each is NaN in its first rows, as many as it looks back."""

    def __call__(self, bars: Bars) -> FloatMatrix:
        """Compute all columns as a float64 array of shape (bars, names)."""
        matrix = np.empty((len(self.names), len(bars)))
        for row, values in zip(matrix, self.columns(bars), strict=True):
            row[:] = values
        return matrix.T


def columns_of(feature: Feature, bars: Bars) -> Iterator[FloatArray]:
    """Compute the columns of any feature one by one.

    Raises ``ValueError`` where a feature of a user's own does not give one row per bar and one column per name.
    """
    if isinstance(feature, ColumnFamily):
        yield from feature.columns(bars)
        return
    matrix = np.asarray(feature(bars), dtype=np.float64)
    wanted = (len(bars), len(feature.names))
    if matrix.shape != wanted:
        raise ValueError(
            f"{feature.names[0]} must come as an array of shape {wanted}, one row per bar and one column per name; "
            f"was of shape {matrix.shape}"
        )
    yield from matrix.T


def require(what: str, values: tuple[object, ...]) -> None:
    """Refuse an empty or repeating parameter with a ``ValueError`` that names it."""
    if not values:
        raise ValueError(f"{what} must name at least one, was empty")
    if len(set(values)) < len(values):
        raise ValueError(f"{what} must name each once, was {', '.join(map(str, values))}")
