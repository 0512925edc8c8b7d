"""The default features: a stationary, cheap set that any bars have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from itb.indicators.bar_features import BarSeries, TimeOfClose
from itb.indicators.feature import ColumnFamily
from itb.indicators.rolling_stats import RollingRatio, RollingStats
from itb.indicators.series import SERIES
from itb.indicators.talib_features import TalibFeatures
from itb.market.bars import Bars, FloatArray

FLOW_NEEDS = (*SERIES["taker_share"].needs, *SERIES["trade_size"].needs)
"""Columns of the bars that ``flow`` reads."""


@dataclass(frozen=True)
class DefaultFeatures(ColumnFamily):
    """Sixty stationary columns from open, high, low, close and volume alone, and seven more from the order flow.

    Returns and shape of the last bars, momentum over 2 to 168 bars, distance from means and extremes, oscillators,
    trend strength, volatility at four scales and its ratios, tails, volume, time of day and week. In a config ``flow``
    follows what the bars have, unless it is given.

    Parameters
    ----------
    flow
        Add the taker share of the volume and the size of trades; needs the columns taker_buy_base and trades.

    >>> len(DefaultFeatures().names), len(DefaultFeatures(flow=True).names), DefaultFeatures().warmup
    (60, 67, 651)
    """

    flow: bool = False

    @cached_property
    def families(self) -> tuple[ColumnFamily, ...]:
        """The families that make the columns."""
        flow = (
            RollingStats(("mean",), windows=(1, 6, 12, 24, 48), inputs=("taker_share",)),
            RollingRatio(pairs=((3, 24), (24, 168)), inputs=("trade_size",)),
        )
        return (
            BarSeries(("log_return",), lags=(0, 1, 2, 3)),
            BarSeries(("range", "body", "close_location", "gap")),
            TalibFeatures(("ROCP",), windows=(2, 4, 8, 12, 24, 48, 96, 168)),
            TalibFeatures(("SMA",), windows=(6, 12, 24, 72, 168), relative="close"),
            TalibFeatures(("LINEARREG_SLOPE",), windows=(12, 48), relative="close"),
            TalibFeatures(("RSI",), windows=(7, 14, 21), settled=True),
            TalibFeatures(("NATR", "ADX", "WILLR", "CCI", "AROONOSC", "MFI", "CMF"), windows=(14,), settled=True),
            TalibFeatures(("MACDEXT",), relative="close", settled=True),
            TalibFeatures(("ULTOSC", "BOP")),
            RollingStats(("std",), windows=(6, 24, 72, 168)),
            RollingStats(("skew", "kurtosis"), windows=(72,)),
            RollingStats(("zscore", "position"), windows=(24, 72, 168), inputs=("close",)),
            RollingStats(("zscore",), windows=(24, 168), inputs=("volume",)),
            RollingRatio(pairs=((3, 24), (24, 168)), inputs=("volume", "range")),
            TimeOfClose(),
            *(flow if self.flow else ()),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(name for family in self.families for name in family.names)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(family.warmup for family in self.families)

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for family in self.families:
            yield from family.columns(bars)
