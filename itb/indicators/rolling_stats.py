"""Rolling statistics of any series, each computed from its window alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.relative import relative_name, relative_to
from itb.indicators.rolling import Moments, rolling_extreme, rolling_mean, rolling_rank, rolling_slope
from itb.indicators.series import series, series_warmup
from itb.market.bars import Bars, FloatArray

_KINDS = {
    "mean": "level",
    "std": "distance",
    "min": "level",
    "max": "level",
    "skew": "pure",
    "kurtosis": "pure",
    "slope": "distance",
    "zscore": "pure",
    "rank": "pure",
    "position": "pure",
}
_SMALLEST = {"mean": 1, "min": 1, "max": 1, "skew": 3, "kurtosis": 4}
_ORDER = {"mean": 1, "std": 2, "zscore": 2, "skew": 3, "kurtosis": 4}


@dataclass(frozen=True)
class RollingStats(ColumnFamily):
    """Statistics of the last ``window`` bars, the present one included.

    ``functions``: ``mean``, ``std`` (sample), ``min``, ``max``, ``skew`` and ``kurtosis`` (adjusted, excess; as
    pandas), ``slope`` (least squares, per bar), ``zscore`` (present value less mean, over std), ``rank`` (share in
    (0, 1]), ``position`` (between min 0 and max 1). ``inputs`` are columns of the bars or names of
    :data:`itb.indicators.series.SERIES`. Columns are named ``<input>_<function>_<window>``: ``log_return_std_24``.
    ``relative`` names a column: mean, min and max become ``value / close - 1``, std and slope ``value / close``,
    each with ``_rel_close`` added to its name.

    NaN in the first rows, where the window holds a NaN, and where 0 is divided by 0: skew, kurtosis, zscore and
    position of a window of equal values.

    >>> RollingStats(("mean", "std"), windows=(5, 20), inputs=("log_return",)).names
    ('log_return_mean_5', 'log_return_std_5', 'log_return_mean_20', 'log_return_std_20')
    """

    functions: tuple[str, ...]
    windows: tuple[int, ...]
    inputs: tuple[str, ...] = ("log_return",)
    relative: str = ""

    def __post_init__(self) -> None:
        for name in ("functions", "windows", "inputs"):
            require(name, getattr(self, name))
        for function in self.functions:
            if function not in _KINDS:
                raise ValueError(f"functions: no statistic {function!r}; there are {', '.join(_KINDS)}")
            least = _SMALLEST.get(function, 2)
            if min(self.windows) < least:
                raise ValueError(f"windows of {function} must be at least {least} bars, was {min(self.windows)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(
            relative_name(f"{name}_{function}_{window}", _KINDS[function], self.relative)
            for name in self.inputs
            for window in self.windows
            for function in self.functions
        )

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(self.windows) - 1 + max(map(series_warmup, self.inputs))

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        order = max((_ORDER.get(function, 0) for function in self.functions), default=0)
        for name in self.inputs:
            values = series(bars, name)
            for window in self.windows:
                moments = Moments.of(values, window, order) if order else None
                for function in self.functions:
                    column = _statistic(function, values, window, moments)
                    yield relative_to(column, _KINDS[function], bars, self.relative)


def _statistic(function: str, values: FloatArray, window: int, moments: Moments | None) -> FloatArray:
    if moments is not None and function in _ORDER:
        return _zscore(values, moments) if function == "zscore" else _OF_MOMENTS[function](moments)
    if function == "position":
        low, high = (rolling_extreme(values, window, extreme) for extreme in (np.minimum, np.maximum))
        return _ratio(values - low, high - low)
    return _ALONE[function](values, window)


_OF_MOMENTS: dict[str, Callable[[Moments], FloatArray]] = {
    "mean": lambda moments: moments.mean,
    "std": lambda moments: moments.std,
    "skew": lambda moments: moments.skew,
    "kurtosis": lambda moments: moments.kurtosis,
}
_ALONE: dict[str, Callable[[FloatArray, int], FloatArray]] = {
    "min": lambda values, window: rolling_extreme(values, window, np.minimum),
    "max": lambda values, window: rolling_extreme(values, window, np.maximum),
    "slope": rolling_slope,
    "rank": rolling_rank,
}


def rolling_zscore(values: FloatArray, window: int) -> FloatArray:
    """Give each value less its window's mean, over the window's sample standard deviation; NaN if that is 0.

    >>> rolling_zscore(np.array([1.0, 2.0, 3.0, 3.0, 3.0]), 3).round(4).tolist()
    [nan, nan, 1.0, 0.5774, nan]
    """
    return _zscore(values, Moments.of(values, window, 2))


def _zscore(values: FloatArray, moments: Moments) -> FloatArray:
    return _ratio(values - moments.mean, moments.std)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0)
    return ratio


@dataclass(frozen=True)
class RollingRatio(ColumnFamily):
    """Mean over a short window divided by the mean over a long one, of series that are not negative.

    ``pairs`` are (short, long) in bars. Columns are named ``<input>_ratio_<short>_<long>``: ``volume_ratio_5_60``.
    NaN in the first rows, where the long window holds a NaN, and where its mean is 0.

    >>> RollingRatio(pairs=((5, 60),)).names
    ('volume_ratio_5_60',)
    """

    pairs: tuple[tuple[int, int], ...]
    inputs: tuple[str, ...] = ("volume",)

    def __post_init__(self) -> None:
        require("pairs", self.pairs)
        require("inputs", self.inputs)
        for pair in self.pairs:
            short, long = pair
            if not 1 <= short < long:
                raise ValueError(f"pairs must be (short, long) with 1 <= short < long, was ({short}, {long})")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f"{name}_ratio_{short}_{long}" for name in self.inputs for short, long in self.pairs)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(long for _, long in self.pairs) - 1 + max(map(series_warmup, self.inputs))

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for name in self.inputs:
            values = series(bars, name)
            for short, long in self.pairs:
                yield _ratio(rolling_mean(values, short), rolling_mean(values, long))
