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
    from itb.market.raster import Clock

Source = Literal["vectorbt", "backtrader"]


@dataclass(frozen=True)
class Refusal:
    """Why the sweep left a trial to backtrader: ``cause`` is one of a few, ``text`` names the value or the bar."""

    cause: str
    text: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.text}"


@dataclass(frozen=True, eq=False)
class ClosedTrades:
    """Trades that ended, by their exits: gains after costs in quote, ``notional`` of the entry, bars from 0."""

    entry_bar: IntArray
    exit_bar: IntArray
    pnl: FloatArray
    notional: FloatArray

    @property
    def returns(self) -> FloatArray:
        """Gain after costs / entry notional."""
        return self.pnl / self.notional

    @property
    def bars_held(self) -> IntArray:
        """Exit bar less entry bar."""
        return self.exit_bar - self.entry_bar


class Books(Protocol):
    """The account of a trial: its fills, and what stood at the close of any bar.

    ``bar``, ``fee`` and ``slippage`` (quote, above 0 when paid) have a value for each fill, funding included as a fee.
    """

    @property
    def bar(self) -> IntArray: ...
    @property
    def fee(self) -> FloatArray: ...
    @property
    def slippage(self) -> FloatArray: ...
    @property
    def closed(self) -> ClosedTrades:
        """Trades that ended."""

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
    day_ends: DayEnds
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
        return self.day_ends.days(self.books, self.starting_cash)

    @property
    def daily_returns(self) -> FloatArray:
        """Simple returns of each UTC day from ``start`` on, flat days included."""
        return self.days.returns


@dataclass(frozen=True, eq=False)
class DayEnds:
    """The last bar of each UTC day from a run's first bar on, and when it closes: all that daily returns look at."""

    bars: IntArray
    close_time: IntArray

    @classmethod
    def of(cls, bars: Bars | Clock, start: int) -> DayEnds:
        """Find them once for all trials on the same bars.

        >>> from itb.datafeeds.waves import sinus
        >>> DayEnds.of(sinus(bars=60, timeframe="1h"), start=5).bars.tolist()
        [23, 47, 59]
        """
        close_time = bars.close_time[start:]
        last = np.append(np.flatnonzero(np.diff((close_time - 1) // DAY_MS)), len(close_time) - 1)
        return cls(last + start, close_time[last])

    def days(self, books: Books, cash: float) -> Days:
        """Give equity and returns of each day; days without a bar are flat."""
        return self.days_of(books.equity(self.bars), cash)

    def days_of(self, equity: FloatArray, cash: float) -> Days:
        """Give the same of what stood at those bars' closes."""
        return daily(self.close_time, equity, cash)
