"""What a signal is: named columns computed from score columns, each row from rows up to its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from itb.market.bars import FloatArray

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
Columns = Mapping[str, FloatArray]
SignalColumns = Mapping[str, FloatArray | Flags]
Range = tuple[float, float]
Ranges = Mapping[str, Range]


class Signal(Protocol):
    """One or more columns computed from columns of equal length.

    The laws of features bind it: later rows change nothing in earlier ones, and the last ``warmup + 1`` rows of its
    inputs give the number that all rows give.
    """

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that it reads."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Columns that it makes, in order."""
        ...

    @property
    def warmup(self) -> int:
        """How many earlier rows decide a value."""
        ...

    def __call__(self, columns: Columns) -> dict[str, FloatArray] | dict[str, Flags]:
        """Compute the outputs."""
        ...

    def ranges(self, known: Ranges) -> tuple[Range, ...]:
        """Say between which numbers each output lies, where its inputs lie in the ``known`` ranges."""
        ...


def check_names(field: str, given: tuple[str, ...], count: int | None = None) -> None:
    """Refuse names that are none, empty, twice there, or not as many as wanted."""
    wanted = f"{count}" if count else "one or more"
    if not given or "" in given or (count and len(given) != count):
        raise ValueError(f"{field} must be {wanted} column names, was {given!r}")
    if len(set(given)) < len(given):
        raise ValueError(f"{field} must differ from each other, were {', '.join(given)}")
