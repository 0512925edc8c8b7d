"""How far the close moves in the next bars, beside how far it usually does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import LabelColumn, check_alias
from itb.mlmodels.labels.future_return import FutureReturn
from itb.mlmodels.labels.volatility import check_volatility_window, usual_move

if TYPE_CHECKING:
    from itb.market.bars import Bars


@dataclass(frozen=True)
class ScaledReturn:
    """Return of the close over the next ``horizon`` bars in standard deviations of such returns.

    The yardstick is the standard deviation of the last ``volatility_window`` one-bar log returns times the root of
    ``horizon``; rows before that many returns, and rows where the close has not moved, are NaN.

    Parameters
    ----------
    horizon
        How many later bars decide the label.
    volatility_window
        How many past returns the standard deviation is taken of.
    threshold
        Makes the label 0 or 1: whether the move is larger than so many standard deviations in ``direction``.

    >>> from itb.market.bars import Bars
    >>> c = [100.0, 101.0, 100.0, 101.0, 103.0]
    >>> bars = Bars.of("BTC/USDT", "1h", np.arange(5) * 3_600_000, open=c, high=c, low=c, close=c, volume=c)
    >>> ScaledReturn(horizon=1, volatility_window=2)(bars).values.round(3).tolist()
    [nan, nan, 0.711, 1.407, nan]
    >>> ScaledReturn(24, volatility_window=168).name, ScaledReturn(24, volatility_window=168, threshold=0.5).name
    ('sigmas_24', 'up_24_0.5sigma')
    """

    horizon: int
    volatility_window: int
    threshold: float | None = None
    direction: Literal["up", "down"] = "up"
    alias: str = ""

    def __post_init__(self) -> None:
        FutureReturn(self.horizon, direction=self.direction, alias=self.alias)
        check_volatility_window(self.volatility_window, least=2)
        if self.threshold is not None and self.threshold < 0:
            raise ValueError(f"threshold must be a number of standard deviations, 0 or more, was {self.threshold}")
        check_alias(self.alias)

    @property
    def name(self) -> str:
        if self.alias:
            return self.alias
        if self.threshold is None:
            return f"sigmas_{self.horizon}"
        return f"{self.direction}_{self.horizon}_{self.threshold:g}sigma"

    @property
    def is_binary(self) -> bool:
        return self.threshold is not None

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        moved = FutureReturn(self.horizon)(bars).values / usual_move(bars.close, self.volatility_window, self.horizon)
        if self.threshold is not None:
            beyond = moved > self.threshold if self.direction == "up" else moved < -self.threshold
            moved = np.where(np.isnan(moved), np.nan, beyond)
        return LabelColumn.after(moved, self.horizon)
