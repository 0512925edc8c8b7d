"""Searches with a known edge: how often it is trusted, and how often the rule says that it should be."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from benchmarks.honesty.markets import DAYS, HOURLY, HOURS
from benchmarks.honesty.searches import TRAIN_DAYS, WINDOW_DAYS, replay
from itb.optimize.evidence import Evidence
from itb.optimize.sharpe_statistics import expected_maximum, sharpe
from itb.optimize.verdict import DEFLATED_SHARPE, NESTED_CONFIDENCE, SUPERIORITY_P

_NORMAL = NormalDist()
_YEARS = DAYS / 365
_RUN = 48  # hours that a position lasts on average


def planted(annual_sharpe: float, trials: int, rng: np.random.Generator, owners: int = 1) -> Evidence:
    """Let ``trials`` hold random long and short positions in one market, and give the first ``owners`` an edge.

    The edge is a constant gain, after costs, that makes their true Sharpe ratio ``annual_sharpe``. Owners hold the same
    positions but for a fifth of their variance.
    """
    market = rng.normal(0, HOURLY, HOURS)
    table = np.empty((DAYS, trials))
    for trial in range(trials):
        turns = rng.random(HOURS) < 1 / _RUN
        side = np.where(np.cumsum(turns) % 2 == 0, 1.0, -1.0)
        table[:, trial] = (side * market).reshape(DAYS, 24).sum(axis=1)
    table[:, 1:owners] = math.sqrt(0.8) * table[:, :1] + math.sqrt(0.2) * table[:, 1:owners]
    table[:, :owners] += annual_sharpe * HOURLY * math.sqrt(24) / math.sqrt(365)
    nested, windows = replay(table, np.zeros((DAYS, trials), dtype=np.int8), cost=0.0)
    hold = market.reshape(DAYS, 24).sum(axis=1)
    return Evidence(table, int(sharpe(table).argmax()), nested, nested_windows=windows, hold=hold)


def closed_form(annual_sharpe: float, trials: int) -> float:
    """Give a lower bound of the probability of ``trust`` with one owner: 1 - the sum of each part's failure.

    Sharpe ratios are normal around the truth with the deviation 1 / sqrt(years); the trials are independent. The
    deflated Sharpe ratio must be reached by the one with the edge; the reality check's critical value is that of the
    largest of ``trials`` normal numbers, against cash and against holding; the nested replay earns the edge in the
    share of windows in which it was the best before. PBO is taken to be below one half.
    """
    signal = annual_sharpe * math.sqrt(_YEARS)  # distance from 0 in standard errors
    daily = annual_sharpe / math.sqrt(365)
    error = math.sqrt(1 + daily**2 / 2)
    variance = max(1 / DAYS * (1 - 1 / trials) + daily**2 / trials, 1 / DAYS)  # expected (n - 1) variance, floored
    luck = math.sqrt(variance * DAYS) * expected_maximum(trials)
    deflated = _NORMAL.cdf((signal - luck) / error - _NORMAL.inv_cdf(DEFLATED_SHARPE))
    critical = _NORMAL.inv_cdf((1 - SUPERIORITY_P) ** (1 / trials))
    superior = _NORMAL.cdf(signal - critical)
    starts = np.arange(TRAIN_DAYS, DAYS, WINDOW_DAYS)
    found = np.array([_is_best(annual_sharpe * math.sqrt(start / 365), trials) for start in starts])
    kept = annual_sharpe * float(found.mean())
    nested_years = (DAYS - TRAIN_DAYS) / 365
    bound = _NORMAL.cdf(kept * math.sqrt(nested_years) - _NORMAL.inv_cdf(NESTED_CONFIDENCE))
    good = _NORMAL.cdf(kept * math.sqrt(WINDOW_DAYS / 365))
    windows = len(starts)
    median = sum(
        math.comb(windows, k) * good**k * (1 - good) ** (windows - k) for k in range(windows // 2 + 1, windows + 1)
    )
    # The reality check is asked twice, of nearly the same returns: its failure is counted twice.
    return max(1 - (1 - deflated) - 2 * (1 - superior) - (1 - bound) - (1 - median), 0.0)


def _is_best(distance: float, trials: int) -> float:
    """Give the probability that a normal number around ``distance`` is the largest beside ``trials - 1`` around 0."""
    grid = np.linspace(-6, 6, 481)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([_NORMAL.cdf(value + distance) for value in grid.tolist()]) ** (trials - 1)
    return float(np.sum(density * below) * (grid[1] - grid[0]))
