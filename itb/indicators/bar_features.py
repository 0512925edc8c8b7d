"""The bar itself as features: plain series with lags, and the time of its close."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.series import series, series_warmup
from itb.market.bars import Bars, FloatArray, IntArray
from itb.market.timeframe import DAY_MS

_THURSDAY_MS = 4 * DAY_MS  # the epoch was a Thursday: weeks count from the Monday after it
_LENGTHS = {"session": (DAY_MS // 3, 0), "day": (DAY_MS, 0), "week": (7 * DAY_MS, _THURSDAY_MS)}
_CYCLES = (*_LENGTHS, "month")


@dataclass(frozen=True)
class BarSeries(ColumnFamily):
    """Series of the bars (columns or names of :data:`itb.indicators.series.SERIES`), now and some bars ago.

    Columns are named as the series, with ``_lag_<bars>`` if it is not the present bar's.

    >>> BarSeries(("log_return", "range"), lags=(0, 1)).names
    ('log_return', 'log_return_lag_1', 'range', 'range_lag_1')
    """

    inputs: tuple[str, ...]
    lags: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        require("inputs", self.inputs)
        require("lags", self.lags)
        if min(self.lags) < 0:
            raise ValueError(f"lags must be 0 or more bars ago (a negative lag would look ahead), was {min(self.lags)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f"{name}_lag_{lag}" if lag else name for name in self.inputs for lag in self.lags)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(self.lags) + max(map(series_warmup, self.inputs))

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for name in self.inputs:
            values = series(bars, name)
            for lag in self.lags:
                column = np.full(len(values), np.nan)
                column[lag:] = values[: len(values) - lag]
                yield column


@dataclass(frozen=True)
class TimeOfClose(ColumnFamily):
    """Where the bar's close lies in cycles of time (UTC), as sine and cosine; a cycle starts at angle 0.

    ``cycles``: the ``day`` from midnight, the ``week`` from Monday, the ``session`` (eight hours, from 00:00 for Asia,
    08:00 for Europe and 16:00 for America; funding is often settled where they meet), and the ``month`` from its
    first day to its last, long or short, so that angles near 0 are the turn of the month.

    >>> TimeOfClose().names
    ('day_sin', 'day_cos', 'week_sin', 'week_cos')
    """

    cycles: tuple[str, ...] = ("day", "week")

    def __post_init__(self) -> None:
        require("cycles", self.cycles)
        for cycle in self.cycles:
            if cycle not in _CYCLES:
                raise ValueError(f"cycles: no cycle {cycle!r}; there are {', '.join(_CYCLES)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f"{cycle}_{wave}" for cycle in self.cycles for wave in ("sin", "cos"))

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value: none."""
        return 0

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for cycle in self.cycles:
            angle = 2 * np.pi * _share_passed(bars.close_time, cycle)
            yield np.sin(angle)
            yield np.cos(angle)


def _share_passed(time_ms: IntArray, cycle: str) -> FloatArray:
    if cycle in _LENGTHS:
        length, origin = _LENGTHS[cycle]
        return ((time_ms - origin) % length) / length
    month = time_ms.astype("datetime64[ms]").astype("datetime64[M]")
    start, end = (edge.astype("datetime64[ms]").astype(np.int64) for edge in (month, month + 1))
    share: FloatArray = (time_ms - start) / (end - start)
    return share
