"""Sizing: how much to buy or sell, decided at the close that decides the entry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from itb.market.timeframe import YEAR_MS

MAX_FRACTION = 0.99
Sizing = Literal["percent_of_equity", "fixed_notional", "volatility_target"]


@dataclass(frozen=True)
class Sizer:
    """Unrounded quantity (base units) of an entry.

    ``percent_of_equity``: ``fraction x equity / (close x (1 + fee + cushion))``; the cushion is room for the fill to
    be dearer than the close. ``fixed_notional``: ``notional / close``. ``volatility_target``: percent of equity, with
    ``fraction`` scaled by ``target_volatility / realised volatility`` and capped at 0.99; the realised volatility is
    annualised from the last ``volatility_window`` log returns. The caller floors the quantity to the venue's step.

    >>> round(Sizer(fraction=0.5, cushion=0.0).quantity(equity=1000.0, close=100.0, fee=0.0), 12)
    5.0
    """

    sizing: Sizing = "percent_of_equity"
    fraction: float = 0.95
    notional: float = 1000.0
    target_volatility: float = 0.3
    volatility_window: int = 168
    cushion: float = 0.005

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= MAX_FRACTION:
            raise ValueError(f"fraction must be above 0 and at most {MAX_FRACTION}, was {self.fraction}")
        if self.sizing not in ("percent_of_equity", "fixed_notional", "volatility_target"):
            raise ValueError(
                f'sizing must be "percent_of_equity", "fixed_notional" or "volatility_target", was {self.sizing!r}'
            )
        if not (self.notional > 0 and self.target_volatility > 0 and 0 <= self.cushion < 1):
            raise ValueError(
                "notional and target_volatility must be above 0 and cushion in [0, 1), were "
                f"{self.notional}, {self.target_volatility} and {self.cushion}"
            )
        if self.volatility_window < 2:
            raise ValueError(f"volatility_window must be at least 2 bars, was {self.volatility_window}")

    @property
    def lookback(self) -> int:
        """How many closes, the deciding one included, :meth:`quantity` wants in ``closes``."""
        return self.volatility_window + 1 if self.sizing == "volatility_target" else 1

    def quantity(
        self, *, equity: float, close: float, fee: float, closes: object = None, bar_ms: int = 60_000
    ) -> float:
        """Quantity to trade; 0 when equity is gone or the volatility is not known yet.

        ``closes`` are the last :attr:`lookback` closes, oldest first, needed for ``volatility_target`` alone.
        """
        if equity <= 0:
            return 0.0
        if self.sizing == "fixed_notional":
            return self.notional / close
        fraction = self.fraction
        if self.sizing == "volatility_target":
            known = np.asarray(closes, dtype=np.float64)
            volatility = realised_volatility(known, bar_ms)
            if len(known) < self.lookback or not volatility > 0:
                return 0.0
            fraction = min(MAX_FRACTION, fraction * self.target_volatility / volatility)
        return fraction * equity / (close * (1 + fee + self.cushion))


def realised_volatility(closes: np.ndarray[tuple[int], np.dtype[np.float64]], bar_ms: int) -> float:
    """Annualised standard deviation (ddof 1) of the log returns of ``closes``; NaN for fewer than three closes.

    >>> realised_volatility(np.array([1.0, 2.0]), 60_000)
    nan
    """
    if len(closes) < 3:
        return math.nan
    return float(np.diff(np.log(closes)).std(ddof=1) * math.sqrt(YEAR_MS / bar_ms))
