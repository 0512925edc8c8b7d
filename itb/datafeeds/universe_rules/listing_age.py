"""Listing age: for how long a market is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from itb.datafeeds.universe_rules.rule import Seen
from itb.market.timeframe import DAY_MS


@dataclass(frozen=True)
class ListingAge:
    """The first stored bar opened at least ``least_ms`` ago; the market may have been listed before.

    >>> ListingAge(30 * DAY_MS).objection(12.5)
    'known for 12.5 days, 30.0 are asked for'
    """

    name: ClassVar[str] = "days known"

    least_ms: int = 0

    def measure(self, seen: Seen) -> float:
        """Give the age in days."""
        return (seen.at_ms - seen.listed_ms) / DAY_MS

    def objection(self, value: float) -> str:
        """Say that the market is too young."""
        least = self.least_ms / DAY_MS
        return f"known for {self.show(value)} days, {self.show(least)} are asked for" if value < least else ""

    def show(self, value: float) -> str:
        """Print the figure for people."""
        return f"{value:,.1f}"
