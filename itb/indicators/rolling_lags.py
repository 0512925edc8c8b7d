"""What the values of each window say against a level or a line of that window: area, runs, spread, median.

Every window has a level of its own here, so no sum can be carried on to the next one. The values are visited lag by
lag, thousands of windows at a time, in the same order for each: a result depends on its window's values only, to the
last bit. The cost grows with rows x window; all functions give NaN in the first ``window - 1`` rows and where the
window holds a NaN, unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.rolling import Moments, rolling_mean, rolling_slope, rolling_sum
from itb.market.bars import FloatArray

_CHUNK = 4096  # rows at a time: the work of one chunk stays in a core's cache
_ON_THE_LINE = 1e-11  # of the level: closer values lie on it, since rounding must not decide the side


def _chunks(values: FloatArray, window: int) -> Iterator[tuple[int, int]]:
    for start in range(window - 1, len(values), _CHUNK):
        yield start, min(start + _CHUNK, len(values))


def lagged(values: FloatArray, lag: int) -> FloatArray:
    """Give the value of ``lag`` rows ago; NaN in the first rows.

    >>> lagged(np.array([1.0, 2.0, 3.0]), 1).tolist()
    [nan, 1.0, 2.0]
    """
    lag = min(lag, len(values))
    return np.concatenate([np.full(lag, np.nan), values[: len(values) - lag]])


def rolling_area(values: FloatArray, window: int) -> FloatArray:
    """Compare the area above the newest value with that below it: in [-1, 1], 1 where all others are higher.

    It is ``sum(x - newest) / sum(|x - newest|)``; NaN where all values are equal.

    >>> rolling_area(np.array([10.0, 20, 30, 20, 10, 20, 30]), 4).tolist()
    [nan, nan, nan, 0.0, 1.0, 0.0, -1.0]
    """
    area = np.full(len(values), np.nan)
    for start, stop in _chunks(values, window):
        newest = values[start:stop]
        signed, total = np.zeros(stop - start), np.zeros(stop - start)
        for lag in range(1, window):
            height = values[start - lag : stop - lag] - newest
            signed += height
            total += np.abs(height, out=height)
        np.divide(signed, total, out=area[start:stop], where=total > 0)
    return area


def rolling_run_below_mean(values: FloatArray, window: int) -> FloatArray:
    """Give the length of the longest run of values that lie below the window's mean.

    >>> rolling_run_below_mean(np.array([1.0, 2.0, 9.0, 1.0, 9.0]), 5).tolist()[-1]
    2.0
    """
    moments = Moments.of(values, window, 2)
    spread = np.sqrt(moments.central[0] / window)
    level = moments.mean - _ON_THE_LINE * (np.abs(moments.mean) + spread)
    longest = np.full(len(values), np.nan)
    for start, stop in _chunks(values, window):
        run, best = np.zeros(stop - start, np.int32), np.zeros(stop - start, np.int32)
        for lag in range(window - 1, -1, -1):
            run += 1
            run *= values[start - lag : stop - lag] < level[start:stop]
            np.maximum(best, run, out=best)
        longest[start:stop] = np.where(np.isnan(level[start:stop]), np.nan, best)
    return longest


def rolling_median(values: FloatArray, window: int) -> FloatArray:
    """Give the median of each window.

    >>> rolling_median(np.array([2.0, 3.0, 4.0, 5.0, 0.0]), 4).tolist()
    [nan, nan, nan, 3.5, 3.5]
    """
    median = np.full(len(values), np.nan)
    if len(values) < window:
        return median
    windows = np.lib.stride_tricks.sliding_window_view(values, window)
    at_once = max(1, 2**20 // window)
    for start in range(0, len(windows), at_once):
        ordered = np.sort(windows[start : start + at_once], axis=1)
        middle = (ordered[:, (window - 1) // 2] + ordered[:, window // 2]) / 2
        median[window - 1 + start : window - 1 + start + len(middle)] = middle + 0 * ordered[:, -1]  # NaN comes last
    return median


def rolling_known_mean(values: FloatArray, window: int, least: int = 1) -> FloatArray:
    """Give the mean of each window's values that are not NaN, if there are ``least`` of them.

    What lies before the first value counts as NaN, so that early windows are short.

    >>> rolling_known_mean(np.array([np.nan, 2.0, 3.0, np.nan]), 2).tolist()
    [nan, 2.0, 2.5, 3.0]
    """
    padded = np.concatenate([np.full(window - 1, np.nan), values])
    known = ~np.isnan(padded)
    count = rolling_sum(known.astype(np.float64), window)[window - 1 :]
    total = rolling_sum(np.where(known, padded, 0.0), window)[window - 1 :]
    mean: FloatArray = np.divide(total, count, out=np.full(len(values), np.nan), where=count >= max(least, 1))
    return mean


@dataclass(frozen=True)
class Line:
    """The least-squares line through each window: ``slope`` per bar, ``end`` on the newest bar, ``mean`` of values.

    >>> line = Line.of(np.array([2.9, 3.1, 3.6, 3.8, 4.0, 4.1, 5.0]), 5)
    >>> line.slope.round(6).tolist()[4:], line.end.round(6).tolist()[4:]
    ([0.29, 0.24, 0.31], [4.06, 4.2, 4.72])
    """

    window: int
    slope: FloatArray
    end: FloatArray
    mean: FloatArray

    @classmethod
    def of(cls, values: FloatArray, window: int) -> Line:
        """Fit all lines (window >= 2)."""
        slope, mean = rolling_slope(values, window), rolling_mean(values, window)
        return cls(window, slope, mean + slope * ((window - 1) / 2), mean)

    def ahead(self, bars: int) -> FloatArray:
        """Give the line's value so many bars after the newest one (before it, if negative)."""
        return self.end + self.slope * bars

    def spread(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the root mean squares, around the mean, of the values above each line and of those below it.

        0 where there is none. A value within 1e-11 of the price level of the line lies on it, on neither side.
        """
        sides = np.full((2, len(values)), np.nan)
        for start, stop in _chunks(values, self.window):
            end, slope, mean = self.end[start:stop], self.slope[start:stop], self.mean[start:stop]
            margin = _ON_THE_LINE * np.abs(mean)
            squares, counts = np.zeros((2, stop - start)), np.zeros((2, stop - start))
            for lag in range(self.window):
                value = values[start - lag : stop - lag]
                height = value - end
                height += lag * slope
                distance = value - mean
                distance *= distance
                for side, is_there in enumerate((height > margin, height < -margin)):
                    counts[side] += is_there
                    squares[side] += distance * is_there
            sides[:, start:stop] = np.sqrt(squares / np.maximum(counts, 1)) + 0 * mean
        return sides[0], sides[1]
