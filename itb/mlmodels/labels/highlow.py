"""How far the price will reach up and down (label ``highlow`` of intelligent-trading-bot)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.indicators.rolling import rolling_extreme
from itb.mlmodels.labels.column import LabelColumn, check_alias

if TYPE_CHECKING:
    from itb.market.bars import Bars, FloatArray

_ONE_CROSSES_FROM = 0.75
_NUMBERS = {"high": "high_max", "low": "low_min", "high_to_low": "high_to_low"}


@dataclass(frozen=True)
class HighLow:
    """The highest high, or the lowest low, of the next ``horizon`` bars, in percent of the close.

    Percent and names are those of intelligent-trading-bot, whose definition this is; there the last ``horizon`` rows
    are false or cut off, here they are NaN, since nobody knows.

    Parameters
    ----------
    function
        ``"high"``: percent from the close up to the highest high of the bars t + 1 ... t + horizon. ``"low"``: down to
        the lowest low, a negative number. ``"high_to_low"``: their balance in [-1, 1], 1 where only the high is beyond
        the close and -1 where only the low is; NaN where neither is.
    horizon
        How many later bars decide the label.
    threshold_pct
        Makes the label 0 or 1. A distance in percent, always positive. From 0.75 on: whether some bar reaches it
        (at least). Below: whether no bar gets farther than it. Not set: the number itself.
    columns
        Where the price now, the highs and the lows are read.

    >>> from itb.market.bars import Bars
    >>> close, high, low = [100.0, 101.0, 100.0], [101.0, 103.0, 100.0], [99.0, 100.5, 98.0]
    >>> times = np.arange(3) * 3_600_000
    >>> bars = Bars.of("BTC/USDT", "1h", times, open=close, high=high, low=low, close=close, volume=close)
    >>> HighLow("high", horizon=2)(bars).values.tolist()
    [3.0, nan, nan]
    >>> HighLow("high_to_low", horizon=2)(bars).values.round(3).tolist()
    [0.2, nan, nan]
    >>> HighLow("low", horizon=2, threshold_pct=1.5)(bars).values.tolist()
    [1.0, nan, nan]
    >>> HighLow("high", horizon=60).name, HighLow("high", horizon=60, threshold_pct=1.5).name
    ('high_max_60', 'high_15')
    """

    function: Literal["high", "low", "high_to_low"]
    horizon: int
    threshold_pct: float | None = None
    columns: tuple[str, str, str] = ("close", "high", "low")
    alias: str = ""

    def __post_init__(self) -> None:
        if self.function not in _NUMBERS:
            raise ValueError(f'function must be "high", "low" or "high_to_low", was {self.function!r}')
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 bar, was {self.horizon}")
        if self.threshold_pct is not None and self.function == "high_to_low":
            raise ValueError(f'threshold_pct goes with function "high" or "low" only, was {self.threshold_pct}')
        if self.threshold_pct is not None and not 0 < self.threshold_pct < 100:
            raise ValueError(
                f"threshold_pct must be a percentage above 0 and below 100, was {self.threshold_pct}; "
                f'function = "low" turns it downward by itself'
            )
        if len(self.columns) != 3:
            raise ValueError(f"columns must name the price now, the highs and the lows, were {self.columns}")
        check_alias(self.alias)

    @property
    def name(self) -> str:
        if self.alias:
            return self.alias
        if self.threshold_pct is None:
            return f"{_NUMBERS[self.function]}_{self.horizon}"
        tenths = round(10 * self.threshold_pct, 9)
        if tenths == int(tenths):
            return f"{self.function}_{int(tenths):02d}"
        return f"{self.function}_{self.threshold_pct:g}pct"

    @property
    def is_binary(self) -> bool:
        return self.threshold_pct is not None

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        now, high, low = (bars[column] for column in self.columns)
        if self.function == "high":
            values = self._reached(_percent(_ahead(high, self.horizon, np.maximum), now), 1)
        elif self.function == "low":
            values = self._reached(_percent(_ahead(low, self.horizon, np.minimum), now), -1)
        else:
            up = np.maximum(_percent(_ahead(high, self.horizon, np.maximum), now), 0)
            down = np.abs(np.minimum(_percent(_ahead(low, self.horizon, np.minimum), now), 0))
            with np.errstate(invalid="ignore"):
                values = 2 * up / (up + down) - 1
        return LabelColumn.after(values, self.horizon)

    def _reached(self, percent: FloatArray, sign: int) -> FloatArray:
        if self.threshold_pct is None:
            return percent
        far, near = sign * percent >= self.threshold_pct, sign * percent <= self.threshold_pct
        return np.where(np.isnan(percent), np.nan, far if self.threshold_pct >= _ONE_CROSSES_FROM else near)


def _percent(then: FloatArray, now: FloatArray) -> FloatArray:
    return 100 * (then - now) / now


def _ahead(prices: FloatArray, horizon: int, extreme: np.ufunc) -> FloatArray:
    """Give the extreme of the bars t + 1 ... t + horizon; NaN where some of them are not there."""
    ahead = np.full(len(prices), np.nan)
    if len(prices) > horizon:
        ahead[:-horizon] = rolling_extreme(prices, horizon, extreme)[horizon:]
    return ahead
