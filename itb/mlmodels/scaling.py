"""Scaling of features: fitted on the training rows alone, and kept with the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import FloatArray
    from itb.mlmodels.algorithm import FloatMatrix

Scaling = Literal["standard", "robust", "none"]
"""``standard``: mean 0 and deviation 1; ``robust``: median 0 and a range of 1 between the 5 % and 95 % quantiles."""

TYPES = frozenset({"sklearn.preprocessing._data.RobustScaler", "sklearn.preprocessing._data.StandardScaler"})
"""What a model file may hold as a scaler."""


def check_scaling(scaling: str) -> None:
    """Refuse an unknown way of scaling with ``ValueError``."""
    if scaling not in get_args(Scaling):
        raise ValueError(f'scaling must be "standard", "robust" or "none", was {scaling!r}')


def scaler(scaling: Scaling) -> Any | None:
    """Give the scikit-learn scaler, not yet fitted, which may work in place; ``None`` for ``"none"``."""
    from sklearn.preprocessing import RobustScaler, StandardScaler

    if scaling == "none":
        return None
    return StandardScaler(copy=False) if scaling == "standard" else RobustScaler(quantile_range=(5, 95), copy=False)


def scale_numbers(fitted: Any | None, width: int) -> tuple[FloatArray, FloatArray]:
    """Give what a fitted scaler takes away from each of ``width`` features, and what it then divides by.

    A feature that never moved is divided by 1.
    """
    if fitted is None:
        return np.zeros(width), np.ones(width)
    return fitted.mean_ if hasattr(fitted, "mean_") else fitted.center_, fitted.scale_


def scale_rows(features: FloatMatrix, scaling: Scaling) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scale rows by their own numbers; give the scaled copy, what was taken away and what it was divided by.

    >>> rows = np.array([[0, 7], [1, 7], [2, 7]], dtype=np.float32)
    >>> scaled, centre, scale = scale_rows(rows, "robust")
    >>> scaled[:, 0].round(3).tolist(), centre.tolist(), scale.round(3).tolist()
    ([-0.556, 0.0, 0.556], [1.0, 7.0], [1.8, 1.0])
    """
    fitted = scaler(scaling)
    scaled = features.astype(np.float64)
    if fitted is not None:
        fitted.fit(scaled)
    centre, scale = scale_numbers(fitted, features.shape[1])
    return (scaled - centre) / scale, centre, scale
