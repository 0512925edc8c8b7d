"""Which features say the same: rank correlations, clusters of them, near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itb.mlmodels.metrics import midranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.market.bars import IntArray
    from itb.mlmodels.algorithm import FloatMatrix

Square = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Likeness:
    """Rank correlations of features, in an order in which those that are alike stand side by side.

    ``cluster`` numbers the clusters in that order, from 0: features of one are, on average over pairs, more alike than
    the limit they were cut at.
    """

    names: tuple[str, ...]
    correlation: Square
    cluster: IntArray

    @property
    def clusters(self) -> tuple[tuple[str, ...], ...]:
        """The names in each cluster, in order."""
        return tuple(
            tuple(name for name, mine in zip(self.names, self.cluster, strict=True) if mine == number)
            for number in range(int(self.cluster.max(initial=-1)) + 1)
        )

    def pairs(self, least: float) -> tuple[tuple[str, str, float], ...]:
        """Give the pairs whose correlation is at least ``least`` in size, the closest first."""
        first, second = np.triu_indices(len(self.names), 1)
        size = np.abs(self.correlation[first, second])
        order = np.argsort(-size, kind="stable")
        chosen = [place for place in order if size[place] >= least]
        return tuple(
            (self.names[first[i]], self.names[second[i]], float(self.correlation[first[i], second[i]])) for i in chosen
        )

    def without_copies(self, limit: int) -> Likeness:
        """Give at most ``limit`` features: of each cluster the one that is most like the rest, large clusters first."""
        if len(self.names) <= limit:
            return self
        size = np.abs(self.correlation)
        speakers = []
        for number in range(int(self.cluster.max()) + 1):
            members = np.flatnonzero(self.cluster == number)
            closest = int(size[np.ix_(members, members)].mean(axis=1).argmax())
            speakers.append((-len(members), int(members[closest])))
        kept = np.sort([place for _, place in sorted(speakers)[:limit]])
        renumbered = np.unique(self.cluster[kept], return_inverse=True)[1].astype(np.int64)
        return Likeness(tuple(self.names[i] for i in kept), self.correlation[np.ix_(kept, kept)], renumbered)


def rank_correlation(features: FloatMatrix) -> Square:
    """Give Spearman's correlation of every pair of columns over complete rows; 0 with a column that never changes.

    >>> rank_correlation(np.array([[1, 8, 1], [2, 4, 1], [3, 1, 1]], dtype=np.float32)).round(9).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    ranks = np.column_stack([midranks(column.astype(np.float64)) for column in features.T])
    ranks -= ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(length > 0, length, 1.0)
    found: Square = np.clip(ranks.T @ ranks, -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return found


def likeness(names: Sequence[str], features: FloatMatrix, alike: float = 0.7) -> Likeness:
    """Order and cluster features by average linkage of 1 - |rank correlation|, cut where it falls below ``alike``.

    ``features`` holds complete rows. Features of opposite sign are alike: a tree takes either.

    >>> one = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32)
    >>> found = likeness(("a", "b", "minus_a"), np.column_stack([one, -one[:, 0]]))
    >>> found.clusters
    (('a', 'minus_a'), ('b',))
    """
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    correlation = rank_correlation(features)
    if len(names) < 2:
        return Likeness(tuple(names), correlation, np.zeros(len(names), dtype=np.int64))
    apart = 1 - np.abs(correlation)
    np.fill_diagonal(apart, 0.0)
    tree = linkage(squareform(apart, checks=False), method="average", optimal_ordering=len(names) <= 300)
    order = np.asarray(leaves_list(tree), dtype=np.int64)
    label = np.asarray(fcluster(tree, 1 - alike, criterion="distance"), dtype=np.int64)[order]
    order, label = _first_named_first(order, label)
    starts = np.concatenate(([0], np.cumsum(label[1:] != label[:-1])))
    return Likeness(tuple(names[i] for i in order.tolist()), correlation[np.ix_(order, order)], starts.astype(np.int64))


def _first_named_first(order: IntArray, label: IntArray) -> tuple[IntArray, IntArray]:
    """Of an order and its reverse, which are the same tree, take the one in which the first feature comes sooner."""
    return (order, label) if np.argmin(order) < len(order) / 2 else (order[::-1], label[::-1])
