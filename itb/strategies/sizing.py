"""Sizing: how much to buy or sell, decided at the close that decides the entry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from itb.market.timeframe import YEAR_MS

if TYPE_CHECKING:
    from itb.market.bars import FloatArray, IntArray

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
        self,
        *,
        equity: float,
        close: float,
        fee: float,
        closes: object = None,
        bar_ms: int = 60_000,
        free: float = math.inf,
    ) -> float:
        """Quantity to trade; 0 when equity is gone or the volatility is not known yet.

        ``equity`` is the part of the account that the symbol is sized from; ``free`` is the quote that may be spent,
        where other symbols lay claim to some. ``closes`` are the last :attr:`lookback` closes, oldest first, needed for
        ``volatility_target`` alone.
        """
        if equity <= 0 or free <= 0:
            return 0.0
        return min(self._asked(equity, close, fee, closes, bar_ms), free / self.unit_cost(close, fee))

    def _asked(self, equity: float, close: float, fee: float, closes: object, bar_ms: int) -> float:
        if self.sizing == "fixed_notional":
            return self.notional / close
        fraction = self.fraction
        if self.sizing == "volatility_target":
            known = np.asarray(closes, dtype=np.float64)
            volatility = realised_volatility(known, bar_ms)
            if len(known) < self.lookback or not volatility > 0:
                return 0.0
            fraction = min(MAX_FRACTION, fraction * self.target_volatility / volatility)
        return fraction * equity / self.unit_cost(close, fee)

    @overload
    def unit_cost(self, close: float, fee: float) -> float: ...
    @overload
    def unit_cost(self, close: FloatArray, fee: float) -> FloatArray: ...
    def unit_cost(self, close: float | FloatArray, fee: float) -> float | FloatArray:
        """Quote set aside for one unit that is bought after ``close``: fee (a fraction) and cushion on top."""
        return close * (1 + fee + self.cushion)

    def fractions(self, closes: FloatArray, bars: IntArray, bar_ms: int) -> FloatArray:
        """Fraction of equity for an entry decided at each of ``bars``, as :meth:`quantity` takes it, bit for bit.

        ``closes`` are those of the whole market; 0 where the volatility is not known. Not for ``fixed_notional``.
        """
        fractions = np.full(len(bars), self.fraction)
        if self.sizing == "percent_of_equity" or not len(bars):
            return fractions
        fractions[:] = 0.0
        known = np.flatnonzero(bars >= self.volatility_window)
        if len(known):
            windows = np.lib.stride_tricks.sliding_window_view(closes, self.lookback)
            logs = np.log(windows[bars[known] - self.volatility_window])
            volatility = np.diff(logs, axis=1).std(axis=1, ddof=1) * math.sqrt(YEAR_MS / bar_ms)
            moves = volatility > 0
            scaled = self.fraction * self.target_volatility / volatility[moves]
            fractions[known[moves]] = np.minimum(MAX_FRACTION, scaled)
        return fractions


def realised_volatility(closes: np.ndarray[tuple[int], np.dtype[np.float64]], bar_ms: int) -> float:
    """Annualised standard deviation (ddof 1) of the log returns of ``closes``; NaN for fewer than three closes.

    >>> realised_volatility(np.array([1.0, 2.0]), 60_000)
    nan
    """
    if len(closes) < 3:
        return math.nan
    return float(np.diff(np.log(closes)).std(ddof=1) * math.sqrt(YEAR_MS / bar_ms))
