"""The intelligent-trading-bot's statistics of a series over windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.rolling import Moments, rolling_ago, rolling_mean, rolling_slope
from itb.indicators.rolling_lags import rolling_area, rolling_run_below_mean
from itb.indicators.series import series, series_warmup
from itb.indicators.window_relative import RelBase, RelFunc, WindowRelative
from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class ItbStats(ColumnFamily):
    """Statistics of the last ``window`` bars with the names and conventions of intelligent-trading-bot's ``itbstats``.

    ``functions``: ``scipy_skew`` and ``scipy_kurtosis`` (excess; as ``bias`` says: false corrects for the sample's
    size), ``pandas_skew`` and ``pandas_kurtosis`` (always corrected), ``lsbm`` (longest run strictly below the
    window's mean, in bars), ``fmax`` (place of the first maximum, 0 for the oldest bar, over the window's length),
    ``mean``, ``std`` (of the population), ``area`` (sum of the differences from the newest value over the sum of
    their sizes, in [-1, 1]) and ``slope`` (least squares, per bar). Columns are named ``<input>_<function>_<window>``.
    ``rel_base``, ``rel_func``, ``percentage`` and ``log`` relate the windows of one function:
    see :class:`itb.indicators.window_relative.WindowRelative`.

    NaN until a whole window is there (the original starts with half of one), where the window holds a NaN (the
    original fills it from the next value, which looks ahead), and for skew, kurtosis and area of equal values.

    >>> ItbStats(("area", "fmax"), windows=(5, 10)).names
    ('close_area_5', 'close_area_10', 'close_fmax_5', 'close_fmax_10')
    """

    functions: tuple[str, ...]
    windows: tuple[int, ...]
    inputs: tuple[str, ...] = ("close",)
    bias: bool = False
    rel_base: RelBase = ""
    rel_func: RelFunc = ""
    percentage: bool = False
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("functions", "windows", "inputs"):
            require(name, getattr(self, name))
        for function in self.functions:
            if function not in _STATISTICS:
                raise ValueError(f"functions: no statistic {function!r}; there are {', '.join(_STATISTICS)}")
            least = _SMALLEST.get(function, 1)
            if min(self.windows) < least:
                raise ValueError(f"windows of {function} must be at least {least} bars, was {min(self.windows)}")
        WindowRelative(self.rel_base, self.rel_func)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(
            f"{name}_{function}_{window}"
            for name in self.inputs
            for function in self.functions
            for window in self.windows
        )

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(self.windows) - 1 + max(map(series_warmup, self.inputs))

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        related = WindowRelative(self.rel_base, self.rel_func, self.percentage, self.log)
        for name in self.inputs:
            values = series(bars, name)
            for function in self.functions:
                statistic = _STATISTICS[function]
                yield from related([statistic(values, window, self.bias) for window in self.windows])


def population_std(values: FloatArray, window: int) -> FloatArray:
    """Give the standard deviation of each window, divided by its length.

    >>> population_std(np.array([1.0, 3.0, 3.0]), 2).tolist()
    [nan, 1.0, 0.0]
    """
    root: FloatArray = np.sqrt(Moments.of(values, window, 2).central[0] / window)
    return root


def slope_or_flat(values: FloatArray, window: int) -> FloatArray:
    """Give the least-squares slope of each window; 0 for a window of one value.

    >>> slope_or_flat(np.array([10.0, 20, 40, 40, 30, 10]), 2).tolist()
    [nan, 10.0, 20.0, 0.0, -10.0, -20.0]
    """
    return rolling_slope(values, window) if window > 1 else 0 * values


def _skew(values: FloatArray, window: int, is_biased: bool) -> FloatArray:
    moments = Moments.of(values, window, 3)
    if not is_biased:
        return moments.skew
    squares, cubes = moments.central
    with np.errstate(invalid="ignore", divide="ignore"):
        skew: FloatArray = np.sqrt(window) * cubes / (squares * np.sqrt(squares))
    return skew


def _kurtosis(values: FloatArray, window: int, is_biased: bool) -> FloatArray:
    moments = Moments.of(values, window, 4)
    if not is_biased:
        return moments.kurtosis
    squares, _, fourths = moments.central
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis: FloatArray = window * fourths / (squares * squares) - 3
    return kurtosis


def _first_maximum(values: FloatArray, window: int, _bias: bool) -> FloatArray:
    place = np.full(len(values), np.nan)
    backwards = rolling_ago(values[::-1], window, highest=True)[::-1]  # seen from the oldest bar, the first is latest
    place[window - 1 :] = backwards[: max(len(values) - window + 1, 0)] / window
    return place


_STATISTICS: dict[str, Callable[[FloatArray, int, bool], FloatArray]] = {
    "scipy_skew": _skew,
    "scipy_kurtosis": _kurtosis,
    "pandas_skew": lambda values, window, _: _skew(values, window, is_biased=False),
    "pandas_kurtosis": lambda values, window, _: _kurtosis(values, window, is_biased=False),
    "lsbm": lambda values, window, _: rolling_run_below_mean(values, window),
    "fmax": _first_maximum,
    "mean": lambda values, window, _: rolling_mean(values, window),
    "std": lambda values, window, _: population_std(values, window),
    "area": lambda values, window, _: rolling_area(values, window),
    "slope": lambda values, window, _: slope_or_flat(values, window),
}
_SMALLEST = {"scipy_skew": 3, "pandas_skew": 3, "scipy_kurtosis": 4, "pandas_kurtosis": 4, "area": 2}
