"""Which of two price levels is reached first (label ``highlow2`` of intelligent-trading-bot)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import LabelColumn, check_alias
from itb.mlmodels.labels.crossing import first_crossing

if TYPE_CHECKING:
    from itb.market.bars import Bars


@dataclass(frozen=True)
class HighLow2:
    """1 if the price goes far one way before it goes a little the other way, within ``horizon`` bars; else 0.

    For ``function="high"``: some high of the bars t + 1 ... t + horizon is strictly above
    ``close[t] * (1 + threshold_pct / 100)``, and no earlier low is strictly below
    ``close[t] * (1 - threshold_pct * tolerance / 100)``. ``function="low"`` is the mirror image: lows below the far
    level before highs above the near one. Thresholds are percent and positive, as in intelligent-trading-bot, whose
    definition this is; there the last ``horizon`` rows are false, here they are NaN, since nobody knows.

    ``ties`` decides a bar that touches both levels: ``"true"`` is the original's choice (optimistic: the order inside
    the bar is unknown), ``"false"`` is the pessimistic one, ``"unknown"`` gives NaN.

    >>> from itb.market.bars import Bars
    >>> close = [100, 101, 102, 101, 99, 98, 100, 103, 104, 102]
    >>> high = [101, 102, 103, 102, 101, 99, 101, 104, 105, 104]
    >>> low = [99, 100, 101, 99, 98, 97, 98, 100, 102, 101]
    >>> times = np.arange(10) * 3_600_000
    >>> bars = Bars.of("BTC/USDT", "1h", times, open=close, high=high, low=low, close=close, volume=close)
    >>> HighLow2("high", threshold_pct=2.0, horizon=4)(bars).values.tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, nan, nan, nan, nan]
    """

    function: Literal["high", "low"]
    threshold_pct: float
    horizon: int
    tolerance: float = 0.2
    ties: Literal["true", "false", "unknown"] = "true"
    alias: str = ""

    def __post_init__(self) -> None:
        if self.function not in {"high", "low"}:
            raise ValueError(f'function must be "high" or "low", was {self.function!r}')
        if not 0 < self.threshold_pct < 100:
            raise ValueError(
                f"threshold_pct must be a percentage above 0 and below 100, was {self.threshold_pct}; "
                f'function = "low" turns it downward by itself'
            )
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 bar, was {self.horizon}")
        if not 0 <= self.tolerance <= 1:
            raise ValueError(f"tolerance must be a fraction of threshold_pct from 0 to 1, was {self.tolerance}")
        if self.ties not in {"true", "false", "unknown"}:
            raise ValueError(f'ties must be "true", "false" or "unknown", was {self.ties!r}')
        check_alias(self.alias)

    @property
    def name(self) -> str:
        return self.alias or f"{self.function}_{self.threshold_pct:g}pct_{self.horizon}"

    @property
    def is_binary(self) -> bool:
        return True

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        up = self.function == "high"
        sign = 1 if up else -1
        far = bars.close * (1 + sign * self.threshold_pct / 100)
        near = bars.close * (1 - sign * self.threshold_pct * self.tolerance / 100)
        first = first_crossing(bars.high if up else bars.low, far, self.horizon, "above" if up else "below")
        second = first_crossing(bars.low if up else bars.high, near, self.horizon, "below" if up else "above")
        reached = first < self.horizon
        values = np.where(reached & (first < second), 1.0, 0.0)
        tied = {"true": 1.0, "false": 0.0, "unknown": np.nan}[self.ties]
        values[reached & (first == second)] = tied
        return LabelColumn.after(values, self.horizon)
