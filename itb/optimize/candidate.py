"""One trained model side: its scores on a market, traded by the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest
from itb.indicators.score import ArrayScores
from itb.market.timeframe import DAY_MS
from itb.mlmodels.retrospective import refuse_retrospective
from itb.optimize.fallback import BacktestBooks
from itb.optimize.performance import Performance
from itb.optimize.screened import DayEnds, SweepResult

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult
    from itb.engine.venue import Venue
    from itb.indicators.score import ScoreSource
    from itb.market.bars import Bars, IntArray
    from itb.optimize.space import Values
    from itb.optimize.sweep import Sweep
    from itb.strategies.ml_threshold import ThresholdSettings

STRATEGY = "strategy."


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

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade all days, or the first ``until_day``."""
        settings = self.settings(parameters)
        sweep = self.sweep(settings)
        if until_day is not None:
            stop = stop_bar(sweep.bars, sweep.start, until_day)
            sweep = replace(sweep, bars=sweep.bars.slice(None, stop), score=sweep.score[:stop])
        return performance_of(sweep.run(settings, metrics=()))


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


def stop_bar(bars: Bars, start: int, days: int) -> int:
    """Give the first bar after so many UTC days of trading."""
    end = (_day(bars, start) + days) * DAY_MS - bars.timeframe.ms
    return int(np.searchsorted(bars.open_time, end, side="right"))


def performance_of(result: SweepResult) -> Performance:
    """Give a trial's daily figures."""
    bars, start, cash = result.bars, result.start, result.starting_cash
    books, days = result.books, result.days
    first = _day(bars, start)

    def day_of(bar: IntArray) -> IntArray:
        return np.asarray((bars.open_time[bar] + bars.timeframe.ms - 1) // DAY_MS - first)

    before = np.concatenate(([cash], days.equity[:-1]))
    paid = np.bincount(day_of(books.bar), weights=books.fee + books.slippage, minlength=len(days.equity))
    cost = np.divide(paid, before, out=np.zeros(len(before)), where=before > 0)
    closed = books.closed
    return Performance(
        np.nan_to_num(days.returns, nan=0.0),
        cost,
        day_of(closed.exit_bar),
        closed.pnl / cash,
        result.source,
        "" if result.refused is None else str(result.refused),
    )


def search_days(bars: Bars, start: int) -> int:
    """Count the UTC days from the first traded bar to the last."""
    return _day(bars, len(bars) - 1) - _day(bars, start) + 1


def _day(bars: Bars, bar: int) -> int:
    """Give the number of the UTC day in which a bar closes; midnight belongs to the day that ends."""
    return (int(bars.open_time[bar]) + bars.timeframe.ms - 1) // DAY_MS
