"""Which bars a model may learn from and which it then scores: pure arithmetic on bar positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from itb.market.bars import IntArray

Mode = Literal["expanding", "sliding"]


def purge(train: IntArray, test: IntArray, horizon: int) -> IntArray:
    """Drop training bars whose label reaches into the test window.

    A label at bar t is known at t + horizon; kept, such bars leak test prices into training
    (Lopez de Prado, *Advances in Financial Machine Learning*, 7.4.1). ``test`` lies after ``train``.

    >>> purge(np.arange(6), np.arange(6, 9), horizon=2).tolist()
    [0, 1, 2, 3]
    """
    kept: IntArray = train[train + horizon < test[0]]
    return kept


@dataclass(frozen=True, slots=True)
class Block:
    """One refit: fitted at the close of ``fit_bar``, it scores bars ``test_start <= t < test_stop``.

    It may learn from bars ``train_start <= t`` whose label was known at the close of bar ``known_until`` (purge and
    embargo in one comparison), so it never learns from a bar after that. All are positions counted from 0.
    """

    number: int
    fit_bar: int
    train_start: int
    known_until: int
    test_start: int
    test_stop: int

    def training_rows(self, known_at: IntArray) -> IntArray:
        """Give the bars this block may learn from; ``known_at`` is -1 where a label is never known.

        >>> block = Block(0, fit_bar=5, train_start=0, known_until=5, test_start=6, test_stop=9)
        >>> block.training_rows(np.arange(9) + 2).tolist()
        [0, 1, 2, 3]
        """
        window = known_at[self.train_start : self.known_until + 1]
        rows: IntArray = np.flatnonzero((window >= 0) & (window <= self.known_until)) + self.train_start
        return rows

    def holdback_rows(self, known_at: IntArray, holdback_bars: int) -> IntArray:
        """Give the newest bars, held back from learning, whose label was known at the fit: they grade the model."""
        start = max(0, self.fit_bar - holdback_bars + 1)
        window = known_at[start : self.fit_bar + 1]
        rows: IntArray = np.flatnonzero((window >= 0) & (window <= self.fit_bar)) + start
        return rows


def walk_forward_blocks(
    bars: int,
    *,
    mode: Mode,
    train_bars: int,
    refit_every: int,
    embargo_bars: int = 0,
    refit_delay_bars: int = 1,
    holdback_bars: int = 0,
    first_bar: int = 0,
) -> tuple[Block, ...]:
    """Cut ``bars`` bars into refits: the first as soon as ``train_bars`` are complete, then every ``refit_every``.

    Bars before ``first_bar``, while features warm up, do not count and are not learned from.
    A model fitted at the close of bar t scores bars from t + ``refit_delay_bars`` on, until the next one takes over.
    ``"sliding"`` learns from the last ``train_bars`` bars, ``"expanding"`` from all bars so far. Labels known later
    than ``fit_bar - embargo_bars - holdback_bars`` are not learned from. Empty when there are too few bars.

    >>> for block in walk_forward_blocks(10, mode="sliding", train_bars=4, refit_every=3):
    ...     print(block.fit_bar, range(block.train_start, block.fit_bar + 1), range(block.test_start, block.test_stop))
    3 range(0, 4) range(4, 7)
    6 range(3, 7) range(7, 10)
    """
    fits = range(first_bar + train_bars - 1, bars - refit_delay_bars, refit_every)
    return tuple(
        Block(
            number=number,
            fit_bar=fit,
            train_start=fit - train_bars + 1 if mode == "sliding" else first_bar,
            known_until=fit - embargo_bars - holdback_bars,
            test_start=fit + refit_delay_bars,
            test_stop=min(bars, fit + refit_every + refit_delay_bars),
        )
        for number, fit in enumerate(fits)
    )
