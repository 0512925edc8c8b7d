"""Bars at which something has happened, so that a label there is worth its place."""

from __future__ import annotations

import numpy as np

from itb.market.bars import BoolArray, FloatArray, IntArray


def cusum_events(close: FloatArray, threshold: float) -> IntArray:
    """Give 1 where log returns have added up to more than ``threshold``, -1 where to less than minus that, else 0.

    The symmetric CUSUM filter (Lopez de Prado, *Advances in Financial Machine Learning*, 2.5.2.1): each sum starts
    again from 0 where it would change its sign, and after its own event. Looks at the past only.

    >>> cusum_events(np.array([100, 101, 102.5, 101, 98.9]), threshold=0.02).tolist()
    [0, 0, 1, 0, -1]
    """
    events = np.zeros(len(close), dtype=np.int64)
    up = down = 0.0
    for row, moved in enumerate(np.diff(np.log(close)).tolist(), start=1):
        up, down = max(0.0, up + moved), min(0.0, down + moved)
        if down < -threshold:
            events[row], down = -1, 0.0
        elif up > threshold:
            events[row], up = 1, 0.0
    return events


def is_event(close: FloatArray, threshold: float) -> BoolArray:
    """Whether a bar is an event of the CUSUM filter, either way."""
    flags: BoolArray = cusum_events(close, threshold) != 0
    return flags
