"""Spread: what crossing the book costs, where the bars tell it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from itb.datafeeds.universe_rules.rule import Seen
from itb.market.costs import BPS


@dataclass(frozen=True)
class Spread:
    """The median spread over the window is at most ``most_bps``; 0 asks for nothing.

    Read from the columns ``bid`` and ``ask``, or ``spread_bps``. A market whose bars tell none is left in.

    >>> Spread(5.0).objection(7.25), Spread(5.0).objection(math.nan)
    ('a spread of 7.2 bps, 5.0 bps are allowed', '')
    """

    name: ClassVar[str] = "spread in bps"

    most_bps: float = 0.0

    def __post_init__(self) -> None:
        if not self.most_bps >= 0:
            raise ValueError(f"max_spread_bps must be 0 or more, was {self.most_bps}")

    def measure(self, seen: Seen) -> float:
        """Give the median spread in basis points of the middle."""
        columns = seen.bars.columns
        spreads = columns.get("spread_bps")
        if spreads is None and {"bid", "ask"} <= set(columns):
            bid, ask = columns["bid"], columns["ask"]
            spreads = (ask - bid) / ((ask + bid) / 2) / BPS
        known = np.empty(0) if spreads is None else spreads[np.isfinite(spreads)]
        return float(np.median(known)) if len(known) else math.nan

    def objection(self, value: float) -> str:
        """Say that the spread is too wide."""
        is_wide = self.most_bps > 0 and value > self.most_bps
        return f"a spread of {self.show(value)} bps, {self.show(self.most_bps)} bps are allowed" if is_wide else ""

    def show(self, value: float) -> str:
        """Print the figure for people."""
        return f"{value:.1f}" if math.isfinite(value) else "unknown"
