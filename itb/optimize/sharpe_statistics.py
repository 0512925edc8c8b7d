"""Sharpe ratios and what chance alone would have made of them.

Conventions of every figure: returns are those of UTC days, days without a position included; a Sharpe ratio is **per
day** unless its name says annual, and a year has 365 days; a standard deviation divides by n - 1; skewness and kurtosis
divide by n; kurtosis is **raw**, 3 for a normal distribution (feeding the excess kurtosis is the classic mistake). A
column that never varies (a trial that never traded) has a Sharpe ratio of 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import FloatArray

DAYS_A_YEAR = 365.0
_EULER = 0.5772156649015329
_NORMAL = NormalDist()
_STILL = 1e-9  # a deviation below this share of the mean is rounding, as in itb.ledger.metrics


def sharpe(returns: npt.NDArray[np.float64]) -> FloatArray:
    """Give the Sharpe ratio per day of every column of ``returns`` (days x columns), 0 where nothing varies.

    >>> sharpe(np.array([[0.01, 0.0], [0.03, 0.0], [-0.01, 0.0]])).round(3).tolist()
    [0.5, 0.0]
    """
    mean, deviation = returns.mean(axis=0), returns.std(axis=0, ddof=1)
    varies = deviation > _STILL * np.abs(mean)
    return np.asarray(np.divide(mean, deviation, out=np.zeros_like(mean), where=varies))


@dataclass(frozen=True)
class Moments:
    """What a track record says: its Sharpe ratio per day, its length in days, its skewness and its raw kurtosis.

    >>> round(Moments(sharpe=0.1, days=1_000).sharpe_error, 5)
    0.03172
    """

    sharpe: float
    days: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    @classmethod
    def of(cls, returns: FloatArray) -> Moments:
        """Measure daily returns (at least two)."""
        if len(returns) < 2:
            raise ValueError(f"a track record needs at least 2 days, was {len(returns)}")
        ratio = float(sharpe(returns[:, None])[0])
        centred = returns - returns.mean()
        deviation = float(centred.std())
        if ratio == 0.0 and deviation <= _STILL * abs(float(returns.mean())):
            return cls(0.0, len(returns))
        standard = centred / deviation
        return cls(ratio, len(returns), float(np.mean(standard**3)), float(np.mean(standard**4)))

    @property
    def spread(self) -> float:
        """Give ``1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe ** 2``: the variance of the estimate times n - 1.

        Its least value over all distributions of that Sharpe ratio is 0; rounding is kept above it.
        """
        return max(1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2, 1e-12)

    @property
    def sharpe_error(self) -> float:
        """Give the standard error of the Sharpe ratio per day (Mertens 2002)."""
        return math.sqrt(self.spread / (self.days - 1))


def probabilistic_sharpe(record: Moments, benchmark: float = 0.0) -> float:
    """Give the probability that the true Sharpe ratio is above ``benchmark`` (per period), by the record alone.

    Bailey and Lopez de Prado, *The Sharpe Ratio Efficient Frontier*, Journal of Risk 15(2), 2012.

    >>> monthly = Moments(sharpe=0.458, days=24, skewness=-2.448, kurtosis=10.164)
    >>> round(probabilistic_sharpe(monthly), 5)
    0.91336
    """
    return _NORMAL.cdf((record.sharpe - benchmark) / record.sharpe_error)


def expected_maximum(trials: float) -> float:
    """Give the expected largest of ``trials`` independent standard normal numbers; 0 for one trial.

    The approximation of Bailey and Lopez de Prado (2014); simulation gives 1.538 where it says 1.575 (10 trials) and
    2.506 where it says 2.531 (100): it errs to the strict side. ``trials`` need not be whole.

    >>> round(expected_maximum(10), 6), round(expected_maximum(1_000), 6), expected_maximum(1)
    (1.574598, 3.255122, 0.0)
    """
    if not trials >= 1:
        raise ValueError(f"trials must be at least 1, was {trials}")
    if trials == 1:
        return 0.0
    common = (1 - _EULER) * _NORMAL.inv_cdf(1 - 1 / trials)
    return max(common + _EULER * _NORMAL.inv_cdf(1 - 1 / (trials * math.e)), 0.0)


def deflated_sharpe(record: Moments, trials: float, variance: float) -> float:
    """Give the probability that the true Sharpe ratio is above what the best of ``trials`` without skill would show.

    ``variance`` is that of the trials' Sharpe ratios per period. Bailey and Lopez de Prado, *The Deflated Sharpe
    Ratio*, Journal of Portfolio Management 40(5), 2014.

    >>> record = Moments(sharpe=2.5 / 250**0.5, days=1_250, skewness=-3, kurtosis=10)
    >>> round(deflated_sharpe(record, 100, variance=0.5 / 250), 6)
    0.900397
    """
    return probabilistic_sharpe(record, math.sqrt(variance) * expected_maximum(trials))


def trial_variance(sharpes: FloatArray, days: int) -> float:
    """Give the variance (n - 1) of trials' Sharpe ratios per day, never below ``1 / days``.

    ``1 / days`` is the variance of a Sharpe ratio measured without skill over so many days. A few trials may vary less
    among themselves, but their common luck does not.

    >>> trial_variance(np.array([0.01, 0.01, 0.02]), days=400)
    0.0025
    """
    return max(float(sharpes.var(ddof=1)) if len(sharpes) > 1 else 0.0, 1.0 / days)


def minimum_track_record(record: Moments, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Give how many periods it takes to believe, at ``confidence``, that the Sharpe ratio is above ``benchmark``.

    Infinite where the record is not above the benchmark. Both are per period, as is the result.

    >>> daily = Moments(sharpe=2 / 250**0.5, days=2)
    >>> round(minimum_track_record(daily, 1 / 250**0.5) / 250, 4)
    2.7312
    """
    if record.sharpe <= benchmark:
        return math.inf
    return 1 + record.spread * (_NORMAL.inv_cdf(confidence) / (record.sharpe - benchmark)) ** 2


def minimum_backtest_years(trials: float, annual_sharpe: float = 1.0) -> float:
    """Give the years below which the best of ``trials`` without skill is expected to show ``annual_sharpe``.

    ``(expected maximum / annual_sharpe) ** 2``: Bailey, Borwein, Lopez de Prado and Zhu, *Pseudo-mathematics and
    financial charlatanism*, Notices of the AMS 61(5), 2014. Infinite where ``annual_sharpe`` is not above 0.

    >>> round(minimum_backtest_years(45), 3), round(minimum_backtest_years(500), 1)
    (4.998, 9.3)
    """
    if annual_sharpe <= 0:
        return math.inf
    return (expected_maximum(trials) / annual_sharpe) ** 2


def backtest_years_bound(trials: float, annual_sharpe: float = 1.0) -> float:
    """Give the upper bound ``2 ln(trials) / annual_sharpe ** 2`` of :func:`minimum_backtest_years`.

    >>> round(backtest_years_bound(45), 3)
    7.613
    """
    return 2 * math.log(trials) / annual_sharpe**2 if annual_sharpe > 0 else math.inf
