"""How much labels share their bars with each other: concurrency, average uniqueness, sequential bootstrap.

Labels that overlap tell the same story several times; weighted by their uniqueness, each story counts about once
(Lopez de Prado, *Advances in Financial Machine Learning*, chapter 4). ``starts`` and ``stops`` are the first and the
last bar that each label looks at, both included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.labels.column import NEVER


def label_spans(rows: IntArray, known_at: IntArray) -> tuple[IntArray, IntArray]:
    """Give the first and the last bar that the labels of ``rows`` look at.

    A label decided at the close of bar t looks at the bars after t, up to the one at whose close it is known.

    >>> label_spans(np.array([0, 1]), np.array([2, 4, -1]))
    (array([1, 2]), array([2, 4]))
    """
    if (known_at[rows] == NEVER).any():
        row = int(rows[known_at[rows] == NEVER][0])
        raise ValueError(f"row {row} has no label: only rows whose label is known can be weighed")
    return rows + 1, known_at[rows]


def concurrency(starts: IntArray, stops: IntArray, bars: int | None = None) -> IntArray:
    """Count for each bar the labels that look at it; ``bars`` defaults to what the labels need.

    >>> concurrency(np.array([1, 3, 5]), np.array([3, 4, 6]))[1:].tolist()
    [1, 1, 2, 1, 1, 1]
    """
    _check_spans(starts, stops)
    length = int(stops.max(initial=-1)) + 1 if bars is None else bars
    change = np.bincount(starts, minlength=length + 1) - np.bincount(stops + 1, minlength=length + 1)
    return np.cumsum(change)[:length].astype(np.int64)


def average_uniqueness(starts: IntArray, stops: IntArray) -> FloatArray:
    """Give each label's mean share, over its bars, of one label among all that look at the same bar.

    >>> average_uniqueness(np.array([1, 3, 5]), np.array([3, 4, 6])).round(4).tolist()
    [0.8333, 0.75, 1.0]
    """
    counts = concurrency(starts, stops)
    return _mean_over(1 / np.maximum(counts, 1), starts, stops)


def draw_chances(starts: IntArray, stops: IntArray, drawn: Sequence[int] | IntArray) -> FloatArray:
    """Give each label's chance to be drawn next: less, the more its bars are covered by the labels ``drawn`` so far.

    >>> draw_chances(np.array([1, 3, 5]), np.array([3, 4, 6]), drawn=[1]) * 14
    array([5., 3., 6.])
    """
    _check_spans(starts, stops)
    drawn = np.asarray(drawn, dtype=np.int64)
    covered = concurrency(starts[drawn], stops[drawn], int(stops.max()) + 1)
    return _chances(covered, starts, stops)


def sequential_bootstrap(
    starts: IntArray, stops: IntArray, rng: np.random.Generator, draws: int | None = None
) -> IntArray:
    """Draw labels with replacement, one after the other, each less likely the more it overlaps with those drawn.

    Gives positions into ``starts``, as many as there are labels unless ``draws`` says otherwise. Each draw costs one
    pass over all labels, so that twice the labels take four times as long.

    >>> rng = np.random.default_rng(0)
    >>> len(sequential_bootstrap(np.array([1, 3, 5]), np.array([3, 4, 6]), rng))
    3
    """
    _check_spans(starts, stops)
    if not len(starts):
        return np.zeros(0, dtype=np.int64)
    covered = np.zeros(int(stops.max()) + 1, dtype=np.int64)
    count = len(starts) if draws is None else draws
    found = np.zeros(count, dtype=np.int64)
    for i, chance in enumerate(rng.random(count)):
        cumulated = np.cumsum(_chances(covered, starts, stops))
        found[i] = min(int(np.searchsorted(cumulated, chance * cumulated[-1], side="right")), len(starts) - 1)
        covered[starts[found[i]] : stops[found[i]] + 1] += 1
    return found


def _chances(covered: IntArray, starts: IntArray, stops: IntArray) -> FloatArray:
    shares = _mean_over(1 / (covered + 1), starts, stops)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _mean_over(values: FloatArray, starts: IntArray, stops: IntArray) -> FloatArray:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((sums[stops + 1] - sums[starts]) / (stops + 1 - starts), dtype=np.float64)


def _check_spans(starts: IntArray, stops: IntArray) -> None:
    if len(starts) != len(stops):
        raise ValueError(f"{len(starts)} first bars have {len(stops)} last bars")
    if len(starts) and (starts.min() < 0 or (stops < starts).any()):
        raise ValueError("a label's first bar must be at least 0 and its last bar not before it")
