"""One calmer score from one or more scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from itb.indicators.signals.signal import Columns, Range, Ranges, check_names
from itb.market.bars import FloatArray

_FORGOTTEN = 1e-12  # of a value: what an older row may still weigh in an exponential mean


@dataclass(frozen=True)
class Smoothen:
    """Mean of several scores, made 0 or 1 if asked, then averaged over time (intelligent-trading-bot's ``smoothen``).

    ``columns`` are averaged row by row, NaN left out. With ``point_threshold`` the mean becomes 1 at or above it and 0
    below. ``window``: a whole number (``10``) gives the mean of the last so many rows, known ones only, as soon as
    half of them are known; a number with a point (``10.0``) gives an exponential mean of that span, which starts at
    the first value and keeps its last value where scores are missing; 0 averages nothing. ``names`` is the column made.

    A row without any score stays NaN under ``point_threshold`` (the original makes it a 0, which a rule then takes for
    a low score).

    >>> calm = Smoothen(columns=("up",), names="calm", window=2)
    >>> calm({"up": np.array([1.0, 0.0, 1.0, 1.0])})["calm"].tolist()
    [1.0, 0.5, 0.5, 1.0]
    """

    columns: tuple[str, ...]
    names: str
    point_threshold: float | None = None
    window: int | float = 0

    def __post_init__(self) -> None:
        check_names("columns", self.columns)
        check_names("names", (self.names,), 1)
        if isinstance(self.window, float) and not (self.window == 0 or 1 <= self.window < math.inf):
            raise ValueError(f"window as a span must be at least 1.0, or 0 for none, was {self.window}")
        if self.window < 0:
            raise ValueError(f"window must be at least 1 row, or 0 for none, was {self.window}")
        if self.point_threshold is not None and math.isnan(self.point_threshold):
            raise ValueError("point_threshold must be a number, was nan")

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
        """How many earlier rows decide a value (scores without holes; an exponential mean forgets to 1e-12)."""
        if isinstance(self.window, int) or self.window <= 1:
            return max(int(self.window) - 1, 0)
        return math.ceil(math.log(_FORGOTTEN) / math.log1p(-2 / (self.window + 1)))

    def __call__(self, columns: Columns) -> dict[str, FloatArray]:
        """Compute the smoothed score."""
        values = _mean_known(np.array([columns[name] for name in self.columns], dtype=np.float64))
        if self.point_threshold is not None:
            values = np.where(np.isnan(values), np.nan, values >= self.point_threshold)
        if not self.window:
            return {self.names: values}
        smooth = _rolling_mean if isinstance(self.window, int) else _exponential_mean
        return {self.names: smooth(values, self.window)}

    def ranges(self, known: Ranges) -> tuple[Range, ...]:
        """Give the least and the greatest of what the mean is taken of."""
        if self.point_threshold is not None:
            return ((0.0, 1.0),)
        lows, highs = zip(*(known[name] for name in self.columns), strict=True)
        return ((min(lows), max(highs)),)


def _mean_known(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> FloatArray:
    known = ~np.isnan(rows)
    return _ratio(np.where(known, rows, 0).sum(axis=0), known.sum(axis=0), 1)


def _ratio(total: FloatArray, count: FloatArray, least: int) -> FloatArray:
    mean: FloatArray = np.divide(total, count, out=np.full(len(total), np.nan), where=count >= least)
    return mean


def _rolling_mean(values: FloatArray, window: float) -> FloatArray:
    size = int(window)
    known = ~np.isnan(values)
    total = _window_sum(np.where(known, values, 0.0), size)
    return _ratio(total, _window_sum(known.astype(np.float64), size), max(1, size // 2))


def _window_sum(values: FloatArray, size: int) -> FloatArray:
    """Add up each window from its oldest value on: so a bot that sees one window gets the bits of a whole run."""
    total = np.zeros(len(values))
    for lag in range(min(size, len(values)) - 1, -1, -1):
        total[lag:] += values[: len(values) - lag]
    return total


def _exponential_mean(values: FloatArray, span: float) -> FloatArray:
    import pandas as pd

    return pd.Series(values).ewm(span=span, adjust=False).mean().to_numpy(dtype=np.float64)
