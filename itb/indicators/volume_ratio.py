"""Recent volume against that of a longer time, as mean or median."""

from __future__ import annotations

from typing import Literal

import numpy as np

from itb.indicators.rolling import rolling_sum
from itb.indicators.rolling_lags import rolling_median
from itb.market.bars import FloatArray

Average = Literal["mean", "median"]


def rolling_average(values: FloatArray, window: int, average: Average) -> FloatArray:
    """Give the mean or the median of each window of values that are not negative; exactly 0 where all are 0."""
    return rolling_sum(values, window) / window if average == "mean" else rolling_median(values, window)


def volume_ratio(
    volume: FloatArray, short: int, long: int, *, otherwise: float, average: Average = "mean"
) -> FloatArray:
    """Divide the average of the last ``short`` bars by that of the last ``long``; ``otherwise`` where that is 0.

    >>> volume = np.array([1.0, 2.0, 3.0, 0.0, 0.0, 0.0])
    >>> volume_ratio(volume, 1, 3, otherwise=1.0).tolist()
    [nan, nan, 1.5, 0.0, 0.0, 1.0]
    """
    recent, usual = rolling_average(volume, short, average), rolling_average(volume, long, average)
    ratio: FloatArray = np.divide(recent, usual, out=np.full(len(volume), otherwise), where=usual != 0)
    return ratio
