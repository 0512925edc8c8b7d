"""The shape of a series over windows, as features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.rolling_shape import (
    rolling_autocorrelation,
    rolling_c3,
    rolling_complexity,
    rolling_curvature,
    rolling_energy,
    rolling_peaks,
)
from itb.indicators.series import series, series_warmup
from itb.market.bars import Bars, FloatArray

_LAGGED = ("autocorrelation", "c3")


@dataclass(frozen=True)
class SeriesShape(ColumnFamily):
    """How a series moves inside the last ``window`` bars: what tsfresh names well, at a small part of its cost.

    ``functions``: ``energy`` (sum of squares), ``peaks`` (values above both neighbours), ``curvature`` (mean of half
    the second differences), ``complexity`` (root of the summed squares of the steps), ``autocorrelation`` at ``lag``
    bars, and ``c3`` (mean product of three values ``lag`` bars apart: non-linearity). Columns are named
    ``<input>_<function>_<window>``, with ``_lag_<lag>`` where a lag is read and is not 1.

    NaN in the first rows, where the window holds a NaN, and for the autocorrelation of equal values.

    Parameters
    ----------
    functions
        Any of `energy`, `peaks`, `curvature`, `complexity`, `autocorrelation`, `c3`.
    lag
        How many bars apart `autocorrelation` and `c3` look.

    >>> SeriesShape(("energy", "c3"), windows=(24,), lag=2).names
    ('log_return_energy_24', 'log_return_c3_24_lag_2')
    """

    functions: tuple[str, ...]
    windows: tuple[int, ...]
    inputs: tuple[str, ...] = ("log_return",)
    lag: int = 1

    def __post_init__(self) -> None:
        for name in ("functions", "windows", "inputs"):
            require(name, getattr(self, name))
        if self.lag < 1:
            raise ValueError(f"lag must be at least 1 bar, was {self.lag}")
        for function in self.functions:
            if function not in _FUNCTIONS:
                raise ValueError(f"functions: no function {function!r}; there are {', '.join(_FUNCTIONS)}")
            least = {"c3": 2 * self.lag + 1, "autocorrelation": self.lag + 1}.get(function, _SMALLEST.get(function, 1))
            if min(self.windows) < least:
                raise ValueError(f"windows of {function} must be at least {least} bars, was {min(self.windows)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(
            f"{name}_{function}_{window}" + (f"_lag_{self.lag}" if function in _LAGGED and self.lag > 1 else "")
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
        for name in self.inputs:
            values = series(bars, name)
            for function in self.functions:
                yield from (_FUNCTIONS[function](values, window, self.lag) for window in self.windows)


_FUNCTIONS: dict[str, Callable[[FloatArray, int, int], FloatArray]] = {
    "energy": lambda values, window, _: rolling_energy(values, window),
    "peaks": lambda values, window, _: rolling_peaks(values, window),
    "curvature": lambda values, window, _: rolling_curvature(values, window),
    "complexity": lambda values, window, _: rolling_complexity(values, window),
    "autocorrelation": rolling_autocorrelation,
    "c3": rolling_c3,
}
_SMALLEST = {"peaks": 3, "curvature": 3, "complexity": 2}
