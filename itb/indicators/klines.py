"""The intelligent-trading-bot's classic features of bars: averages over windows against a base window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from itb.indicators.base_window import percent_over, window_mean
from itb.indicators.feature import ColumnFamily, require
from itb.indicators.itb_stats import population_std, slope_or_flat
from itb.indicators.rolling_lags import lagged, rolling_area
from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class _Inputs:
    """The series that the features read: as they are, or as changes in percent."""

    bars: Bars
    use_differences: bool

    @cached_property
    def close(self) -> FloatArray:
        return self._changed(self.bars.close)

    @cached_property
    def volume(self) -> FloatArray:
        return self._changed(self.bars.volume)

    @cached_property
    def trades(self) -> FloatArray:
        return self._changed(self.bars["trades"])

    @cached_property
    def span(self) -> FloatArray:
        return self.bars.high - self.bars.low

    @cached_property
    def taker_share(self) -> FloatArray:
        volume = self.bars.volume
        share: FloatArray = np.divide(
            self.bars["taker_buy_base"], volume, out=np.full(len(volume), np.nan), where=volume > 0
        )
        return share

    def weighted_close(self, window: int) -> FloatArray:
        weight = self.bars.volume
        total, weights = window_mean(self.close * weight, window), window_mean(weight, window)
        mean: FloatArray = np.divide(total, weights, out=np.full(len(total), np.nan), where=weights != 0)
        return mean

    def _changed(self, values: FloatArray) -> FloatArray:
        if not self.use_differences:
            return values
        before = lagged(values, 1)
        return percent_over(values, before)


@dataclass(frozen=True)
class Klines(ColumnFamily):
    """Averages of the last ``window`` bars in percent over the same average of ``base_window`` bars, areas and trends.

    The intelligent-trading-bot's classic set (``itblib``), by its names. ``functions`` (empty means all):

    - ``close_WMA``: ``close_<w>``, the mean close weighted by volume;
    - ``close_STD``: ``close_std_<w>``, the standard deviation of the closes (of the population);
    - ``volume_SMA``, ``span_SMA``, ``trades_SMA``: ``volume_<w>``, ``span_<w>`` (high less low), ``trades_<w>``;
    - ``tb_base_SMA``: ``tb_base_<w>``, the mean taker share of the volume, over the bars that have volume;
    - ``close_AREA``, ``close_SLOPE``, ``volume_SLOPE``: ``close_area_<w>``, ``close_trend_<w>`` and
      ``volume_trend_<w>``, not against the base: the area around the newest close, in [-1, 1], and slopes per bar.

    ``use_differences`` first turns close, volume and trades into changes to the bar before, in percent. (The original
    then also weighs closes by, and divides the taker volume by, the *change* of the volume; here it is the volume.)
    Needs the columns trades and taker_buy_base for the functions that name them.

    NaN until a whole window is there (the original starts with half of one), where a base is 0, and for the area of
    equal closes.

    >>> Klines(windows=(10, 60), base_window=1440, functions=("close_WMA", "close_AREA")).names
    ('close_10', 'close_60', 'close_area_10', 'close_area_60')
    """

    windows: tuple[int, ...]
    base_window: int
    functions: tuple[str, ...] = ()
    use_differences: bool = False

    def __post_init__(self) -> None:
        require("windows", self.windows)
        if self.functions:
            require("functions", self.functions)
        for function in self.functions:
            if function not in _NAMES:
                raise ValueError(f"functions: no function {function!r}; there are {', '.join(_NAMES)}")
        for what, window in (("windows", min(self.windows)), ("base_window", self.base_window)):
            if window < 1:
                raise ValueError(f"{what} must be at least 1 bar, was {window}")
        if "close_AREA" in self._chosen and min(self.windows) < 2:
            raise ValueError("windows of close_AREA must be at least 2 bars, was 1; list other functions for window 1")

    @property
    def _chosen(self) -> tuple[str, ...]:
        return tuple(function for function in _NAMES if function in (self.functions or _NAMES))

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f"{_NAMES[function]}_{window}" for function in self._chosen for window in self.windows)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        has_base = any(function in _AGAINST_BASE for function in self._chosen)
        return max(*self.windows, self.base_window if has_base else 1) - 1 + self.use_differences

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        inputs = _Inputs(bars, self.use_differences)
        for function in self._chosen:
            if function in _AGAINST_BASE:
                average = _AGAINST_BASE[function]
                base = average(inputs, self.base_window)
                made = (percent_over(average(inputs, window), base) for window in self.windows)
            else:
                made = (_ALONE[function](inputs, window) for window in self.windows)
            for window, column in zip(self.windows, made, strict=True):
                column[: window - 1 + self.use_differences] = np.nan
                yield column


_NAMES = {
    "close_WMA": "close",
    "close_STD": "close_std",
    "volume_SMA": "volume",
    "span_SMA": "span",
    "trades_SMA": "trades",
    "tb_base_SMA": "tb_base",
    "close_AREA": "close_area",
    "close_SLOPE": "close_trend",
    "volume_SLOPE": "volume_trend",
}
_AGAINST_BASE: dict[str, Callable[[_Inputs, int], FloatArray]] = {
    "close_WMA": lambda inputs, window: inputs.weighted_close(window),
    "close_STD": lambda inputs, window: population_std(inputs.close, window),
    "volume_SMA": lambda inputs, window: window_mean(inputs.volume, window),
    "span_SMA": lambda inputs, window: window_mean(inputs.span, window),
    "trades_SMA": lambda inputs, window: window_mean(inputs.trades, window),
    "tb_base_SMA": lambda inputs, window: window_mean(inputs.taker_share, window),
}
_ALONE: dict[str, Callable[[_Inputs, int], FloatArray]] = {
    "close_AREA": lambda inputs, window: rolling_area(inputs.close, window),
    "close_SLOPE": lambda inputs, window: slope_or_flat(inputs.close, window),
    "volume_SLOPE": lambda inputs, window: slope_or_flat(inputs.volume, window),
}
