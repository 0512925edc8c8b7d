"""Quote volume: what is traded in a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from itb.datafeeds.universe_rules.rule import Seen
from itb.market.timeframe import DAY_MS


@dataclass(frozen=True)
class QuoteVolume:
    """At least ``least`` quote units are traded in a day, on average over the window; missing bars traded nothing.

    >>> QuoteVolume(14.4e6).objection(9.1e6)
    'only 9,100,000 are traded in a day, 14,400,000 are asked for'
    """

    name: ClassVar[str] = "quote volume a day"

    least: float = 0.0

    def __post_init__(self) -> None:
        if not self.least >= 0:
            raise ValueError(f"min_quote_volume must be 0 or more, was {self.least}")

    def measure(self, seen: Seen) -> float:
        """Give the quote units traded in a day."""
        return float(seen.notional.sum()) * DAY_MS / seen.window_ms

    def objection(self, value: float) -> str:
        """Say that too little is traded."""
        told = f"only {self.show(value)} are traded in a day, {self.show(self.least)} are asked for"
        return told if value < self.least else ""

    def show(self, value: float) -> str:
        """Print the figure for people."""
        return f"{value:,.0f}"
