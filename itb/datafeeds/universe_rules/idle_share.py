"""Idle share: how many bars saw no trade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from itb.datafeeds.universe_rules.rule import Seen


@dataclass(frozen=True)
class IdleShare:
    """At most the fraction ``most`` of the window's bars saw no trade; a missing bar saw none.

    On bars of one minute it is the share of no-trade minutes.

    >>> IdleShare(0.05).objection(0.25)
    'no trade in 25.0 % of the bars, 5.0 % are allowed'
    """

    name: ClassVar[str] = "share without trade"

    most: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1:
            raise ValueError(f"max_idle_share must be a fraction in [0, 1], was {self.most}")

    def measure(self, seen: Seen) -> float:
        """Give the fraction of bars without a trade."""
        expected = max(1, seen.window_ms // seen.bars.timeframe.ms)
        return 1.0 - min(1.0, int(np.count_nonzero(seen.bars.volume > 0)) / expected)

    def objection(self, value: float) -> str:
        """Say that too many bars saw no trade."""
        told = f"no trade in {self.show(value)} of the bars, {self.show(self.most)} are allowed"
        return told if value > self.most else ""

    def show(self, value: float) -> str:
        """Print the figure for people."""
        return f"{100 * value:.1f} %"
