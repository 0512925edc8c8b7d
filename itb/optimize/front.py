"""The Pareto front: trials that no other beats in every objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from itb.market.bars import BoolArray


def front(values: npt.NDArray[np.float64], signs: Sequence[float]) -> BoolArray:
    """Mark the rows of ``values`` (trials x objectives) that no other beats: at least as good in all, better in one.

    ``signs`` are 1 where more is better, -1 where less is. A row with a NaN is not on it; equal rows all are.

    >>> front(np.array([[1.0, 1.0], [2.0, 0.5], [0.5, 0.5], [np.nan, 9.0]]), (1, 1)).tolist()
    [True, True, False, False]
    """
    known = np.isfinite(values).all(axis=1)
    scaled = values * np.asarray(signs)
    marked = np.zeros(len(values), dtype=np.bool_)
    order = np.flatnonzero(known)
    order = order[np.lexsort(-scaled[order].T[::-1])]  # best first: only what comes before can beat a row
    kept: list[int] = []
    for row in order.tolist():
        held = scaled[kept]
        if not ((held >= scaled[row]).all(axis=1) & (held > scaled[row]).any(axis=1)).any():
            kept.append(row)
    marked[kept] = True
    return marked
