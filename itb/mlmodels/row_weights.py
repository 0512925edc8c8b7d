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
    return balanced(labels, np.ones(len(labels)) if weights is None else weights)


def balanced(labels: FloatArray, weights: FloatArray) -> FloatArray:
    """Scale weights so that every class counts the same in sum, and all rows together as much as before.

    A class whose rows all weigh nothing stays at nothing.
    """
    classes, place = np.unique(labels, return_inverse=True)
    sums = np.bincount(place, weights=weights, minlength=len(classes))
    factors = np.divide(weights.sum() / max(1, len(classes)), sums, out=np.zeros(len(classes)), where=sums > 0)
    return np.asarray(weights * factors[place], dtype=np.float64)
