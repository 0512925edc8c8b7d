"""Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

Bailey, Borwein, Lopez de Prado and Zhu, *The Probability of Backtest Overfitting*, Journal of Computational Finance
20(4), 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import FloatArray

_CHUNK = 1_000_000  # Sharpe ratios at a time: bounds the memory, not the result


@dataclass(frozen=True, eq=False)
class Overfitting:
    """What became of the best trial of one half of the days in the other half, for every way to halve the blocks.

    ``probability`` is the share of splits whose best trial ranks at or below the median out of sample, ``loss`` the
    share in which it loses money there. ``slope`` and ``intercept`` are of the line through ``inside`` and ``outside``,
    the Sharpe ratios per day of the best in and out of sample; NaN where ``inside`` never varies.
    """

    probability: float
    loss: float
    slope: float
    intercept: float
    logits: FloatArray
    inside: FloatArray
    outside: FloatArray


def overfitting(returns: npt.NDArray[np.float64], blocks: int = 16, *, ties_overfit: bool = True) -> Overfitting:
    """Cut the days (rows) of ``returns`` into ``blocks`` equal stretches and try every split into two halves.

    The trial (column) with the best Sharpe ratio in one half has rank ``r`` of N in the other (1 is worst; equal ones
    share their ranks' mean), ``omega = r / (N + 1)`` and the logit ``ln(omega / (1 - omega))``. With an odd N a rank in
    the very middle gives a logit of 0: the paper counts it as overfit, and so does ``ties_overfit``; the R package pbo
    and purgedcv do not. A trial without variation in a half has a Sharpe ratio of 0 there. Where days do not divide
    evenly, the first blocks are one day longer.

    >>> day, trial = np.arange(48)[:, None], np.arange(1, 7)
    >>> table = np.sin(0.7 * (day + 1) * trial) + 0.3 * np.cos(1.3 * (day + 1) + trial) + 0.02 * trial
    >>> found = overfitting(table, blocks=6)
    >>> found.probability, round(found.slope, 6), round(found.intercept, 6)
    (0.75, -0.71675, 0.213841)
    """
    days, trials = returns.shape
    if blocks < 2 or blocks % 2 or days < 2 * blocks:
        raise ValueError(f"blocks must be even, at least 2, with 2 days each; were {blocks} of {days} days")
    if trials < 2:
        raise ValueError(f"a rank needs at least 2 trials, was {trials}")
    if not np.isfinite(returns).all():
        raise ValueError("returns of trials must be finite; leave out trials that failed")
    size, longer = divmod(days, blocks)
    lengths = size + (np.arange(blocks) < longer)
    starts = np.cumsum(lengths) - lengths
    sums, squares = np.add.reduceat(returns, starts), np.add.reduceat(returns**2, starts)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks))
    np.put_along_axis(chosen, halves, 1.0, axis=1)
    step = max(_CHUNK // trials, 1)
    parts = [_split(chosen[i : i + step], lengths, sums, squares) for i in range(0, len(halves), step)]
    logits, inside, outside = (np.concatenate(values) for values in zip(*parts, strict=True))
    slope, intercept = _line(inside, outside)
    bad = logits <= 0 if ties_overfit else logits < 0
    return Overfitting(float(bad.mean()), float(np.mean(outside < 0)), slope, intercept, logits, inside, outside)


def _split(
    chosen: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
    squares: npt.NDArray[np.float64],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Find the best column of each half and its logit in the other half."""
    rows = np.arange(len(chosen))
    inner = _sharpe(chosen, lengths, sums, squares)
    outer = _sharpe(1.0 - chosen, lengths, sums, squares)
    best = inner.argmax(axis=1)
    inside, outside = inner[rows, best], outer[rows, best]
    below = (outer < outside[:, None]).sum(axis=1)
    equal = (outer == outside[:, None]).sum(axis=1)
    rank = below + (equal + 1) / 2
    return np.log(rank / (sums.shape[1] + 1 - rank)), inside, outside


def _sharpe(
    chosen: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
    squares: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    count = (chosen @ lengths)[:, None]
    mean, square = chosen @ sums / count, chosen @ squares / count
    variance = square - mean**2
    varies = variance > 1e-12 * square  # below, only rounding is left of a constant column
    np.multiply(variance, count / (count - 1), out=variance)
    deviation = np.sqrt(variance, out=np.ones_like(variance), where=varies)
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=varies)


def _line(inside: FloatArray, outside: FloatArray) -> tuple[float, float]:
    centred = inside - inside.mean()
    variance = float(centred @ centred)
    if variance <= 0:
        return float("nan"), float("nan")
    slope = float(centred @ outside) / variance
    return slope, float(outside.mean()) - slope * float(inside.mean())
