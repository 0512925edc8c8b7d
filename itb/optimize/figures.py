"""Figures of a screened trial, each computed only when asked for, by the ledger's own formulas."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from itb.ledger import metrics
from itb.market.timeframe import DAY_MS, YEAR_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from itb.market.bars import FloatArray
    from itb.optimize.money import TradeBooks
    from itb.optimize.screened import DayEnds


class Figures:
    """The figures of :class:`itb.ledger.metrics.Metrics` for the trades of one trial.

    Those of daily returns and of trades look at days and trades alone, those of drawdowns and bars at every bar.
    """

    def __init__(self, books: TradeBooks, day_ends: DayEnds, start: int, dust: float) -> None:
        self._books, self._day_ends, self._start, self._dust = books, day_ends, start, dust
        self._bars, self._trips = books.bars, books.trips

    def of(self, names: Sequence[str]) -> dict[str, float]:
        """Give the named figures."""
        return {name: float(_FIGURES[name](self)) for name in names}

    @cached_property
    def final_equity(self) -> float:
        """Equity at the last close."""
        return float(self._books.equity(np.array([len(self._bars) - 1]))[0])

    @property
    def growth(self) -> float:
        """Final equity / starting cash."""
        return self.final_equity / self._books.starting_cash

    @property
    def duration(self) -> int:
        """Milliseconds from the first open to the last close."""
        return int(self._bars.close_time[-1] - self._bars.open_time[self._start])

    @cached_property
    def curve(self) -> FloatArray:
        """Equity at every close."""
        return self._books.equity(np.arange(self._start, len(self._bars)))

    @cached_property
    def is_solvent(self) -> bool:
        """Whether equity was above 0 at every close."""
        return self._least_equity > 0 or float(self.curve.min()) > 0

    @property
    def _least_equity(self) -> float:
        """What equity certainly was not below: shorts at the highest close while held, longs worth nothing."""
        books, trips = self._books, self._trips
        if not len(books.cash):
            return books.starting_cash
        owed = 0.0 if books.fee_currency == "quote" else float(books.fee.sum())
        least = float(books.cash[1::2].min(initial=books.starting_cash)) - owed
        entered = books.cash[0::2]
        is_short = books.qty < 0
        if not is_short.all():
            least = min(least, float(np.nextafter(entered[~is_short].min(), 1.0)) - owed)  # a coin is worth something
        if is_short.any():
            ends = trips.ends(len(self._bars) - 1)
            pairs = np.stack((trips.entry_bar[is_short], ends[is_short]), axis=1).ravel()
            highest = np.maximum.reduceat(self._bars.close, pairs)[0::2]
            least = min(least, float((entered[is_short] + books.qty[is_short] * highest).min()) - owed)
        return least

    @property
    def annual_return(self) -> float:
        """A year's growth."""
        return metrics.annual_return(self.growth, self.duration) if self.is_solvent else math.nan

    @cached_property
    def of_days(self) -> dict[str, float]:
        """Figures of daily returns."""
        if not self.is_solvent:
            return {}
        return metrics.day_figures(self._day_ends.days(self._books, self._books.starting_cash).returns)

    @cached_property
    def of_bars(self) -> dict[str, float]:
        """Figures of bar returns."""
        if not self.is_solvent:
            return {}
        return metrics.bar_figures(self.curve, self._books.starting_cash, self._bars.timeframe.bars_per_year)

    @cached_property
    def of_drawdowns(self) -> dict[str, float]:
        """Figures of drawdowns over bar closes."""
        begins, close_time = int(self._bars.open_time[self._start]), self._bars.close_time[self._start :]
        return metrics.drawdown_figures(close_time, self.curve, self._books.starting_cash, begins)

    @property
    def calmar(self) -> float:
        """Annual return / maximum drawdown."""
        depth = self.of_drawdowns["max_drawdown"]
        return self.annual_return / depth if depth > 0 else math.nan

    @cached_property
    def of_trades(self) -> dict[str, float]:
        """Figures of closed trades."""
        closed = self._books.closed
        return metrics.trade_figures(closed.pnl, closed.returns, closed.bars_held)

    @property
    def exposure(self) -> float:
        """Bars that close with a position / all bars."""
        trips = self._trips
        held = np.abs(self._books.qty) > self._dust
        return int((trips.ends(len(self._bars)) - trips.entry_bar)[held].sum()) / (len(self._bars) - self._start)

    @property
    def turnover(self) -> float:
        """Notional of all fills / mean equity, per 365 days."""
        flows = np.abs(self._books.flows)
        average = float(self.curve.mean())
        return math.fsum(flows.tolist()) / average * YEAR_MS / self.duration if average > 0 else math.nan


def _named(group: str, names: Iterable[str]) -> dict[str, Callable[[Figures], float]]:
    def one(name: str) -> Callable[[Figures], float]:
        return lambda figures: float(getattr(figures, group).get(name, math.nan))

    return {name: one(name) for name in names}


_FIGURES: dict[str, Callable[[Figures], float]] = {
    **_named("of_days", ("volatility", "sharpe", "sortino")),
    **_named("of_bars", ("bar_volatility", "bar_sharpe")),
    **_named("of_drawdowns", ("max_drawdown", "max_drawdown_days", "longest_drawdown_days", "ulcer_index")),
    **_named(
        "of_trades",
        (
            "win_rate", "profit_factor", "expectancy", "expectancy_ratio", "average_trade", "average_win",
            "average_loss", "best_trade", "worst_trade", "average_bars_held", "sqn",
        ),
    ),
    "total_return": lambda figures: figures.growth - 1.0,
    "annual_return": lambda figures: figures.annual_return,
    "calmar": lambda figures: figures.calmar,
    "exposure": lambda figures: figures.exposure,
    "turnover": lambda figures: figures.turnover,
    "fees": lambda figures: math.fsum(figures._books.fee.tolist()),
    "slippage": lambda figures: math.fsum(figures._books.slippage.tolist()),
    "funding": lambda _: 0.0,
    "final_equity": lambda figures: figures.final_equity,
    "duration_days": lambda figures: figures.duration / DAY_MS,
    "bars": lambda figures: len(figures._bars) - figures._start,
    "fills": lambda figures: len(figures._books.bar),
    "trades": lambda figures: figures._trips.closed,
    "open_trades": lambda figures: len(figures._trips.side) - figures._trips.closed,
    "longest_losing_streak": lambda figures: metrics.longest_run(figures._books.closed.pnl < 0),
}  # fmt: skip
