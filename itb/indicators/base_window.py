"""Rolling averages as percent over the same average of a longer base window (intelligent-trading-bot's relation)."""

from __future__ import annotations

import numpy as np

from itb.indicators.rolling import rolling_sum
from itb.indicators.rolling_lags import rolling_known_mean
from itb.market.bars import FloatArray


def window_mean(values: FloatArray, window: int) -> FloatArray:
    """Give the mean of the known values of each whole window; NaN if fewer than half of them are known.

    >>> window_mean(np.array([1.0, 3.0, np.nan, np.nan]), 2).tolist()
    [nan, 2.0, 3.0, nan]
    """
    if not np.isnan(values).any():
        return rolling_sum(values, window) / window
    mean = rolling_known_mean(values, window, least=max(1, window // 2))
    mean[: window - 1] = np.nan
    return mean


def percent_over(values: FloatArray, base: FloatArray) -> FloatArray:
    """Give ``100 (values - base) / base``, NaN where the base is 0.

    >>> percent_over(np.array([11.0, 1.0]), np.array([10.0, 0.0])).tolist()
    [10.0, nan]
    """
    share: FloatArray = np.divide(values - base, base, out=np.full(len(base), np.nan), where=base != 0)
    return 100 * share
