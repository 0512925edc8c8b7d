"""The neighbourhood of a search's best point: a plateau, or a spike that its neighbours know nothing of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import FloatArray, IntArray

PLATEAU = 0.5


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The best trial, its nearest neighbours (nearest first), and how much of its lead over the crowd they share.

    ``stability`` is ``(median of neighbours - median of all) / (best - median of all)``: 1 on a flat top, 0 where the
    neighbours are like any trial, below 0 in a trough, NaN where too few trials say anything. ``radius`` is the
    distance of the farthest neighbour in the scaled space.
    """

    best: int
    neighbours: IntArray
    stability: float
    radius: float

    @property
    def is_plateau(self) -> bool:
        """Whether neighbours keep at least half of the lead."""
        return self.stability >= PLATEAU


def neighbourhood(points: npt.NDArray[np.float64], objective: FloatArray, best: int | None = None) -> Neighbourhood:
    """Look around the best trial (or trial number ``best``) of ``objective``, higher is better, in parameter space.

    ``points`` (trials x parameters) are on any scale that makes steps comparable within a parameter (logarithms where
    the search was logarithmic, 0 and 1 for the choices of a category); each parameter is divided by its range here.
    Neighbours are the nearest other trials: twice the number of parameters that vary, at least 4, at most a third of
    the trials. Trials with a NaN take no part; fewer than 6 give NaN.

    >>> grid = np.arange(20.0)[:, None]
    >>> hill, spike = -abs(grid[:, 0] - 10), np.where(grid[:, 0] == 10, 9.0, 0.0)
    >>> round(neighbourhood(grid, hill).stability, 2), neighbourhood(grid, spike).stability
    (0.7, 0.0)
    """
    if len(points) != len(objective):
        raise ValueError(f"expected one objective for each of {len(points)} points, were {len(objective)}")
    finite = np.isfinite(objective) & np.isfinite(points).all(axis=1)
    if best is None:
        best = int(np.where(finite, objective, -np.inf).argmax()) if finite.any() else 0
    known = np.flatnonzero(finite)
    nothing = Neighbourhood(best, np.empty(0, dtype=np.int64), math.nan, math.nan)
    if len(known) < 6 or not finite[best]:
        return nothing
    extent = np.ptp(points[known], axis=0)
    varies = extent > 0
    if not varies.any():
        return nothing
    scaled = points[:, varies] / extent[varies]
    others = known[known != best]
    distance = np.sqrt(((scaled[others] - scaled[best]) ** 2).sum(axis=1))
    count = min(max(2 * int(varies.sum()), 4), len(known) // 3)
    near = np.argsort(distance, kind="stable")[:count]
    crowd = float(np.median(objective[known]))
    lead = float(objective[best]) - crowd
    shared = float(np.median(objective[others[near]])) - crowd
    return Neighbourhood(best, others[near], shared / lead if lead > 0 else math.nan, float(distance[near[-1]]))
