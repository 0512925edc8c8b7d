"""How far features are, after training, from what they were while the model learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from itb.market.bars import FloatArray
    from itb.mlmodels.algorithm import FloatMatrix

NAN = float("nan")
BINS = 10
_LEAST_SHARE = 1e-4  # of an empty bin, so that one alone does not make the index infinite


@dataclass(frozen=True)
class FeatureDrift:
    """One feature while the model learned and after it: how its values lie, and how far apart the two are.

    ``psi`` is the population stability index over ten bins with equally many training rows, ``ks`` the largest distance
    between the two distribution functions, ``shift`` the move of the mean in standard deviations of training (NaN of a
    constant). ``empty`` is the share of rows without a number, of both together; the quantiles are those of training.
    """

    name: str
    psi: float
    ks: float
    shift: float
    empty: float
    mean: float
    deviation: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, eq=False)
class TwoHistograms:
    """Shares of rows per bin while the model learned and after it; the outer bins also hold what lies beyond."""

    name: str
    edges: FloatArray
    before: FloatArray
    after: FloatArray


def stability_index(before: FloatArray, after: FloatArray, bins: int = BINS) -> float:
    """Give the population stability index: sum over bins of (after - before) x ln(after / before), shares of rows.

    Bins hold equally many values of ``before`` (fewer bins where values repeat); an empty bin counts as 1e-4. By a
    common rule of thumb 0.1 is worth a look and 0.25 is another distribution; values of a feature that moves slowly lie
    that far apart by nature. NaN where one of both is empty.

    >>> before = np.arange(100.0)
    >>> stability_index(before, before), round(stability_index(before, before + 50), 2)
    (0.0, 4.35)
    """
    a, b = before[np.isfinite(before)], after[np.isfinite(after)]
    if not len(a) or not len(b):
        return NAN
    edges = np.unique(np.quantile(a, np.arange(1, bins) / bins))
    was, is_now = (_shares(one, edges) for one in (a, b))
    return float(np.sum((is_now - was) * np.log(is_now / was)))


def _shares(values: FloatArray, edges: FloatArray) -> FloatArray:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), _LEAST_SHARE)


def chance_index(before: int, after: int, bins: int = BINS) -> float:
    """Give the index to be expected of so many independent rows that come from one distribution.

    >>> round(chance_index(1000, 1000), 4)
    0.018
    """
    return (bins - 1) * (1 / before + 1 / after) if before and after else NAN


def largest_distance(before: FloatArray, after: FloatArray) -> float:
    """Give the two-sample Kolmogorov-Smirnov distance of the finite values, 0 to 1; NaN where one of both is empty.

    >>> largest_distance(np.arange(4.0), np.arange(4.0) + 2)
    0.5
    """
    a, b = np.sort(before[np.isfinite(before)]), np.sort(after[np.isfinite(after)])
    if not len(a) or not len(b):
        return NAN
    at = np.concatenate((a, b))
    below = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(np.abs(below).max())


def feature_drift(names: Sequence[str], before: FloatMatrix, after: FloatMatrix) -> tuple[FeatureDrift, ...]:
    """Compare every feature, the one that moved most (by index) first; those that cannot be compared come last."""
    found = [_drift(name, *_columns(before, after, place)) for place, name in enumerate(names)]
    return tuple(sorted(found, key=lambda one: (not np.isfinite(one.psi), -one.psi if np.isfinite(one.psi) else 0.0)))


def _columns(before: FloatMatrix, after: FloatMatrix, place: int) -> tuple[FloatArray, FloatArray]:
    return before[:, place].astype(np.float64), after[:, place].astype(np.float64)


def _drift(name: str, before: FloatArray, after: FloatArray) -> FeatureDrift:
    a, b = before[np.isfinite(before)], after[np.isfinite(after)]
    rows = len(before) + len(after)
    mean, deviation = (float(a.mean()), float(a.std())) if len(a) else (NAN, NAN)
    low, median, high = (float(one) for one in np.quantile(a, (0.01, 0.5, 0.99))) if len(a) else (NAN,) * 3
    return FeatureDrift(
        name=name,
        psi=stability_index(a, b),
        ks=largest_distance(a, b),
        shift=(float(b.mean()) - mean) / deviation if len(b) and deviation > 0 else NAN,
        empty=1 - (len(a) + len(b)) / rows if rows else NAN,
        mean=mean,
        deviation=deviation,
        low=low,
        median=median,
        high=high,
    )


def two_histograms(
    names: Sequence[str], before: FloatMatrix, after: FloatMatrix, chosen: Sequence[str], bins: int = 24
) -> Iterator[TwoHistograms]:
    """Give the two histograms of some features, over the middle 98 % of both together, cut into ``bins`` bins."""
    for name in chosen:
        a, b = _columns(before, after, names.index(name))
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        both = np.concatenate((a, b))
        if not len(a) or not len(b):
            continue
        low, high = np.quantile(both, (0.01, 0.99))
        if low == high:
            low, high = both.min(), both.max() if both.max() > both.min() else both.min() + 1
        edges = np.linspace(low, high, bins + 1)
        shares = [np.histogram(np.clip(one, low, high), edges)[0] / len(one) for one in (a, b)]
        yield TwoHistograms(name, edges, shares[0], shares[1])
