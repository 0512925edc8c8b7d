"""Columns under test: whatever a part gives, seen as rows of bars and named columns of float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from itb.indicators.feature import FloatMatrix
from itb.market.bars import Bars, FloatArray

Flags = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
Compute = Callable[[Bars], object]


def as_columns(values: object, bars: Bars, subject: str) -> FloatMatrix:
    """See one number per bar, or one row per bar, as a float64 array of shape (bars, columns)."""
    array = np.asarray(values, dtype=np.float64)
    matrix: FloatMatrix = array[:, np.newaxis] if array.ndim == 1 else array
    if matrix.ndim != 2 or len(matrix) != len(bars):
        raise ValueError(f"{subject} must give one row per bar, gave shape {array.shape} for {len(bars)} bars")
    return matrix


def column_names(names: Sequence[str] | None, count: int, subject: str) -> tuple[str, ...]:
    """Name columns for messages: as given, or by their number."""
    if names is not None and len(names) == count:
        return tuple(names)
    return (subject,) if count == 1 else tuple(f"column {number}" for number in range(count))


def scales(matrix: FloatMatrix) -> FloatArray:
    """Give each column's scale, the root mean square of its finite values (0 if it has none)."""
    finite = np.isfinite(matrix)
    squares = np.where(finite, matrix, 0.0) ** 2
    scale: FloatArray = np.sqrt(squares.sum(axis=0) / np.maximum(finite.sum(axis=0), 1))
    return scale


def differ(one: FloatMatrix, other: FloatMatrix, tolerance: float, scale: FloatArray) -> Flags:
    """Mark values that differ by more than ``tolerance x max(|value|, scale)``; NaN is equal to NaN only."""
    with np.errstate(invalid="ignore"):
        near = np.abs(one - other) <= tolerance * np.maximum(np.abs(other), scale)
    wrong: Flags = ~(near | (one == other) | (np.isnan(one) & np.isnan(other)))
    return wrong
