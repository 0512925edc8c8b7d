"""Whether a trade that a simple rule wants would pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import LabelColumn, check_alias
from itb.mlmodels.labels.triple_barrier import TripleBarrier, check_distance

if TYPE_CHECKING:
    from itb.market.bars import Bars, BoolArray


@dataclass(frozen=True)
class MetaLabel:
    """1 where a trade of the primary rule would pay, 0 where it would not, NaN where the rule wants none.

    The primary rule says when and which way (here: a threshold on a column of the bars); a model that learns this label
    says whether to follow it (Lopez de Prado, *Advances in Financial Machine Learning*, 3.6). A trade pays if it gets
    beyond ``target`` before it gets beyond ``stop``, or if it meets neither and is ``cost`` ahead ``horizon`` bars
    later. A bar beyond both counts as stopped. Rows are known ``horizon`` bars later.

    Parameters
    ----------
    column
        What the rule looks at: a column of the bars.
    threshold
        The rule wants a trade where the column is at or beyond this.
    horizon
        How many bars the trade may last.
    target, stop
        Distances from the close, both positive: fractions, or with ``volatility_window`` multiples of the standard
        deviation of the close over ``horizon`` bars.
    change
        0: the rule looks at the column itself. Else at its change over so many bars, as a fraction.
    enter
        Whether the rule wants values ``"above"`` the threshold or ``"below"`` it.
    side
        Whether its trades are ``"long"`` or ``"short"``.
    volatility_window
        Over how many past returns of one bar the standard deviation is taken; 0: distances are fractions.
    touch
        What has to get beyond target or stop: the ``"close"``, or the bar's ``"high_low"``.
    cost
        What a trade that runs out of time must have gained at least, as a fraction.

    >>> from itb.market.bars import Bars
    >>> close = [100.0, 102.0, 103.0, 105.0, 104.0, 107.0, 105.0, 101.0]
    >>> times = np.arange(8) * 3_600_000
    >>> bars = Bars.of("BTC/USDT", "1h", times, open=close, high=close, low=close, close=close, volume=close)
    >>> label = MetaLabel("close", threshold=0.015, horizon=2, target=0.02, stop=0.01, change=1)
    >>> label(bars).values.tolist()
    [nan, 1.0, nan, 1.0, nan, 0.0, nan, nan]
    >>> label.name
    'meta_close_2'
    """

    column: str
    threshold: float
    horizon: int
    target: float
    stop: float
    change: int = 0
    enter: Literal["above", "below"] = "above"
    side: Literal["long", "short"] = "long"
    volatility_window: int = 0
    touch: Literal["close", "high_low"] = "close"
    cost: float = 0.0
    alias: str = ""

    def __post_init__(self) -> None:
        check_distance("target", self.target, is_scaled=bool(self.volatility_window))
        check_distance("stop", self.stop, is_scaled=bool(self.volatility_window))
        if self.change < 0:
            raise ValueError(f"change must be a number of bars, 0 or more, was {self.change}")
        if self.enter not in {"above", "below"}:
            raise ValueError(f'enter must be "above" or "below", was {self.enter!r}')
        if self.side not in {"long", "short"}:
            raise ValueError(f'side must be "long" or "short", was {self.side!r}')
        check_alias(self.alias)
        self._barriers  # noqa: B018  it checks what is left

    @property
    def name(self) -> str:
        return self.alias or f"meta_{self.column}_{self.horizon}"

    @property
    def is_binary(self) -> bool:
        return True

    @property
    def _barriers(self) -> TripleBarrier:
        up, down = (self.target, self.stop) if self.side == "long" else (self.stop, self.target)
        ties: Literal["up", "down"] = "down" if self.side == "long" else "up"
        return TripleBarrier(self.horizon, up, down, self.volatility_window, self.touch, ties)

    def wants(self, bars: Bars) -> BoolArray:
        """Whether the primary rule wants a trade at the close of each bar; where the column is NaN it does not."""
        looked_at = bars[self.column]
        if self.change:
            before = np.full(len(bars), np.nan)
            before[self.change :] = looked_at[: -self.change]
            with np.errstate(divide="ignore", invalid="ignore"):
                looked_at = looked_at / before - 1
        wanted: BoolArray = looked_at >= self.threshold if self.enter == "above" else looked_at <= self.threshold
        return wanted

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        sign = 1.0 if self.side == "long" else -1.0
        outcome = sign * self._barriers.sides(bars)
        gained = np.full(len(bars), np.nan)
        gained[: -self.horizon] = sign * (bars.close[self.horizon :] / bars.close[: -self.horizon] - 1)
        values = np.where(outcome == 0, gained > self.cost, outcome > 0).astype(np.float64)
        values[np.isnan(outcome) | ~self.wants(bars)] = np.nan
        return LabelColumn.after(values, self.horizon)
