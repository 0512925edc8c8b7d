"""One score from two that speak for opposite directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from itb.indicators.signals.signal import Columns, Range, Ranges, check_names
from itb.market.bars import FloatArray

How = Literal["difference", "relative", "larger"]


@dataclass(frozen=True)
class Combine:
    """A score above 0 for growth and below 0 for decline (intelligent-trading-bot's ``combine``).

    ``columns`` are (up, down), each at least 0. ``combine``: ``"difference"`` gives up - down, ``"relative"``
    2 up / (up + down) - 1, ``"larger"`` up where up >= down and -down elsewhere. The result is multiplied by
    ``coefficient`` and ``constant`` is added. NaN where one of the two is, and for ``"relative"`` where their sum is 0.

    >>> both = Combine(columns=("up", "down"), names="score", combine="larger")
    >>> both({"up": np.array([0.7, 0.2]), "down": np.array([0.1, 0.4])})["score"].tolist()
    [0.7, -0.4]
    """

    columns: tuple[str, ...]
    names: str
    combine: How
    coefficient: float = 1.0
    constant: float = 0.0

    def __post_init__(self) -> None:
        check_names("columns", self.columns, 2)
        check_names("names", (self.names,), 1)
        if self.combine not in get_args(How):
            raise ValueError(f'combine must be "difference", "relative" or "larger", was {self.combine!r}')
        if self.coefficient == 0 or not math.isfinite(self.coefficient):
            raise ValueError(f"coefficient must be a number other than 0, was {self.coefficient}")
        if not math.isfinite(self.constant):
            raise ValueError(f"constant must be a number, was {self.constant}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        """The column that it makes."""
        return (self.names,)

    @property
    def warmup(self) -> int:
        """No earlier row decides a value."""
        return 0

    def __call__(self, columns: Columns) -> dict[str, FloatArray]:
        """Compute the combined score."""
        up, down = (np.asarray(columns[name], dtype=np.float64) for name in self.columns)
        return {self.names: self.coefficient * _HOW[self.combine](up, down) + self.constant}

    def ranges(self, known: Ranges) -> tuple[Range, ...]:
        """Derive the range from those of the two scores."""
        low, high = _RANGES[self.combine](*(known[name] for name in self.columns))
        ends = sorted(self.coefficient * end + self.constant for end in (low, high))
        return ((ends[0], ends[1]),)


def _relative(up: FloatArray, down: FloatArray) -> FloatArray:
    both = up + down
    share: FloatArray = np.divide(up, both, out=np.full(len(up), np.nan), where=both != 0)
    return 2 * share - 1


def _larger(up: FloatArray, down: FloatArray) -> FloatArray:
    return np.where(np.isnan(up + down), np.nan, np.where(up >= down, up, -down))


_HOW: dict[How, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "difference": np.subtract,
    "relative": _relative,
    "larger": _larger,
}


def _difference_range(up: Range, down: Range) -> Range:
    return up[0] - down[1], up[1] - down[0]


def _relative_range(up: Range, down: Range) -> Range:
    return (-1.0, 1.0) if min(up[0], down[0]) >= 0 else (-math.inf, math.inf)


def _larger_range(up: Range, down: Range) -> Range:
    larger = max(up[0], down[0])
    return min(larger, -down[1]), max(up[1], -larger)


_RANGES: dict[How, Callable[[Range, Range], Range]] = {
    "difference": _difference_range,
    "relative": _relative_range,
    "larger": _larger_range,
}
