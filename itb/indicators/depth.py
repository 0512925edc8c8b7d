"""Order-book density as features: how much is offered near the best price, against its usual amount."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from itb.indicators.base_window import percent_over, window_mean
from itb.indicators.feature import ColumnFamily, require
from itb.market.bars import Bars, FloatArray

BINS = (1, 2, 5, 10, 20)


def book_bins(levels: Sequence[tuple[float, float]], width: float, *, start: float | None = None) -> FloatArray:
    """Cut one side of an order book into bins of ``width`` away from the first price; give the mean volume in each.

    ``levels`` are (price, volume), best first: rising for asks, falling for bids. A level's volume holds from its
    price to the next level's, the last one's to the end of its bin. Bins begin at ``start`` (the first price, if
    not given); before the first level the volume is 0.

    >>> book_bins([(1, 1), (3, 1), (4, 20), (6, 1), (7, 1)], 4.0).tolist()
    [5.75, 5.75]
    """
    prices, volumes = np.array(levels, dtype=np.float64).reshape(-1, 2).T
    if len(prices) == 0 or width <= 0:
        raise ValueError(f"a book's side needs a level and bins a width above 0, got {len(prices)} levels, {width}")
    away = np.abs(prices - (prices[0] if start is None else start))
    if (np.diff(away) <= 0).any():
        raise ValueError("levels must lead away from the best price, each once")
    count = int(away[-1] // width) + 1
    ends = np.append(away[1:], count * width)
    edges = np.arange(count + 1) * width
    reached = np.minimum(edges[:, np.newaxis], ends) - away
    total: FloatArray = (np.maximum(reached, 0.0) * volumes).sum(axis=1)
    return np.diff(total) / width


def book_density(
    bids: Sequence[tuple[float, float]], asks: Sequence[tuple[float, float]], width: float = 1.0
) -> dict[str, float]:
    """Turn a snapshot of an order book into the columns that :class:`Depth` reads.

    ``gap`` is the distance of the best prices (0 if they cross), ``bids_<k>`` and ``asks_<k>`` the mean volume in
    the first k bins of ``width``, for k of 1, 2, 5, 10 and 20.

    >>> book = book_density([(99.5, 2), (98, 1)], [(100, 3), (101, 1)])
    >>> book["gap"], book["bids_1"], book["asks_2"]
    (0.5, 2.0, 2.0)
    """
    density = {"gap": max(asks[0][0] - bids[0][0], 0.0)}
    sides = {"bids": book_bins(bids, width), "asks": book_bins(asks, width)}
    for k in BINS:
        density |= {f"{side}_{k}": float(bins[:k].mean()) for side, bins in sides.items()}
    return density


@dataclass(frozen=True)
class Depth(ColumnFamily):
    """Means of order-book columns over windows, in percent over their mean of ``base_window`` bars.

    After intelligent-trading-bot's ``depth``. Reads ``gap``, ``bids_<k>`` and ``asks_<k>`` for each k of ``bins``
    from the bars' extra columns (see :func:`book_density`; a snapshot must belong to the bar at whose close it was
    known). Columns are named ``<input>_<window>``. Snapshots may be missing: a mean takes those that are there, and is
    NaN if fewer than half of them are, in the first rows and where the base is 0.

    >>> family = Depth()
    >>> len(family.names), family.names[:5]
    (33, ('gap_2', 'gap_5', 'gap_10', 'bids_1_2', 'bids_1_5'))
    """

    windows: tuple[int, ...] = (2, 5, 10)
    base_window: int = 30
    bins: tuple[int, ...] = BINS

    def __post_init__(self) -> None:
        require("windows", self.windows)
        require("bins", self.bins)
        for what, window in (("windows", min(self.windows)), ("base_window", self.base_window)):
            if window < 1:
                raise ValueError(f"{what} must be at least 1 bar, was {window}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the bars that are read."""
        return ("gap", *(f"{side}_{k}" for k in self.bins for side in ("bids", "asks")))

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f"{name}_{window}" for name in self.inputs for window in self.windows)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(*self.windows, self.base_window) - 1

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for name in self.inputs:
            base = window_mean(bars[name], self.base_window)
            for window in self.windows:
                yield percent_over(window_mean(bars[name], window), base)
