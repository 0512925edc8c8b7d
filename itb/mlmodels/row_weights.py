"""How much each training row counts: weights given from outside, times what evens out the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import FloatArray

ClassWeight = Literal["none", "balanced"]


def check_class_weight(class_weight: str) -> None:
    """Refuse an unknown way of weighing classes with ``ValueError``."""
    if class_weight not in get_args(ClassWeight):
        raise ValueError(f'class_weight must be "none" or "balanced", was {class_weight!r}')


def row_weights(labels: FloatArray, weights: FloatArray | None, class_weight: ClassWeight) -> FloatArray | None:
    """Give what each row counts; ``None`` if all count the same.

    ``balanced`` makes the rows of every class count the same in sum, and all rows as much as before.

    >>> row_weights(np.array([0.0, 0.0, 0.0, 1.0]), None, "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    if weights is not None and len(weights) != len(labels):
        raise ValueError(f"{len(labels)} rows have {len(weights)} weights")
    if class_weight == "none":
        return weights
    before: FloatArray = np.ones(len(labels)) if weights is None else weights
    classes, place = np.unique(labels, return_inverse=True)
    sums = np.bincount(place, weights=before)
    return np.asarray(before * (before.sum() / len(classes) / sums)[place], dtype=np.float64)
