"""Which way, and how surely, the price trends from a bar on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import LabelColumn, check_alias

if TYPE_CHECKING:
    from itb.market.bars import Bars, FloatArray

_CLASSES = (-1.0, 0.0, 1.0)
_LEAST_UNEXPLAINED = 1e-12  # of the variance: on a perfect line the t-value stays a number


@dataclass(frozen=True)
class TrendScan:
    """The t-value of the surest straight line through the closes from this bar on, over a range of lengths.

    Lopez de Prado, *Machine Learning for Asset Managers*, 5.4: lines are fitted by least squares through the next 3, 4,
    5 ... closes, this one included, and that with the largest absolute t-value of its slope is taken.

    Parameters
    ----------
    shortest, longest
        Through how many closes a line may go, this bar's close included; both ends of the range are tried.
    step
        Distance from one length to the next.
    view
        ``"t_value"`` gives the t-value; ``"classes"`` its sign, -1 or 1, or 0 where it is nearer to 0 than
        ``least_t``; ``"up"`` and ``"down"`` give 1 for that sign and 0 for all else.
    least_t
        How far from 0 a t-value has to be to count as a trend.

    >>> from itb.market.bars import Bars
    >>> close = [100.0, 101.0, 103.0, 104.0, 102.0, 101.0, 99.0, 98.5]
    >>> times = np.arange(8) * 3_600_000
    >>> bars = Bars.of("BTC/USDT", "1h", times, open=close, high=close, low=close, close=close, volume=close)
    >>> TrendScan(shortest=3, longest=5)(bars).values.round(2).tolist()
    [9.9, 5.2, -3.67, -11.31, nan, nan, nan, nan]
    >>> TrendScan(20, 60).name, TrendScan(20, 60, view="up", least_t=2.0).name
    ('trend_20_60', 'trend_20_60_2t_up')
    """

    shortest: int
    longest: int
    step: int = 1
    view: Literal["t_value", "classes", "up", "down"] = "t_value"
    least_t: float = 0.0
    alias: str = ""

    def __post_init__(self) -> None:
        if self.shortest < 3:
            raise ValueError(f"shortest must be at least 3 closes, was {self.shortest}")
        if self.longest < self.shortest:
            raise ValueError(f"longest must be at least shortest = {self.shortest}, was {self.longest}")
        if self.step < 1:
            raise ValueError(f"step must be at least 1, was {self.step}")
        if self.view not in {"t_value", "classes", "up", "down"}:
            raise ValueError(f'view must be "t_value", "classes", "up" or "down", was {self.view!r}')
        if self.least_t < 0 or (self.least_t and self.view == "t_value"):
            raise ValueError(f'least_t must be 0 or more, and 0 with view = "t_value", was {self.least_t}')
        check_alias(self.alias)

    @property
    def name(self) -> str:
        least = f"_{self.least_t:g}t" if self.least_t else ""
        return self.alias or f"trend_{self.shortest}_{self.longest}{least}{'' if self._is_t else f'_{self.view}'}"

    @property
    def _is_t(self) -> bool:
        return self.view == "t_value"

    @property
    def horizon(self) -> int:
        return self.longest - 1

    @property
    def is_binary(self) -> bool:
        return self.view in {"up", "down"}

    @property
    def classes(self) -> tuple[float, ...]:
        """The values there are; none listed for t-values."""
        return {"t_value": (), "classes": _CLASSES}.get(self.view, (0.0, 1.0))

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        lengths = {*range(self.shortest, self.longest + 1, self.step), self.longest}
        values = surest_t(bars.close, lengths)
        if not self._is_t:
            sides = np.where(np.abs(values) < self.least_t, 0.0, np.sign(values))
            looked_for = {"up": 1.0, "down": -1.0}.get(self.view)
            sides = sides if looked_for is None else (sides == looked_for).astype(np.float64)
            values = np.where(np.isnan(values), np.nan, sides)
        return LabelColumn.after(values, self.horizon)


def surest_t(prices: FloatArray, lengths: set[int]) -> FloatArray:
    """Give the t-value farthest from 0 among those of lines through the next closes; NaN where closes are missing.

    Of equally sure lines the shortest counts. On a perfect line the t-value is a million times the root of its degrees
    of freedom; on a level one 0.

    >>> surest_t(np.array([1.0, 2.0, 4.0, 3.0]), {3, 4}).round(3).tolist()
    [5.196, nan, nan, nan]
    """
    longest = max(lengths)
    count = len(prices) - longest + 1
    surest = np.full(len(prices), np.nan)
    if count < 1:
        return surest
    best = np.zeros(count)
    total, squares, products = np.zeros(count), np.zeros(count), np.zeros(count)
    for place in range(1, longest):
        # Sums of the distances from the first close: small numbers, so nothing is lost in their differences.
        moved = prices[place : place + count] - prices[:count]
        total += moved
        squares += moved * moved
        products += place * moved
        if place + 1 in lengths:
            t = _t_value(total, squares, products, place + 1)
            best = np.where(np.abs(t) > np.abs(best), t, best)
    surest[:count] = best
    return surest


def _t_value(total: FloatArray, squares: FloatArray, products: FloatArray, length: int) -> FloatArray:
    spread = squares - total * total / length
    together = products - total * (length - 1) / 2
    places = length * (length**2 - 1) / 12
    with np.errstate(invalid="ignore", divide="ignore"):
        explained = together * together / (places * spread)
    unexplained = np.maximum(1 - explained, _LEAST_UNEXPLAINED)
    t = np.sign(together) * np.sqrt((length - 2) * explained / unexplained)
    return np.where(spread > 0, t, 0.0)
