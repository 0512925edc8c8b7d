"""Bulk writes into backtrader's lines, and its day numbers for whole arrays."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from itb.market.bars import FloatArray, IntArray

_EPOCH_DAY = 719_163  # proleptic Gregorian ordinal of 1970-01-01


def as_buffer(values: FloatArray) -> array.array[float]:
    """Copy a float64 array into the ``array.array`` that a backtrader line is made of, in one memory copy."""
    buffer = array.array("d")
    buffer.frombytes(np.ascontiguousarray(values, dtype=np.float64).data.cast("B"))
    return buffer


def day_numbers(time_ms: IntArray) -> FloatArray:
    """Give backtrader's date numbers of UTC millisecond stamps, bit-equal to ``backtrader.date2num``.

    Only whole seconds are exact. The terms are added in backtrader's own order: another order moves the last bit.

    >>> float(day_numbers(np.array([0]))[0])
    719163.0
    """
    days, seconds = np.divmod(np.asarray(time_ms, dtype=np.int64) // 1000, 86_400)
    hours, rest = np.divmod(seconds, 3600)
    minutes, seconds = np.divmod(rest, 60)
    numbers: FloatArray = (days + _EPOCH_DAY) + (hours / 24.0 + minutes / 1440.0 + seconds / 86400.0)
    return numbers


def lines_below(part: Any) -> Iterator[Any]:
    """Walk every line buffer of an indicator (or line operation) and of the indicators inside it."""
    from backtrader import LineIterator

    yield from part.lines if hasattr(part, "lines") else [part]  # an empty line set is falsy: ask for it by name
    for inner in getattr(part, "_lineiterators", {}).get(LineIterator.IndType, []):
        yield from lines_below(inner)


def first_at_least(values: FloatArray, level: float, *, offset: int = 0) -> int:
    """Index of the first value at or above ``level``, plus ``offset``; past the end when there is none.

    Looks in windows that double, so a near answer costs little in a long array. NaN is never found.

    >>> first_at_least(np.array([1.0, 3.0, 2.0]), 2.0)
    1
    """
    start, width = 0, 64
    while start < len(values):
        found = values[start : start + width] >= level
        if found.any():
            return offset + start + int(found.argmax())
        start, width = start + width, min(width * 4, 65_536)
    return offset + len(values)
