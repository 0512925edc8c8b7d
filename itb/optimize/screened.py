"""What one trial of a sweep leaves behind, whoever evaluated it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from itb.ledger.equity import Days, daily
from itb.market.timeframe import DAY_MS

if TYPE_CHECKING:
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.fills import Fill

Source = Literal["vectorbt", "backtrader"]


@dataclass(frozen=True)
class Refusal:
    """Why the sweep left a trial to backtrader: ``cause`` is one of a few, ``text`` names the value or the bar."""

    cause: str
    text: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.text}"


class Books(Protocol):
    """The account of a trial: its fills, and what stood at the close of any bar."""

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Everything that moved money, in order."""

    def equity(self, bars: IntArray) -> FloatArray:
        """Equity (quote) at the close of the given bars."""

    def position(self, bars: IntArray) -> FloatArray:
        """Position (signed, base units) at the close of the given bars."""


@dataclass(frozen=True, eq=False)
class SweepResult:
    """One evaluated trial: the figures that were asked for, and, computed when first looked at, everything else.

    ``source`` says who evaluated it; ``refused`` why it was not vectorbt. ``start`` is the first bar whose decisions
    counted, ``ambiguous`` how many bars left open which protective leg they touched first.
    """

    bars: Bars
    start: int
    starting_cash: float
    books: Books
    metrics: Mapping[str, float]
    source: Source
    refused: Refusal | None = None
    ambiguous: int = 0

    @property
    def fills(self) -> tuple[Fill, ...]:
        """All fills in order."""
        return self.books.fills

    @cached_property
    def equity(self) -> FloatArray:
        """Equity (quote) at the close of every bar."""
        return self.books.equity(np.arange(len(self.bars)))

    @cached_property
    def days(self) -> Days:
        """Equity and returns of each UTC day from ``start`` on, flat days included."""
        return days_of(self.bars, self.start, self.starting_cash, self.books)

    @property
    def daily_returns(self) -> FloatArray:
        """Simple returns of each UTC day from ``start`` on, flat days included."""
        return self.days.returns


def days_of(bars: Bars, start: int, cash: float, books: Books) -> Days:
    """Sample a trial's equity at the end of every UTC day, looking at the days' last bars alone."""
    close_time = bars.close_time
    last = np.append(np.flatnonzero(np.diff((close_time[start:] - 1) // DAY_MS)), len(bars) - start - 1) + start
    return daily(close_time[last], books.equity(last), cash)
