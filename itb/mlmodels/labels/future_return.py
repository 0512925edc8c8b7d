"""How far the close moves in the next bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import LabelColumn, check_alias

if TYPE_CHECKING:
    from itb.market.bars import Bars


@dataclass(frozen=True)
class FutureReturn:
    """Return of the close over the next ``horizon`` bars, as a fraction: ``close[t + horizon] / close[t] - 1``.

    With a ``threshold`` (a fraction, 0 or more) the label is 1 where the close has moved by more than it in
    ``direction``, else 0. The last ``horizon`` rows are NaN. ``alias`` replaces the derived name.

    >>> from itb.market.bars import Bars
    >>> c = [100.0, 101.0, 102.0, 99.0]
    >>> bars = Bars.of("BTC/USDT", "1h", np.arange(4) * 3_600_000, open=c, high=c, low=c, close=c, volume=c)
    >>> FutureReturn(horizon=2)(bars).values.round(4).tolist()
    [0.02, -0.0198, nan, nan]
    >>> FutureReturn(horizon=2, threshold=0.01)(bars).values.tolist()
    [1.0, 0.0, nan, nan]
    >>> FutureReturn(horizon=2, threshold=0.01).name
    'up_2_100bps'
    """

    horizon: int
    threshold: float | None = None
    direction: Literal["up", "down"] = "up"
    alias: str = ""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 bar, was {self.horizon}")
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be a fraction from 0 to 1 (0.01 = 1 %), was {self.threshold}")
        if self.direction not in {"up", "down"}:
            raise ValueError(f'direction must be "up" or "down", was {self.direction!r}')
        check_alias(self.alias)

    @property
    def name(self) -> str:
        if self.alias:
            return self.alias
        if self.threshold is None:
            return f"return_{self.horizon}"
        return f"{self.direction}_{self.horizon}_{1e4 * self.threshold:g}bps"

    @property
    def is_binary(self) -> bool:
        return self.threshold is not None

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        moved = np.full(len(bars), np.nan)
        moved[: -self.horizon] = bars.close[self.horizon :] / bars.close[: -self.horizon] - 1
        if self.threshold is not None:
            beyond = moved > self.threshold if self.direction == "up" else moved < -self.threshold
            moved = np.where(np.isnan(moved), np.nan, beyond)
        return LabelColumn.after(moved, self.horizon)
