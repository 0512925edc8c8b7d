"""Run one strategy over one symbol's bars, as often as the unknown inside of bars asks for."""

from __future__ import annotations

import dataclasses
import gc
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.account import account, fills
from itb.backtest.result import BacktestResult, OrderRecord
from itb.engine.cerebro import Cerebro, Stepping
from itb.engine.feed import BarsFeed
from itb.engine.venue import Venue
from itb.engine.venue_broker import VenueBroker
from itb.errors import BarsError, ItbError, StrategyError
from itb.market.bars import Bars, utc
from itb.mlmodels.retrospective import refuse_retrospective

if TYPE_CHECKING:
    from backtrader import Strategy

    from itb.indicators.score import ScoreSource

_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Backtest:
    """One strategy class with its settings, on a venue, with starting cash in quote.

    ``run`` gives the same fills, cash and value on every bar for every ``stepping``.
    """

    strategy: type[Strategy]
    settings: Mapping[str, Any] = field(default_factory=lambda: _NO_SETTINGS)
    cash: float = 10_000.0
    venue: Venue = field(default_factory=Venue)
    stepping: Stepping = "auto"

    def __post_init__(self) -> None:
        if not self.cash > 0:
            raise ValueError(f"cash must be above 0, was {self.cash}")

    def run(
        self, bars: Bars, scores: Mapping[str, ScoreSource] | None = None, start_ms: int | None = None
    ) -> BacktestResult:
        """Run over ``bars``; decisions count from the first bar that opens at or after ``start_ms``.

        Earlier bars only warm the indicators up. Raises :class:`itb.errors.BarsError` when no bar is left to trade,
        :class:`itb.errors.StrategyError` when the strategy fails, :class:`itb.errors.ModelError` when scores are
        retrospective.
        """
        refuse_retrospective([source for _, source in (scores or {}).items()], "a backtest")
        start = 0 if start_ms is None else int(bars.open_time.searchsorted(start_ms))
        if start >= len(bars):
            last = f"the last bar is {utc(bars.open_time[-1])}" if len(bars) else "there are no bars"
            raise BarsError(f"{bars.label}: nothing to trade from {utc(start_ms or 0)}; {last}")
        venue = dataclasses.replace(self.venue, trading_start=start)
        cerebro = Cerebro(stepping=self.stepping, trading_start=start)
        broker = VenueBroker(venue=venue)
        broker.setcash(self.cash)
        cerebro.broker = broker
        cerebro.adddata(BarsFeed(bars=bars, scores=scores))
        cerebro.addstrategy(self.strategy, **self.settings)
        self._go(cerebro)
        books = account(bars, self.cash, broker.log)
        result = BacktestResult(
            bars=bars,
            start=start,
            starting_cash=self.cash,
            costs=venue.costs,
            dust=venue.dust,
            cash=books.cash,
            position=books.position,
            equity=books.equity,
            fills=tuple(fills(bars, broker.log, venue.costs.fee_currency)),
            market_prices=np.array([execution.market_price for execution in broker.log], dtype=np.float64),
            orders=tuple(OrderRecord.of(order, broker) for order in broker.sent),
            rejected=tuple(broker.rejected),
            ambiguous=tuple(broker.shields.ambiguous),
            stepped=cerebro.stepped,
            visited=cerebro.visited,
            why_not_sparse=cerebro.why_not_sparse,
            blocked=dict(getattr(cerebro.runningstrats[0], "blocked", {})),
        )
        broker.forget()
        for strategy in cerebro.runningstrats:
            strategy._orders.clear()
            strategy._trades.clear()
        return result

    def _go(self, cerebro: Cerebro) -> None:
        collecting = gc.isenabled()
        gc.disable()  # orders form no cycles worth hunting for: a fifth of the time in runs with many orders
        try:
            cerebro.run()
        except ItbError:
            raise
        except Exception as error:
            name = self.strategy.__name__
            where = _where(error, self.strategy)
            raise StrategyError(
                f"{name}: {type(error).__name__}: {error} (in {where.name}, {Path(where.filename).name} line "
                f"{where.lineno}); run with --debug to see the whole trace"
            ) from error
        finally:
            if collecting:
                gc.enable()


def _where(error: Exception, strategy: type[Strategy]) -> traceback.FrameSummary:
    """Find the innermost line in the strategy's own file, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = getattr(sys.modules.get(strategy.__module__), "__file__", None)
    return next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])


@dataclass(frozen=True)
class Scenarios:
    """A headline run and, where a bar's inside is unknown, the same run with the other order of events.

    They are two scenarios, not bounds: a different fill changes every later trade.
    """

    headline: BacktestResult
    other: BacktestResult | None = None

    @property
    def unsettled(self) -> int:
        """Bars of the headline whose order of events had to be assumed."""
        return sum(not case.settled for case in self.headline.ambiguous)


def run_scenarios(
    backtest: Backtest, bars: Bars, scores: Mapping[str, ScoreSource] | None = None, start_ms: int | None = None
) -> Scenarios:
    """Run with the stop first; run again with the target first if any bar left that open."""
    headline = backtest.run(bars, scores, start_ms)
    if all(case.settled for case in headline.ambiguous):
        return Scenarios(headline)
    flipped = dataclasses.replace(
        backtest,
        venue=dataclasses.replace(backtest.venue, first="target" if backtest.venue.first == "stop" else "stop"),
    )
    return Scenarios(headline, flipped.run(bars, scores, start_ms))
