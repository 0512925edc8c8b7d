"""Is the best of many trials better than a benchmark, or the luckiest? White's reality check and its heirs.

White, *A Reality Check for Data Snooping*, Econometrica 68, 2000; Hansen, *A Test for Superior Predictive Ability*,
Journal of Business & Economic Statistics 23, 2005; Romano and Wolf, *Stepwise Multiple Testing as Formalized Data
Snooping*, Econometrica 73, 2005. All use one set of stationary bootstrap resamples, which keeps the dependence of days
and of trials as it is: copies of one trial cost nothing, and no number of trials has to be assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Superiority:
    """P-values for "no trial is better than the benchmark", and the trials that are.

    ``lower``, ``consistent`` and ``upper`` are Hansen's (studentised); ``consistent`` is the one to read, the others
    bound what another treatment of the poor trials would say. ``white`` is White's reality check (not studentised).
    ``superior`` marks the trials that beat the benchmark at ``size``, all of them together (StepM).
    """

    lower: float
    consistent: float
    upper: float
    white: float
    superior: BoolArray
    size: float


def superiority(
    excess: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    *,
    block: float,
    size: float = 0.05,
    studentised: bool = True,
) -> Superiority:
    """Test daily returns in excess of a benchmark, days x trials, on resamples made for mean blocks of ``block`` days.

    ``weights`` come from :func:`itb.optimize.bootstrap.stationary_weights` for as many days. A p-value is
    ``(1 + resamples at or above the statistic) / (1 + resamples)``: never 0. A trial that never differs from the
    benchmark takes no part; without any other the p-values are 1.

    Trials are made comparable by their daily standard deviation. Hansen divides by the long-run deviation, which is the
    same without autocorrelation but so noisy an estimate that p <= 0.05 comes in 6 to 7 % of searches without skill;
    any scale is valid, for the resamples are divided by the same. Without ``studentised`` nothing is divided and the
    trials with the widest returns decide; so does ``arch``.

    >>> from itb.optimize.bootstrap import stationary_weights
    >>> noise = np.random.default_rng(5).normal(0, 0.01, (400, 20))
    >>> noise[:, 3] += 0.003
    >>> found = superiority(noise, stationary_weights(400, 5, 500, seed=0), block=5)
    >>> found.consistent < 0.01, np.flatnonzero(found.superior).tolist()
    (True, [3])
    """
    days, trials = excess.shape
    superior = np.zeros(trials, dtype=np.bool_)
    alive = np.ptp(excess, axis=0) > 0
    if not alive.any() or days < 3:
        return Superiority(1.0, 1.0, 1.0, 1.0, superior, size)
    table = excess[:, alive]
    mean = table.mean(axis=0)
    deviation = np.sqrt(long_run_variance(table, block))
    poor = mean * math.sqrt(days) < -math.sqrt(2 * math.log(math.log(days))) * deviation
    drawn = weights @ table
    drawn -= mean
    white = _p_value(drawn.max(axis=1), float(mean.max()))
    scale = math.sqrt(days) / table.std(axis=0) if studentised else np.ones_like(mean)
    drawn *= scale
    statistic = mean * scale
    superior[alive] = _stepwise(statistic, drawn, size)
    observed = max(float(statistic.max()), 0.0)
    # Hansen takes from a resampled mean the trial's own mean (upper), the same unless it is clearly poor (consistent),
    # or only a mean above 0 (lower). The whole mean is taken already; here the rest is given back.
    upper = _p_value(np.maximum(drawn.max(axis=1), 0.0), observed)
    lower = _p_value(np.maximum((drawn + np.minimum(statistic, 0.0)).max(axis=1), 0.0), observed)
    drawn += np.where(poor, statistic, 0.0)
    consistent = _p_value(np.maximum(drawn.max(axis=1), 0.0), observed)
    return Superiority(lower, consistent, upper, white, superior, size)


def long_run_variance(table: npt.NDArray[np.float64], block: float) -> FloatArray:
    """Give each column's variance of ``sqrt(days) * mean`` under the stationary bootstrap, in closed form.

    The autocovariance at lag ``i`` of ``n`` has the weight ``(1 - i / n) q ** i + i / n * q ** (n - i)`` with
    ``q = 1 - 1 / block`` (Politis and Romano 1994, lemma 1).

    >>> table = np.random.default_rng(0).normal(size=(300, 2))
    >>> bool(np.allclose(long_run_variance(table, block=1), table.var(axis=0)))
    True
    """
    days = len(table)
    centred = table - table.mean(axis=0)
    spectrum = np.fft.rfft(centred, 2 * days, axis=0)
    covariance = np.fft.irfft((spectrum * spectrum.conj()).real, 2 * days, axis=0)[:days] / days
    lag, stay = np.arange(1, days), 1.0 - 1.0 / block
    kernel = (1 - lag / days) * stay**lag + lag / days * stay ** (days - lag)
    variance = covariance[0] + 2 * kernel @ covariance[1:]
    return np.asarray(np.maximum(variance, 1e-12 * covariance[0]))


def _p_value(drawn: FloatArray, observed: float) -> float:
    return (1 + int(np.count_nonzero(drawn >= observed))) / (1 + len(drawn))


def _stepwise(statistic: FloatArray, drawn: npt.NDArray[np.float64], size: float) -> BoolArray:
    """Reject by the largest of all, then by the largest of those that are left, until nothing more is rejected."""
    rejected = np.zeros(len(statistic), dtype=np.bool_)
    while not rejected.all():
        critical = float(np.quantile(drawn[:, ~rejected].max(axis=1), 1 - size))
        more = ~rejected & (statistic > critical)
        if not more.any():
            break
        rejected |= more
    return rejected
