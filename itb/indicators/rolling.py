"""Rolling means, moments, extremes, slopes and ranks of an array, vectorised and free of drift.

Running sums that add the newest and drop the oldest value carry rounding errors, and a NaN, for ever. Here an array
is cut into blocks of the window's length; a window is the end of one block and the start of the next, and each part is
accumulated inside its own block around a value of the window itself (the block trick of van Herk, Pattern Recognition
Letters 13, 1992). So a result depends on the window's own values only: one million bars or the last few, a window with
a NaN in it is NaN and the next one without is not, and a constant window has a variance of exactly 0.

Every function gives an array as long as its input, NaN in the first ``window - 1`` rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from itb.market.bars import FloatArray

Blocks = np.ndarray[tuple[int, int], np.dtype[np.float64]]

_CHUNK = 8192  # rows at a time: the work of one chunk stays in a core's cache


def _by_chunks(
    values: FloatArray, window: int, work: Callable[[Blocks], tuple[Blocks, ...]], results: int
) -> tuple[FloatArray, ...]:
    """Cut into blocks of ``window``, let ``work`` turn runs of blocks into results per row; NaN before the first."""
    rows = len(values)
    count = -(-rows // window)
    padded = np.zeros(count * window)
    padded[:rows] = values
    blocks = padded.reshape(count, window)
    out = np.empty((results, count, window))
    at_once = max(1, _CHUNK // window)
    for start in range(0, count, at_once):
        before = max(start - 1, 0)
        part = work(blocks[before : start + at_once])
        for result, values_of in zip(out, part, strict=True):
            result[start : start + at_once] = values_of[start - before :]
    flat = out.reshape(results, -1)[:, :rows]
    flat[:, : window - 1] = np.nan
    return tuple(flat)


def rolling_extreme(values: FloatArray, window: int, extreme: np.ufunc) -> FloatArray:
    """Give the extreme of each window: ``extreme`` is ``numpy.minimum`` or ``numpy.maximum``.

    >>> rolling_extreme(np.array([3.0, 1.0, 2.0, 5.0]), 2, np.maximum).tolist()
    [nan, 3.0, 2.0, 5.0]
    """

    def work(blocks: Blocks) -> tuple[Blocks, ...]:
        start = extreme.accumulate(blocks, axis=1)
        end = extreme.accumulate(blocks[:-1, :0:-1], axis=1)[:, ::-1]
        extreme(start[1:, :-1], end, out=start[1:, :-1])
        return (start,)

    return _by_chunks(values, window, work, 1)[0]


def rolling_sum(values: FloatArray, window: int) -> FloatArray:
    """Sum each window; of values that are not negative the sum is exactly 0 where all are 0, and nowhere else.

    >>> rolling_sum(np.array([1.0, 3.0, 0.0, 0.0]), 2).tolist()
    [nan, 4.0, 3.0, 0.0]
    """

    def work(blocks: Blocks) -> tuple[Blocks, ...]:
        total = np.cumsum(blocks, axis=1)
        total[1:, :-1] += np.cumsum(blocks[:-1, :0:-1], axis=1)[:, ::-1]
        return (total,)

    return _by_chunks(values, window, work, 1)[0]


def rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """Give the mean of each window.

    >>> rolling_mean(np.array([1.0, 3.0, np.nan, 1.0, 2.0]), 2).tolist()
    [nan, 2.0, nan, nan, 1.5]
    """
    return Moments.of(values, window, 1).mean


@dataclass(frozen=True)
class Moments:
    """Moments of each window: the mean, and sums of powers (2 up to ``order``) of the distances from it.

    >>> Moments.of(np.array([1.0, 2.0, 3.0, 5.0]), 3, order=2).std.round(4).tolist()
    [nan, nan, 1.0, 1.5275]
    """

    window: int
    mean: FloatArray
    central: tuple[FloatArray, ...] = ()

    @classmethod
    def of(cls, values: FloatArray, window: int, order: int) -> Moments:
        """Compute the mean and the sums of powers up to ``order`` (1 to 4)."""
        mean, *central = _by_chunks(values, window, lambda blocks: _moments(blocks, order), order)
        return cls(window, mean, tuple(central))

    @property
    def std(self) -> FloatArray:
        """Sample standard deviation (divided by ``window - 1``)."""
        root: FloatArray = np.sqrt(self.central[0] / (self.window - 1))
        return root

    @property
    def skew(self) -> FloatArray:
        """Adjusted skewness G1, as pandas has it (window >= 3); NaN where all values are equal."""
        n, squares, cubes = self.window, self.central[0], self.central[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            adjusted: FloatArray = cubes / (squares * np.sqrt(squares)) * (n * np.sqrt(n - 1) / (n - 2))
        return adjusted

    @property
    def kurtosis(self) -> FloatArray:
        """Adjusted excess kurtosis G2, as pandas has it (window >= 4); NaN where all values are equal."""
        n, squares, fourths = self.window, self.central[0], self.central[2]
        with np.errstate(invalid="ignore", divide="ignore"):
            plain = n * fourths / (squares * squares)
        adjusted: FloatArray = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * plain - 3 * (n - 1))
        return adjusted


def _moments(blocks: Blocks, order: int) -> tuple[Blocks, ...]:
    first = blocks[:, :1]
    sums = _sums_around_first(blocks, order)
    window = blocks.shape[1]
    shift = sums[0] / window
    central = []
    if order >= 2:
        central.append(np.maximum(sums[1] - shift * sums[0], 0.0))
    if order >= 3:
        square = shift * shift
        central.append(sums[2] - 3 * shift * sums[1] + 2 * window * shift * square)
    if order >= 4:
        fourth = sums[3] - 4 * shift * sums[2] + 6 * square * sums[1] - 3 * window * square * square
        central.append(np.maximum(fourth, 0.0))
    return (first + shift, *central)


_BINOMIAL = {1: (1, 1), 2: (1, 2, 1), 3: (1, 3, 3, 1), 4: (1, 4, 6, 4, 1)}


def _sums_around_first(blocks: Blocks, order: int) -> list[Blocks]:
    """Sum powers of the distances of each window's values from the first value of the block it ends in."""
    first, last = blocks[:, :1], blocks[:-1, -1:]
    from_first, from_last = blocks - first, blocks[:-1, :0:-1] - last
    step = last - first[1:]
    steps = [np.ones_like(step), step, step * step, step * step * step, step * step * step * step]
    ends: list[Blocks] = [np.arange(blocks.shape[1] - 1, 0, -1.0)[np.newaxis]]
    start_power, end_power = from_first, from_last
    sums = []
    for power in range(1, order + 1):
        if power > 1:
            start_power, end_power = start_power * from_first, end_power * from_last
        total = np.cumsum(start_power, axis=1)
        ends.append(np.cumsum(end_power, axis=1)[:, ::-1])
        for k, end in enumerate(ends):
            total[1:, :-1] += (_BINOMIAL[power][k] * steps[power - k]) * end
        sums.append(total)
    return sums


def rolling_slope(values: FloatArray, window: int) -> FloatArray:
    """Give the least-squares slope of each window, in units per bar (window >= 2).

    >>> rolling_slope(np.array([1.0, 3.0, 5.0, 5.0]), 3).tolist()
    [nan, nan, 2.0, 1.0]
    """
    place = np.arange(window, dtype=np.float64)
    middle = (window - 1) / 2
    count = place[:0:-1]
    positions = count * (count - 1) / 2 - middle * count

    def work(blocks: Blocks) -> tuple[Blocks, ...]:
        first, last = blocks[:, :1], blocks[:-1, -1:]
        from_first, from_last = blocks - first, blocks[:-1, :0:-1] - last
        # The window of offset j starts at offset j + 1 of the block before: places shift by that much.
        total = np.cumsum(place * from_first, axis=1)
        total += (window - 1 - place - middle) * np.cumsum(from_first, axis=1)
        total[1:, :-1] += np.cumsum(count * from_last, axis=1)[:, ::-1]
        total[1:, :-1] -= (place[1:] + middle) * np.cumsum(from_last, axis=1)[:, ::-1]
        total[1:, :-1] += (last - first[1:]) * positions
        return (total / (window * (window**2 - 1) / 12),)

    return _by_chunks(values, window, work, 1)[0]


def rolling_ago(values: FloatArray, window: int, *, highest: bool) -> FloatArray:
    """Give how many bars ago each window's highest (or lowest) value was, the latest of equal ones.

    >>> rolling_ago(np.array([3.0, 1.0, 3.0, 2.0, 1.0]), 3, highest=True).tolist()
    [nan, nan, 0.0, 1.0, 2.0]
    """
    ago = np.full(len(values), np.nan)
    known = rolling_mean(np.where(np.isnan(values), np.nan, 0.0), window)
    signed = values if highest else -values
    for start in range(window - 1, len(values), _CHUNK):
        stop = min(start + _CHUNK, len(values))
        best = signed[start:stop].copy()
        place = np.zeros(stop - start)
        for lag in range(1, window):
            older = signed[start - lag : stop - lag]
            place[older > best] = lag
            np.maximum(best, older, out=best)
        ago[start:stop] = place + known[start:stop]
    return ago


def rolling_rank(values: FloatArray, window: int) -> FloatArray:
    """Give the rank of each value in its own window as a share in (0, 1]; equal values share their mean rank.

    >>> rolling_rank(np.array([1.0, 3.0, 2.0, 2.0]), 4).tolist()
    [nan, nan, nan, 0.625]
    """
    rank = np.full(len(values), np.nan)
    known = rolling_mean(np.where(np.isnan(values), np.nan, 0.0), window)
    for start in range(window - 1, len(values), _CHUNK):
        stop = min(start + _CHUNK, len(values))
        newest = values[start:stop]
        twice = np.full(stop - start, 2, dtype=np.int32)
        for lag in range(1, window):
            older = values[start - lag : stop - lag]
            twice += older < newest
            twice += older <= newest
        rank[start:stop] = twice / (2 * window) + known[start:stop]
    return rank
