"""One trained model side on a shared account: its scores of several symbols, traded by one purse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from itb.backtest.run import Backtest, TradedMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.market.raster import Clock
from itb.mlmodels.retrospective import refuse_retrospective
from itb.optimize.candidate import daily_figures, own, stop_bar
from itb.optimize.fallback import BacktestBooks
from itb.optimize.screened import DayEnds
from itb.optimize.shared_sweep import SharedSweep, confirm_shared
from itb.strategies.scheduled import Change, ScheduledThreshold

if TYPE_CHECKING:
    from itb.backtest.result import SharedResult
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.optimize.parity import Confirmation
    from itb.optimize.performance import Performance
    from itb.optimize.screened import Books, Refusal, Source
    from itb.optimize.space import Values
    from itb.strategies.ml_threshold import ThresholdSettings

_NO_BOUNDS = (float("-inf"), float("inf"))


@dataclass(frozen=True, eq=False)
class SharedCandidate:
    """Trades the scores of one model side on several symbols by :class:`itb.strategies.ml_threshold.MLThreshold`.

    ``sweeps`` has one for each score column that the strategy may read, ``base`` are the settings of everything that
    does not vary.
    """

    sweeps: Mapping[str, SharedSweep]
    base: ThresholdSettings

    @property
    def clock(self) -> Clock:
        """Times of the search: the steps of the account."""
        return self._any.clock

    @property
    def start(self) -> int:
        """First step whose decisions count."""
        return self._any.start

    @property
    def times(self) -> tuple[IntArray, ...]:
        """Open times of each symbol's bars."""
        return tuple(sweep.bars.open_time for sweep in self._any.sweeps)

    @property
    def _any(self) -> SharedSweep:
        return next(iter(self.sweeps.values()))

    def settings(self, parameters: Values) -> ThresholdSettings:
        """Put trade parameters over the base settings; raise ``ValueError`` for settings that cannot be."""
        return replace(self.base, **own(parameters))

    def sweep(self, settings: ThresholdSettings) -> SharedSweep:
        """Give the sweep over the score that settings read; an empty name means the only one."""
        if settings.score not in ("", *self.sweeps):
            raise ValueError(f"strategy.score: no score {settings.score!r}; there is {', '.join(self.sweeps)}")
        return self.sweeps[settings.score] if settings.score else self._any

    def scores(self, settings: ThresholdSettings) -> tuple[FloatArray, ...]:
        """Give the score that settings read, of each symbol."""
        return tuple(sweep.score for sweep in self.sweep(settings).sweeps)

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade all days, or the first ``until_day``."""
        settings = self.settings(parameters)
        sweep = self.sweep(settings)
        if until_day is not None:
            sweep = sweep.until(_stop_ms(sweep.clock, sweep.start, until_day))
        done = sweep.run(settings, metrics=())
        parts = [(one.bars, done.books[one.bars.symbol]) for one in sweep.sweeps]
        return _performance(sweep.clock, sweep.start, sweep.cash, done.equity, parts, done.source, done.refused)

    def confirm(self, parameters: Values) -> Confirmation:
        """Evaluate by the sweep and in backtrader."""
        settings = self.settings(parameters)
        return confirm_shared(self.sweep(settings), settings)

    def backtest(self, parameters: Values) -> SharedResult:
        """Give the backtest of some trade parameters."""
        settings = self.settings(parameters)
        return self.sweep(settings).backtest(settings)

    def replay(self, changes: Sequence[Change], scores: Sequence[FloatArray]) -> SharedResult:
        """Trade settings that change on schedule, by other scores of each symbol."""
        bounds = [_NO_BOUNDS] * len(scores)  # thresholds were checked against each column's own range
        settings = {"changes": tuple(changes)}
        return self._any.run_strategy(ScheduledThreshold, settings, "score", scores, bounds, changes[0].from_ms)


@dataclass(frozen=True, eq=False)
class SharedBacktestCandidate:
    """Trades the scores of one model side on several symbols by any strategy, in backtrader."""

    strategy: type[Any]
    base: Mapping[str, Any]
    markets: tuple[TradedMarket, ...]
    start_ms: int
    cash: float

    def __post_init__(self) -> None:
        refuse_retrospective([source for one in self.markets for source in one.scores.values()], "a search")

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade all days, or the first ``until_day``.

        Where a symbol begins after those days, all are traded and the first given: a strategy may wait for every feed.
        """
        stop_ms = None if until_day is None else self._stop_ms(until_day)
        is_whole = stop_ms is None or any(one.bars.open_time[0] >= stop_ms for one in self.markets)
        result = self._run(parameters, self.markets if is_whole else [_until(one, stop_ms) for one in self.markets])
        parts = [(part.bars, BacktestBooks(part)) for part in result.parts.values()]
        found = _performance(result.clock, result.start, self.cash, result.equity, parts, "backtrader", None)
        return found if until_day is None or not is_whole else found.between(0, until_day)

    def backtest(self, parameters: Values) -> SharedResult:
        """Give the backtest of some trade parameters."""
        return self._run(parameters, self.markets)

    def _run(self, parameters: Values, markets: Sequence[TradedMarket]) -> SharedResult:
        venue = next((one.venue for one in markets if one.venue is not None), Venue())
        test = Backtest(self.strategy, {**self.base, **own(parameters)}, self.cash, Venue(venue.costs))
        return test.run_shared(markets, self.start_ms)

    def _stop_ms(self, days: int) -> int:
        clock = Clock.of([one.bars for one in self.markets])
        return _stop_ms(clock, int(clock.open_time.searchsorted(self.start_ms)), days)


def _stop_ms(clock: Clock, start: int, days: int) -> int:
    """Give the time before which the bars of the first days open."""
    stop = stop_bar(clock, start, days)
    return int(clock.open_time[stop - 1]) + 1


def _until(market: TradedMarket, stop_ms: int | None) -> TradedMarket:
    bars = market.bars.between(None, stop_ms)
    scores = {name: ArrayScores(name, bars.open_time, source.batch()[: len(bars)], source.low, source.high)
              for name, source in market.scores.items()}  # fmt: skip
    return replace(market, bars=bars, scores=scores)


def _performance(
    clock: Clock, start: int, cash: float, equity: FloatArray, parts: Sequence[tuple[Bars, Books]], source: Source,
    refused: Refusal | None,
) -> Performance:  # fmt: skip
    ends = DayEnds.of(clock, start)
    return daily_figures(clock, start, cash, ends.days_of(equity[ends.bars], cash), parts, source, refused)
