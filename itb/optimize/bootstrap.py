"""The stationary bootstrap of Politis and Romano, as weights; intervals for a track record.

A resample of daily returns is used here for nothing but means of its rows, so that a resample is a row of **weights**
(how often each day was drawn, divided by the number of days) and thousands of resamples of thousands of trials are one
matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.optimize.sharpe_statistics import DAYS_A_YEAR, Moments

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import FloatArray

_CHUNK = 4_000_000  # days drawn at a time: bounds the memory, and is part of what a seed means


def stationary_weights(days: int, block: float, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """Draw resamples (rows) of ``days`` in blocks of geometric length, ``block`` days on average, around the end.

    Each row sums to 1. Politis and Romano, *The Stationary Bootstrap*, JASA 89, 1994.

    >>> weights = stationary_weights(50, block=5, resamples=3, seed=1)
    >>> weights.shape, weights.sum(axis=1).round(9).tolist()
    ((3, 50), [1.0, 1.0, 1.0])
    """
    if days < 1 or resamples < 1 or not block >= 1:
        raise ValueError(f"days, resamples and block must be at least 1, were {days}, {resamples} and {block}")
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, days))
    step = max(_CHUNK // days, 1)
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        ends = _block_ends(rng, count, days, block)
        length = np.diff(ends, axis=1, prepend=0)
        start = rng.integers(0, days, ends.shape) + np.arange(count)[:, None] * (2 * days + 1)
        # A block raises the counts from its start to its end by one; what lies past the last day goes round.
        size = count * (2 * days + 1)
        steps = np.bincount(start.ravel(), minlength=size) - np.bincount((start + length).ravel(), minlength=size)
        counts = steps.reshape(count, -1)[:, :-1].cumsum(axis=1)
        weights[first : first + count] = counts[:, :days] + counts[:, days:]
    return np.divide(weights, days, out=weights)


def _block_ends(rng: np.random.Generator, count: int, days: int, block: float) -> npt.NDArray[np.int64]:
    """Draw where blocks end, row by row, until every row is full; the last block is cut at ``days``."""
    ends = np.zeros((count, 1), dtype=np.int64)
    while ends[:, -1].min() < days:
        more = rng.geometric(1.0 / block, (count, math.ceil(1.2 * days / block) + 10))
        ends = np.concatenate([ends, ends[:, -1:] + more.cumsum(axis=1)], axis=1)
    return np.minimum(ends[:, 1:], days)


def block_length(returns: FloatArray) -> float:
    """Choose the mean block length for the stationary bootstrap of a mean, by the rule of Politis and White.

    *Automatic Block-Length Selection for the Dependent Bootstrap*, Econometric Reviews 23, 2004, with the correction of
    2009: lags count up to twice the last one before a run of insignificant autocorrelations, flat-topped. The result is
    at least 1 and at most ``min(3 * sqrt(n), n / 3)``; returns that never vary have 1.

    >>> block_length(np.random.default_rng(0).normal(size=1_000)) < 5
    True
    """
    count = len(returns)
    if count < 9 or np.ptp(returns) == 0:
        return 1.0
    centred = returns - returns.mean()
    patience = max(5, int(math.log10(count)))
    furthest = min(math.ceil(math.sqrt(count)) + patience, count - 2)
    covariance = np.array([centred[lag:] @ centred[: count - lag] for lag in range(furthest + 1)]) / count
    energy = np.concatenate(([0.0], np.cumsum(centred**2)))
    after = energy[-1] - energy[1 : furthest + 2]
    before = energy[count - 1 - np.arange(furthest + 1)]
    correlation = np.abs(covariance) * count / np.sqrt(np.maximum(after * before, 1e-300))
    significant = correlation >= 2 * math.sqrt(math.log10(count) / count)
    quiet = [lag for lag in range(furthest + 1 - patience) if not significant[lag : lag + patience].any()]
    lags = min(2 * max(quiet[0], 1), furthest) if quiet else furthest
    lag = np.arange(1, lags + 1)
    taper = np.where(lag / lags <= 0.5, 1.0, 2 * (1 - lag / lags))
    slope = 2 * float(np.sum(taper * lag * covariance[1 : lags + 1]))
    long_run = float(covariance[0] + 2 * np.sum(taper * covariance[1 : lags + 1]))
    if long_run == 0:
        return 1.0
    best = (slope**2 / long_run**2) ** (1 / 3) * count ** (1 / 3)
    return float(min(max(best, 1.0), math.ceil(min(3 * math.sqrt(count), count / 3))))


@dataclass(frozen=True)
class Interval:
    """Sharpe ratio (annual) and total return (fraction) of a track record, each with the ends of an interval.

    ``*_low`` and ``*_high`` are one-sided bounds: the truth lies above ``low`` with ``confidence``, and below ``high``
    with ``confidence``. NaN where the record never varies.
    """

    confidence: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    total_return: float
    total_return_low: float
    total_return_high: float


def interval(returns: FloatArray, weights: npt.NDArray[np.float64], confidence: float = 0.9) -> Interval:
    """Bound the Sharpe ratio and the total return of daily ``returns`` by the resamples of :func:`stationary_weights`.

    The Sharpe ratio's bounds are **studentised**: each resample's distance from the record is divided by its own
    standard error (Mertens), because a skewed record makes estimate and error move together, which percentiles ignore
    (Ledoit and Wolf, *Robust performance hypothesis testing with the Sharpe ratio*, 2008). The dependence of days is
    not in that error but in the resamples, whose quotients spread as much wider as the record's. The total return's
    bounds are percentiles.

    >>> drift = np.random.default_rng(3).normal(0.002, 0.01, 500)
    >>> found = interval(drift, stationary_weights(500, block=5, resamples=500, seed=0))
    >>> found.sharpe_low < found.sharpe < found.sharpe_high, found.total_return_low > 0
    (True, True)
    """
    nan = math.nan
    growth = np.log1p(np.maximum(returns, -1 + 1e-12))
    total = math.expm1(float(growth.sum()))
    record = Moments.of(returns)
    if np.ptp(returns) == 0:
        return Interval(confidence, 0.0, nan, nan, total, nan, nan)
    days = len(returns)
    scaled = (returns - returns.mean()) / returns.std()
    powers = np.column_stack([scaled, scaled**2, scaled**3, scaled**4, growth * days])
    first, second, third, fourth, grown = (weights @ powers).T
    variance = np.maximum(second - first**2, 1e-12)
    deviation = np.sqrt(variance)
    drawn = (first + returns.mean() / returns.std()) / deviation * math.sqrt((days - 1) / days)
    skewness = (third - 3 * first * second + 2 * first**3) / deviation**3
    kurtosis = (fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4) / variance**2
    error = np.sqrt(np.maximum(1 - skewness * drawn + (kurtosis - 1) / 4 * drawn**2, 1e-12) / (days - 1))
    quotient = (drawn - record.sharpe) / error
    high, low = np.quantile(quotient, [1 - confidence, confidence])
    annual = math.sqrt(DAYS_A_YEAR)
    worst, best = np.expm1(np.quantile(grown, [1 - confidence, confidence]))
    return Interval(
        confidence,
        record.sharpe * annual,
        (record.sharpe - float(low) * record.sharpe_error) * annual,
        (record.sharpe - float(high) * record.sharpe_error) * annual,
        total,
        float(worst),
        float(best),
    )
