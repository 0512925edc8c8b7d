"""How a series moves inside each window: energy, peaks, second differences, memory.

The statistics that tsfresh makes famous, each computed from its window alone and NaN where the window holds one; the
cost does not grow with the window, but for :func:`rolling_autocorrelation`, which grows with rows x window.
"""

from __future__ import annotations

import numpy as np

from itb.indicators.rolling import Moments, rolling_sum
from itb.indicators.rolling_lags import lagged
from itb.market.bars import FloatArray

_CHUNK = 4096  # rows at a time: the work of one chunk stays in a core's cache


def rolling_energy(values: FloatArray, window: int) -> FloatArray:
    """Sum the squares of each window.

    >>> rolling_energy(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [nan, 5.0, 13.0]
    """
    return rolling_sum(values * values, window)


def rolling_peaks(values: FloatArray, window: int) -> FloatArray:
    """Count the values of each window that are above both of their neighbours in it (window >= 3).

    >>> rolling_peaks(np.array([1.0, 3.0, 2.0, 4.0, 1.0]), 5).tolist()[-1]
    2.0
    """
    before, after = lagged(values, 2), values
    middle = lagged(values, 1)
    is_peak = ((middle > before) & (middle > after)).astype(np.float64)
    is_peak[np.isnan(before + middle + after)] = np.nan
    return _moved(rolling_sum(is_peak[2:], window - 2), values)


def rolling_curvature(values: FloatArray, window: int) -> FloatArray:
    """Give the mean of half the second differences in each window (window >= 3), after tsfresh's ``msdc``.

    The differences between them add up to those at the ends of the window.

    >>> rolling_curvature(np.array([0.0, 1.0, 4.0, 9.0]), 4).tolist()[-1]
    1.0
    """
    step = values - lagged(values, 1)
    mean: FloatArray = (step - lagged(step, window - 2)) / (2 * (window - 2))
    return mean + 0 * rolling_sum(values, window)


def rolling_complexity(values: FloatArray, window: int) -> FloatArray:
    """Give the length of each window's path: the root of its steps' squares, summed (``cid_ce``, window >= 2).

    >>> rolling_complexity(np.array([0.0, 3.0, 7.0]), 3).tolist()
    [nan, nan, 5.0]
    """
    step = np.diff(values)
    return _moved(np.sqrt(rolling_sum(step * step, window - 1)), values)


def rolling_c3(values: FloatArray, window: int, lag: int = 1) -> FloatArray:
    """Give the mean product of values 0, ``lag`` and 2 ``lag`` bars ago in each window: non-linearity (``c3``).

    >>> rolling_c3(np.array([1.0, 2.0, 3.0, 4.0]), 4).tolist()[-1]  # (1 x 2 x 3 + 2 x 3 x 4) / 2
    15.0
    """
    count = window - 2 * lag
    product = values * lagged(values, lag) * lagged(values, 2 * lag)
    return _moved(rolling_sum(product[2 * lag :], count) / count, values)


def rolling_autocorrelation(values: FloatArray, window: int, lag: int = 1) -> FloatArray:
    """Give how alike each window is to itself ``lag`` bars earlier, around its own mean (as tsfresh has it).

    NaN where all values are equal.

    >>> rolling_autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), 4).tolist()[-1]
    -1.0
    """
    moments = Moments.of(values, window, 2)
    total = np.full(len(values), np.nan)
    for start in range(window - 1, len(values), _CHUNK):
        stop = min(start + _CHUNK, len(values))
        mean = moments.mean[start:stop]
        alike = np.zeros(stop - start)
        for ago in range(window - lag):
            newer, older = values[start - ago : stop - ago], values[start - ago - lag : stop - ago - lag]
            alike += (newer - mean) * (older - mean)
        total[start:stop] = alike
    squares = moments.central[0]
    share: FloatArray = np.divide(total, squares, out=np.full(len(values), np.nan), where=squares > 0)
    return share * (window / (window - lag))


def _moved(ends: FloatArray, values: FloatArray) -> FloatArray:
    """Put numbers of the last rows behind NaN, so that there is one for each value."""
    return np.concatenate([np.full(len(values) - len(ends), np.nan), ends])
