"""One trained model side: its scores on a market, traded by the sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from itb.backtest.run import Backtest
from itb.indicators.score import ArrayScores
from itb.market.raster import Clock
from itb.market.timeframe import DAY_MS
from itb.mlmodels.retrospective import refuse_retrospective
from itb.optimize.fallback import BacktestBooks
from itb.optimize.parity import Confirmation, confirm
from itb.optimize.performance import Performance
from itb.optimize.screened import Books, DayEnds, Refusal, Source, SweepResult
from itb.strategies.scheduled import Change, ScheduledThreshold

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult, SharedResult
    from itb.engine.venue import Venue
    from itb.indicators.score import ScoreSource
    from itb.ledger.equity import Days
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.optimize.space import Values
    from itb.optimize.sweep import Sweep
    from itb.strategies.ml_threshold import ThresholdSettings

STRATEGY = "strategy."


class ThresholdCandidate(Protocol):
    """One trained model side that :class:`itb.strategies.ml_threshold.MLThreshold` trades, on one market or several."""

    @property
    def clock(self) -> Clock:
        """Times of the search."""

    @property
    def start(self) -> int:
        """First of them whose decisions count."""

    @property
    def times(self) -> tuple[IntArray, ...]:
        """Open times of each market's bars."""

    def settings(self, parameters: Values) -> ThresholdSettings:
        """Put trade parameters over the base settings; raise ``ValueError`` for settings that cannot be."""

    def scores(self, settings: ThresholdSettings) -> tuple[FloatArray, ...]:
        """Give the score that settings read, of each market."""

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade all days, or the first ``until_day``."""

    def confirm(self, parameters: Values) -> Confirmation:
        """Evaluate by the sweep and in backtrader."""

    def backtest(self, parameters: Values) -> BacktestResult | SharedResult:
        """Give the backtest of some trade parameters."""

    def replay(self, changes: Sequence[Change], scores: Sequence[FloatArray]) -> BacktestResult | SharedResult:
        """Trade settings that change on schedule, by other scores of each market."""


class ScoredCandidate:
    """Trades the scores of one model side by :class:`itb.strategies.ml_threshold.MLThreshold`.

    ``sweeps`` has one for each score column that the strategy may read, ``base`` are the settings of everything that
    does not vary. Trade parameters are named as in the config, such as ``strategy.buy_threshold``.
    """

    def __init__(self, sweeps: Mapping[str, Sweep], base: ThresholdSettings) -> None:
        self.sweeps, self.base = sweeps, base

    def settings(self, parameters: Values) -> ThresholdSettings:
        """Put trade parameters over the base settings; raise ``ValueError`` for settings that cannot be."""
        return replace(self.base, **own(parameters))

    def sweep(self, settings: ThresholdSettings) -> Sweep:
        """Give the sweep over the score that settings read; an empty name means the only one."""
        if settings.score not in ("", *self.sweeps):
            raise ValueError(f"strategy.score: no score {settings.score!r}; there is {', '.join(self.sweeps)}")
        return self.sweeps[settings.score] if settings.score else next(iter(self.sweeps.values()))

    @property
    def clock(self) -> Clock:
        """Times of the search."""
        return Clock.of([self._any.bars])

    @property
    def start(self) -> int:
        """First of them whose decisions count."""
        return self._any.start

    @property
    def times(self) -> tuple[IntArray, ...]:
        """Open times of the market's bars."""
        return (self._any.bars.open_time,)

    @property
    def _any(self) -> Sweep:
        return next(iter(self.sweeps.values()))

    def scores(self, settings: ThresholdSettings) -> tuple[FloatArray, ...]:
        """Give the score that settings read."""
        return (self.sweep(settings).score,)

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade all days, or the first ``until_day``."""
        settings = self.settings(parameters)
        sweep = self.sweep(settings)
        if until_day is not None:
            stop = stop_bar(sweep.bars, sweep.start, until_day)
            sweep = replace(sweep, bars=sweep.bars.slice(None, stop), score=sweep.score[:stop])
        return performance_of(sweep.run(settings, metrics=()))

    def confirm(self, parameters: Values) -> Confirmation:
        """Evaluate by the sweep and in backtrader."""
        settings = self.settings(parameters)
        return confirm(self.sweep(settings), settings)

    def backtest(self, parameters: Values) -> BacktestResult:
        """Give the backtest of some trade parameters."""
        settings = self.settings(parameters)
        return self.sweep(settings).backtest(settings)

    def replay(self, changes: Sequence[Change], scores: Sequence[FloatArray]) -> BacktestResult:
        """Trade settings that change on schedule, by other scores."""
        sweep, (values,) = self._any, scores
        source = ArrayScores("score", sweep.bars.open_time, values)  # thresholds were checked against their own range
        test = Backtest(
            ScheduledThreshold, {"changes": tuple(changes), "protections": sweep.protections}, sweep.cash, sweep.venue
        )
        return test.run(sweep.bars, {source.column: source}, changes[0].from_ms)


@dataclass(frozen=True, eq=False)
class BacktestCandidate:
    """Trades the scores of one model side by any strategy, in backtrader; refuses retrospective ones."""

    strategy: type[Any]
    base: Mapping[str, Any]
    bars: Bars
    scores: Mapping[str, ScoreSource]
    start: int
    venue: Venue
    cash: float

    def __post_init__(self) -> None:
        refuse_retrospective(self.scores.values(), "a search")

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade all days, or the first ``until_day``."""
        result = self.backtest(parameters, until_day=until_day)
        books, ends = BacktestBooks(result), DayEnds.of(result.bars, self.start)
        return performance_of(SweepResult(result.bars, self.start, self.cash, books, ends, {}, "backtrader"))

    def backtest(self, parameters: Values, *, until_day: int | None = None) -> BacktestResult:
        """Give the backtest of some trade parameters."""
        bars = self.bars if until_day is None else self.bars.slice(None, stop_bar(self.bars, self.start, until_day))
        scores = {name: ArrayScores(name, bars.open_time, source.batch()[: len(bars)], source.low, source.high)
                  for name, source in self.scores.items()}  # fmt: skip
        test = Backtest(self.strategy, {**self.base, **own(parameters)}, self.cash, self.venue)
        return test.run(bars, scores, int(bars.open_time[self.start]))


def own(parameters: Values) -> dict[str, Any]:
    """Give the strategy's own among some parameters, by the names that the strategy knows.

    >>> own({"strategy.stop_loss": 0.02, "model.num_leaves": 8})
    {'stop_loss': 0.02}
    """
    return {name.removeprefix(STRATEGY): value for name, value in parameters.items() if name.startswith(STRATEGY)}


def stop_bar(bars: Bars | Clock, start: int, days: int) -> int:
    """Give the first bar after so many UTC days of trading."""
    end = (_day(bars, start) + days) * DAY_MS - bars.timeframe.ms
    return int(np.searchsorted(bars.open_time, end, side="right"))


def performance_of(result: SweepResult) -> Performance:
    """Give a trial's daily figures."""
    return daily_figures(
        result.bars, result.start, result.starting_cash, result.days, [(result.bars, result.books)],
        result.source, result.refused,
    )  # fmt: skip


def daily_figures(
    clock: Bars | Clock,
    start: int,
    cash: float,
    days: Days,
    parts: Sequence[tuple[Bars, Books]],
    source: Source,
    refused: Refusal | None,
) -> Performance:
    """Give the daily figures of an account, whose ``parts`` are what each symbol did."""
    first, ms = _day(clock, start), clock.timeframe.ms

    def day_of(bars: Bars, bar: IntArray) -> IntArray:
        return np.asarray((bars.open_time[bar] + ms - 1) // DAY_MS - first)

    paid = np.zeros(len(days.equity))
    exit_day, gained = [], []
    for bars, books in parts:
        paid += np.bincount(day_of(bars, books.bar), weights=books.fee + books.slippage, minlength=len(paid))
        exit_day.append(day_of(bars, books.closed.exit_bar))
        gained.append(books.closed.pnl / cash)
    left = np.concatenate(exit_day)
    order = np.argsort(left, kind="stable")
    before = np.concatenate(([cash], days.equity[:-1]))
    cost = np.divide(paid, before, out=np.zeros(len(before)), where=before > 0)
    return Performance(
        np.nan_to_num(days.returns, nan=0.0),
        cost,
        left[order],
        np.concatenate(gained)[order],
        source,
        "" if refused is None else str(refused),
    )


def search_days(bars: Bars | Clock, start: int) -> int:
    """Count the UTC days from the first traded bar to the last."""
    return _day(bars, len(bars) - 1) - _day(bars, start) + 1


def _day(bars: Bars | Clock, bar: int) -> int:
    """Give the number of the UTC day in which a bar closes; midnight belongs to the day that ends."""
    return (int(bars.open_time[bar]) + bars.timeframe.ms - 1) // DAY_MS
