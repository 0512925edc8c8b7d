"""What a threshold policy is: fitted on scores and returns of one block, it takes sides in later ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Sides = npt.NDArray[np.int8]


class SideRule(Protocol):
    """A fitted policy."""

    @property
    def never_trades(self) -> bool:
        """Whether what it learned from showed no edge, so that it can take no side at all."""
        ...

    def sides(self, scores: Numbers) -> Sides:
        """Give 1 (long), -1 (short) or 0 for each score of a later block; a NaN score gives 0."""
        ...


class ThresholdPolicy(Protocol):
    """How thresholds are derived."""

    def fit(self, scores: Numbers, returns: Numbers) -> SideRule:
        """Learn from rows of the past; ``returns`` are fractions, NaN where not yet known. No rows are rows too."""
        ...


@dataclass(frozen=True)
class SideThresholds:
    """Long above ``buy``, short below ``sell``, strictly; NaN trades that side never, and what is both is neither.

    >>> SideThresholds(buy=0.2, sell=np.nan).sides(np.array([0.1, 0.3, -9.0])).tolist()
    [0, 1, 0]
    """

    buy: float
    sell: float

    @property
    def never_trades(self) -> bool:
        """Whether neither side has a threshold."""
        return bool(np.isnan(self.buy) and np.isnan(self.sell))

    def sides(self, scores: Numbers) -> Sides:
        """Give the side of each score."""
        return take_sides(scores, self.buy, self.sell)


NO_TRADE = SideThresholds(np.nan, np.nan)


def take_sides(scores: Numbers, buy: float | Numbers, sell: float | Numbers) -> Sides:
    """Give 1 above ``buy``, -1 below ``sell``, 0 where both or neither holds."""
    return (scores > buy).astype(np.int8) - (scores < sell).astype(np.int8)


def known_rows(scores: Numbers, returns: Numbers) -> tuple[Numbers, Numbers]:
    """Give the rows where score and return are numbers."""
    if scores.shape != returns.shape:
        raise ValueError(f"scores and returns must be of one shape, were {scores.shape} and {returns.shape}")
    known = ~np.isnan(scores + returns)
    return scores[known], returns[known]
