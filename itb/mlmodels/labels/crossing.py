"""The first bar, within a horizon, whose price lies beyond a level."""

from __future__ import annotations

from typing import Literal

import numpy as np

from itb.market.bars import FloatArray, IntArray


def first_crossing(prices: FloatArray, levels: FloatArray, horizon: int, side: Literal["above", "below"]) -> IntArray:
    """Give, for each bar t, the smallest k >= 0 such that ``prices[t + 1 + k]`` is strictly beyond ``levels[t]``.

    ``horizon`` where none of the bars ``t + 1 ... t + horizon`` is. Bars after the last one count as not beyond.
    Binary lifting over running maxima of 1, 2, 4, ... bars: log2(horizon) passes, where a loop would need ``horizon``.

    >>> high = np.array([101.0, 102.0, 103.0, 102.0])
    >>> first_crossing(high, np.array([102.0, 102.0, 104.0, 0.0]), horizon=2, side="above").tolist()
    [1, 0, 2, 2]
    """
    if side == "below":
        prices, levels = -prices, -levels
    n = len(prices)
    maxima = [np.append(prices, -np.inf)]  # maxima[j][i]: over prices[i : i + 2**j]; row n stands for "no more bars"
    while 2 ** len(maxima) <= horizon:
        last, width = maxima[-1], 2 ** (len(maxima) - 1)
        wider = last.copy()
        np.maximum(last[:-width], last[width:], out=wider[:-width])
        maxima.append(wider)
    found = np.arange(1, n + 1)
    for j in range(len(maxima) - 1, -1, -1):
        ahead = np.take(maxima[j], found, mode="clip")
        found += (~(ahead > levels)).astype(np.int64) << j
    steps: IntArray = np.minimum(found - np.arange(1, n + 1), horizon)
    return steps
