"""What a rule of a universe sees of a market, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True, eq=False)
class Seen:
    """One market as it is known at ``at_ms``: only bars that have closed, those of the last ``window_ms``.

    ``listed_ms`` is when its first stored bar opens, at the earliest its listing. Times are UTC milliseconds.
    """

    symbol: str
    bars: Bars
    listed_ms: int
    at_ms: int
    window_ms: int

    @property
    def notional(self) -> FloatArray:
        """Worth of what was traded in each bar, in quote: told by the exchange, else volume times close."""
        own = self.bars.volume * self.bars.close
        told = self.bars.columns.get("quote_volume")
        return own if told is None else np.where(np.isfinite(told), told, own)


@runtime_checkable
class Rule(Protocol):
    """A figure of a market, and what speaks against the market because of it."""

    name: ClassVar[str]

    def measure(self, seen: Seen) -> float:
        """Give the figure; NaN where it is not known."""

    def objection(self, value: float) -> str:
        """Say why a market with this figure is left out; empty where it is not."""

    def show(self, value: float) -> str:
        """Print the figure for people."""
