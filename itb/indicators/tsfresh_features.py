"""tsfresh's calculators as features, window by window; slow, and an optional extra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from itb.errors import FeatureError
from itb.indicators.feature import ColumnFamily, require
from itb.indicators.series import series, series_warmup
from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class TsfreshFeatures(ColumnFamily):
    """Calculators of tsfresh that give one number, on the last ``window`` bars of each row.

    ``functions`` are names from ``tsfresh.feature_extraction.feature_calculators``, such as ``skewness``,
    ``mean_second_derivative_central``, ``longest_strike_below_mean``, ``approximate_entropy``; ``parameters`` are
    passed to those that have them. Columns are named ``<input>_<function>_<window>``. Each window is a call of Python:
    a year of minutes takes hours. What the families ``stats``, ``itbstats`` and ``shape`` also have is much faster
    there. Needs ``pip install itb[tsfresh]``; raises :class:`itb.errors.FeatureError` without it.

    NaN in the first rows, where the window holds a NaN, and where a calculator gives infinity or no number.

    Parameters
    ----------
    functions
        Names of calculators that give one number.

    >>> TsfreshFeatures(("skewness",), windows=(30,)).names
    ('close_skewness_30',)
    """

    functions: tuple[str, ...]
    windows: tuple[int, ...]
    inputs: tuple[str, ...] = ("close",)
    parameters: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("functions", "windows", "inputs"):
            require(name, getattr(self, name))
        for function in self.functions:
            if not function.isidentifier() or function.startswith("_"):
                raise ValueError(f"functions: {function!r} is no name of a calculator, such as skewness")
        if min(self.windows) < 1:
            raise ValueError(f"windows must be at least 1 bar, was {min(self.windows)}")

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
        calculators = [self._calculator(function) for function in self.functions]
        for name in self.inputs:
            values = series(bars, name)
            for calculator in calculators:
                yield from (_by_window(values, window, calculator) for window in self.windows)

    def _calculator(self, function: str) -> Callable[[FloatArray], Any]:
        import inspect

        try:
            from tsfresh.feature_extraction import feature_calculators
        except ImportError:
            raise FeatureError(
                'the family "tsfresh" needs the package tsfresh, which is not installed; pip install "itb[tsfresh]"'
            ) from None
        found: Any = getattr(feature_calculators, function, None)
        if getattr(found, "fctype", "") != "simple":
            raise FeatureError(
                f"tsfresh has no calculator {function!r} that gives one number; see its list of feature calculators"
            )
        taken = dict(list(inspect.signature(found).parameters.items())[1:])
        known = {name: value for name, value in self.parameters.items() if name in taken}
        needed = [name for name, one in taken.items() if one.default is inspect.Parameter.empty]
        absent = [name for name in needed if name not in known]
        if absent:
            raise FeatureError(f"tsfresh's {function} needs parameters: {', '.join(absent)}; name them in parameters")

        def told(window: FloatArray) -> Any:
            try:
                return found(window, **known)
            except Exception as error:  # whatever a calculator makes of its parameters
                raise FeatureError(f"tsfresh's {function}: {type(error).__name__}: {error}") from error

        return told


def _by_window(values: FloatArray, window: int, calculator: Callable[[FloatArray], Any]) -> FloatArray:
    column = np.full(len(values), np.nan)
    if len(values) < window:
        return column
    windows = np.lib.stride_tricks.sliding_window_view(values, window)
    known = ~np.isnan(windows).any(axis=1)
    for row in np.flatnonzero(known).tolist():
        column[row + window - 1] = calculator(windows[row].copy())
    column[~np.isfinite(column)] = np.nan
    return column
