"""How many independent trials a search amounts to: neighbours on a grid are hardly two trials.

Trials are clustered by the correlation of their returns, and each cluster counts for as much as its members differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.optimize.sharpe_statistics import sharpe

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import FloatArray, IntArray

MOST_COLUMNS = 2_000
_CUTS = 64


@dataclass(frozen=True, eq=False)
class EffectiveTrials:
    """What trials are worth: as how many independent ones they count, and the Sharpe ratio (per day) of each cluster.

    A cluster's Sharpe ratio is that of its members at equal risk, held together.
    """

    number: float
    sharpes: FloatArray


def effective_trials(returns: npt.NDArray[np.float64]) -> EffectiveTrials:
    """Give the number of independent trials that daily ``returns`` (days x trials) are worth, from 1 to their number.

    Each of the clusters of :func:`clusters` with ``n`` trials whose mean correlation is ``r`` (0 where it is below)
    counts as ``r + (1 - r) n``: copies as one, strangers as n (Lopez de Prado, *Advances in Financial Machine
    Learning*, on average correlation, applied cluster by cluster); all trials are taken as one cluster if that gives
    less. Counting clusters alone would be too kind: a grid whose points correlate at 0.7 still offers luck to choose
    from. The tests compare with the expected largest of correlated normal numbers:
    :func:`~itb.optimize.sharpe_statistics.expected_maximum` of the result is at most 6 % below it, and above it, on the
    strict side, where one factor moves all trials.

    All trials that never vary count as one. Beyond 2,000 trials, as many at equal steps are taken and the number is
    scaled up: an upper bound, for more trials of one space lie closer together.

    >>> rng = np.random.default_rng(0)
    >>> ideas = rng.normal(size=(1_000, 5))
    >>> copies = np.repeat(ideas, 10, axis=1) + 0.05 * rng.normal(size=(1_000, 50))
    >>> round(effective_trials(copies).number, 1), round(effective_trials(rng.normal(size=(1_000, 50))).number)
    (5.1, 48)
    """
    varies = np.ptp(returns, axis=0) > 0
    still = int(not varies.all())
    table = returns[:, varies]
    count = table.shape[1]
    if count < 2:
        return EffectiveTrials(float(max(count + still, 1)), sharpe(returns)[varies])
    if count > MOST_COLUMNS:
        table = table[:, np.linspace(0, count - 1, MOST_COLUMNS).astype(np.int64)]
    correlation = correlations(table)
    families = clusters(correlation)
    divided = sum(_worth(correlation[np.ix_(members, members)]) for members in families)
    worth = min(divided, _worth(correlation))
    risk = table / table.std(axis=0)
    together = np.column_stack([risk[:, members].mean(axis=1) for members in families])
    return EffectiveTrials(float(worth * count / table.shape[1] + still), sharpe(together))


def correlations(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Correlate the columns of ``table`` (days x columns), none of which may be constant.

    >>> correlations(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])).round(9).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    standard = table - table.mean(axis=0)
    standard /= np.sqrt((standard**2).sum(axis=0))
    return np.asarray(np.clip(standard.T @ standard, -1.0, 1.0))


def clusters(correlation: npt.NDArray[np.float64]) -> list[IntArray]:
    """Divide columns into clusters: average linkage on the distance ``sqrt((1 - correlation) / 2)``.

    The number of clusters, from 2 up, is the one of (at most 64 tried) whose silhouettes have the highest mean, as in
    the optimal number of clusters of Lopez de Prado and Lewis (2019) but without their random starts: the same returns
    give the same clusters. A column alone has the silhouette 0.

    >>> pairs = np.array([[1, 0.9, 0, 0], [0.9, 1, 0, 0], [0, 0, 1, 0.8], [0, 0, 0.8, 1.0]])
    >>> [members.tolist() for members in clusters(pairs)]
    [[0, 1], [2, 3]]
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    count = len(correlation)
    if count < 3:
        return [np.arange(count)]
    distance = np.sqrt(np.maximum(1.0 - correlation, 0.0) / 2)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    order = leaves_list(tree).astype(np.int64)
    splits = _splits(tree, order)
    # In the order of the leaves each cluster of any cut is one stretch: its sums are differences of running sums.
    running = np.zeros((count, count + 1))
    np.cumsum(distance[np.ix_(order, order)], axis=1, out=running[:, 1:])
    numbers = np.unique(np.geomspace(2, count - 1, _CUTS).astype(np.int64))
    bounds = [np.concatenate(([0], np.sort(splits[: number - 1]), [count])) for number in numbers]
    best = max(range(len(numbers)), key=lambda i: _silhouette(running, bounds[i]))
    return [np.sort(order[first:last]) for first, last in zip(bounds[best][:-1], bounds[best][1:], strict=True)]


def _splits(tree: npt.NDArray[np.float64], order: IntArray) -> IntArray:
    """Give the places in the order of the leaves that a tree is cut at, the highest merge first."""
    count = len(order)
    first, last = np.empty(2 * count - 1, dtype=np.int64), np.empty(2 * count - 1, dtype=np.int64)
    first[order] = last[order] = np.arange(count)
    places = np.empty(count - 1, dtype=np.int64)
    for row in range(count - 1):
        left, right = sorted((int(tree[row, 0]), int(tree[row, 1])), key=lambda node: first[node])
        first[count + row], last[count + row] = first[left], last[right]
        places[row] = first[right]
    return places[::-1]


def _silhouette(running: npt.NDArray[np.float64], bounds: IntArray) -> float:
    """Give the mean over columns of (distance to the next cluster - to its own) / the larger of both."""
    sizes = np.diff(bounds)
    sums = running[:, bounds[1:]] - running[:, bounds[:-1]]
    own = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(own))
    within: FloatArray = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
    sums /= sizes
    sums[rows, own] = np.inf
    beyond = sums.min(axis=1)
    larger = np.maximum(np.maximum(within, beyond), 1e-12)
    return float(np.where(sizes[own] > 1, (beyond - within) / larger, 0.0).mean())


def _worth(correlation: npt.NDArray[np.float64]) -> float:
    count = len(correlation)
    if count == 1:
        return 1.0
    mean = max((float(correlation.sum()) - count) / (count * (count - 1)), 0.0)
    return mean + (1 - mean) * count
