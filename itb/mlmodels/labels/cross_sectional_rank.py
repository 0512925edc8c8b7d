"""How the close moves in the next bars, in rank among the moves of other coins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import BarsError
from itb.mlmodels.labels.column import LabelColumn, check_alias
from itb.mlmodels.labels.future_return import FutureReturn

if TYPE_CHECKING:
    from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class CrossSectionalRank:
    """Rank of the return over the next ``horizon`` bars among the same return of ``coins``: 0 the worst, 1 the best.

    Equal returns share the mean of their ranks. A row is NaN unless this coin and ``least_coins`` others have a close
    now and ``horizon`` bars later; coins that lack one are left out of that row.

    Parameters
    ----------
    horizon
        How many later bars decide the label.
    coins
        The coins that this one is compared with: prefixes of ``[[sources]]`` whose ``<prefix>_close`` is in the bars.
    least_coins
        Fewest other coins that a row is ranked among.
    centred
        Give ranks from -1 to 1 instead of 0 to 1, 0 in the middle.
    threshold
        Makes the label 0 or 1: whether the rank is larger than this, in the unit of the ranks.

    >>> from itb.market.bars import Bars
    >>> c = [100.0, 101.0, 100.0]
    >>> others = {"eth_close": [10.0, 10.2, 10.2], "sol_close": [5.0, 5.0, 5.0]}
    >>> bars = Bars.of("BTC/USDT", "1h", np.arange(3) * 3_600_000, open=c, high=c, low=c, close=c, volume=c, **others)
    >>> CrossSectionalRank(horizon=1, coins=("eth", "sol"))(bars).values.tolist()
    [0.5, 0.0, nan]
    """

    horizon: int
    coins: tuple[str, ...]
    least_coins: int = 1
    centred: bool = False
    threshold: float | None = None
    alias: str = ""

    def __post_init__(self) -> None:
        FutureReturn(self.horizon)
        object.__setattr__(self, "coins", tuple(self.coins))
        twice = next((coin for coin in self.coins if self.coins.count(coin) > 1), None)
        if not self.coins or twice is not None:
            what = f"{twice!r} is there twice" if self.coins else "none is named"
            raise ValueError(f"coins must name each of the other coins once, but {what}")
        if not 1 <= self.least_coins <= len(self.coins):
            raise ValueError(f"least_coins must be from 1 to {len(self.coins)}, one a coin, was {self.least_coins}")
        lowest = -1 if self.centred else 0
        if self.threshold is not None and not lowest <= self.threshold < 1:
            raise ValueError(f"threshold must be a rank from {lowest} to below 1, was {self.threshold}")
        check_alias(self.alias)

    @property
    def name(self) -> str:
        if self.alias:
            return self.alias
        return f"rank_{self.horizon}" + ("" if self.threshold is None else f"_above_{self.threshold:g}")

    @property
    def is_binary(self) -> bool:
        return self.threshold is not None

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar; raise :class:`itb.errors.BarsError` when a coin's close is missing."""
        missing = [f"{coin}_close" for coin in self.coins if f"{coin}_close" not in bars.columns]
        if missing:
            raise BarsError(
                f"label {self.name} needs columns {', '.join(missing)}, which the bars of {bars.symbol} do not have; "
                "add a [[sources]] table with the symbol of each coin and its prefix"
            )
        own = _moves(bars.close, self.horizon)
        others = np.array([_moves(bars[f"{coin}_close"], self.horizon) for coin in self.coins])
        there = np.isfinite(others)
        count = there.sum(axis=0)
        below = (others < own).sum(axis=0) + 0.5 * (others == own).sum(axis=0)
        ranks = np.full(len(bars), np.nan)
        np.divide(below, count, out=ranks, where=np.isfinite(own) & (count >= self.least_coins))
        if self.centred:
            ranks = 2 * ranks - 1
        if self.threshold is not None:
            ranks = np.where(np.isnan(ranks), np.nan, ranks > self.threshold)
        return LabelColumn.after(ranks, self.horizon)


def _moves(close: FloatArray, horizon: int) -> FloatArray:
    moved = np.full(len(close), np.nan)
    moved[:-horizon] = close[horizon:] / close[:-horizon] - 1
    return moved
