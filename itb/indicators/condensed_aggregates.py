"""FollowUpward's condensed aggregates: steps and slopes of the pivot price at many time scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from itb.indicators.feature import ColumnFamily
from itb.indicators.rolling import rolling_mean, rolling_slope
from itb.indicators.rolling_lags import lagged
from itb.indicators.volume_ratio import Average, volume_ratio
from itb.market.bars import Bars, FloatArray

_STEP, _STEPS = 5, 12
_SLOPES = {
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "12h": 720,
    "24h": 1440,
    "3d": 4320,
    "9d": 12_960,
}
_SHORT, _LONG = 5, 60


@dataclass(frozen=True)
class CondensedAggregates(ColumnFamily):
    """FollowUpward's F4CondAgg, 23 columns of the pivot ``(open + high + low + close) / 4``, for bars of one minute.

    ``dpiv5m<k>`` for k from 1 to 12: the mean of 5 pivots that ends 5 k bars ago less the one that ends 5 (k + 1) bars
    ago, over the present pivot. ``grad<time>``: the slope per bar of the least-squares line through the last 5 bars to
    9 days, over the present pivot. ``vol5m1h``: the average volume of 5 bars over that of 60, as ``volume_average``
    says (the original took means first and medians later); 1 where the longer average is 0.

    Windows count bars. NaN in the first rows.

    >>> family = CondensedAggregates()
    >>> family.names[0], family.names[12], len(family.names), family.warmup
    ('dpiv5m1', 'grad5m', 23, 12959)
    """

    volume_average: Average = "median"

    def __post_init__(self) -> None:
        if self.volume_average not in ("mean", "median"):
            raise ValueError(f"volume_average must be mean or median, was {self.volume_average!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        steps = (f"dpiv{_STEP}m{k}" for k in range(1, _STEPS + 1))
        return (*steps, *(f"grad{label}" for label in _SLOPES), "vol5m1h")

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(_SLOPES.values()) - 1

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        pivot = (bars.open + bars.high + bars.low + bars.close) / 4
        mean = rolling_mean(pivot, _STEP)
        for k in range(1, _STEPS + 1):
            yield (lagged(mean, _STEP * k) - lagged(mean, _STEP * (k + 1))) / pivot
        for window in _SLOPES.values():
            yield rolling_slope(pivot, window) / pivot
        yield volume_ratio(bars.volume, _SHORT, _LONG, otherwise=1.0, average=self.volume_average)
