"""Run one strategy over the bars of one symbol or several, as often as the unknown inside of bars asks for."""

from __future__ import annotations

import dataclasses
import gc
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from itb.backtest.account import account, fills, own_accounts, shared_account
from itb.backtest.result import BacktestResult, OrderRecord, SharedResult
from itb.backtest.tranches import run_tranches
from itb.engine.cerebro import Cerebro, Stepping
from itb.engine.feed import BarsFeed
from itb.engine.venue import Venue
from itb.engine.venue_broker import VenueBroker
from itb.errors import BarsError, ItbError, StrategyError
from itb.market.bars import Bars, utc
from itb.market.raster import Clock, Raster
from itb.mlmodels.retrospective import refuse_retrospective

if TYPE_CHECKING:
    from backtrader import Strategy

    from itb.engine.broker import Execution
    from itb.indicators.score import ScoreSource

_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class TradedMarket:
    """One symbol of a shared account: its bars, its scores, and its venue (``None``: that of the backtest)."""

    bars: Bars
    scores: Mapping[str, ScoreSource] = field(default_factory=lambda: _NO_SETTINGS)
    venue: Venue | None = None


@dataclass(frozen=True)
class Backtest:
    """One strategy class with its settings, on a venue, with starting cash in quote.

    ``run`` gives the same fills, cash and value on every bar for every ``stepping``. With ``tranches`` so many
    positions may overlap, each from an equal part of the cash: see :mod:`itb.backtest.tranches`.
    """

    strategy: type[Strategy]
    settings: Mapping[str, Any] = field(default_factory=lambda: _NO_SETTINGS)
    cash: float = 10_000.0
    venue: Venue = field(default_factory=Venue)
    stepping: Stepping = "auto"
    tranches: int = 0

    def __post_init__(self) -> None:
        if not self.cash > 0:
            raise ValueError(f"cash must be above 0, was {self.cash}")
        if self.tranches < 0:
            raise ValueError(f"tranches must be 0 or more, was {self.tranches}")

    def run(
        self, bars: Bars, scores: Mapping[str, ScoreSource] | None = None, start_ms: int | None = None
    ) -> BacktestResult:
        """Run over ``bars``; decisions count from the first bar that opens at or after ``start_ms``.

        Earlier bars only warm the indicators up. Raises :class:`itb.errors.BarsError` when no bar is left to trade,
        :class:`itb.errors.StrategyError` when the strategy fails, :class:`itb.errors.ModelError` when scores are
        retrospective.
        """
        refuse_retrospective([source for _, source in (scores or {}).items()], "a backtest")
        if self.tranches:
            return run_tranches(self, bars, scores, start_ms)
        start = _first(bars, start_ms)
        venue = dataclasses.replace(self.venue, trading_start=start)
        cerebro = Cerebro(stepping=self.stepping, trading_start=start)
        broker = VenueBroker(venue=venue)
        cerebro.adddata(BarsFeed(bars=bars, scores=scores))
        self._go(cerebro, broker)
        result = _part(bars, start, self.cash, venue, broker, cerebro, broker.log)
        _forget(cerebro, broker)
        return result

    def run_shared(self, markets: Sequence[TradedMarket], start_ms: int | None = None) -> SharedResult:
        """Run over several symbols that trade one account: ``next()`` once for each time at which any has a bar.

        Listed first is served first where cash is short. Each symbol's decisions count from its first bar that opens at
        or after ``start_ms``. Raises as :meth:`run` does, and for markets that cannot stand on one raster.
        """
        refuse_retrospective([source for one in markets for _, source in one.scores.items()], "a backtest")
        if self.tranches:
            raise ValueError("tranches split the cash of one symbol: they cannot trade a shared account")
        _refuse_strange([one.bars for one in markets])
        bars = [one.bars for one in markets]
        starts = [_first(one.bars, start_ms) for one in markets]
        raster = Raster.of([one.open_time for one in bars])
        first = 0 if start_ms is None else int(raster.times.searchsorted(start_ms))
        venues = {
            one.bars.symbol: dataclasses.replace(one.venue or self.venue, trading_start=start)
            for one, start in zip(markets, starts, strict=True)
        }
        cerebro = Cerebro(stepping=self.stepping, trading_start=first)
        broker = VenueBroker(venue=self.venue, venues=venues)
        for one in markets:
            cerebro.adddata(BarsFeed(bars=one.bars, scores=one.scores))
        self._go(cerebro, broker)
        cash, equity = shared_account(bars, raster, self.cash, broker.log)
        own = own_accounts(broker.log, self.cash)
        parts = {
            one.symbol: _part(one, start, self.cash, venues[one.symbol], broker, cerebro, own.get(one.symbol, []))
            for one, start in zip(bars, starts, strict=True)
        }
        in_turn = {symbol: iter(part.fills) for symbol, part in parts.items()}
        result = SharedResult(
            clock=Clock(bars[0].timeframe, raster.times),
            start=first,
            starting_cash=self.cash,
            costs=self.venue.costs,
            cash=cash,
            equity=equity,
            parts=parts,
            fills=tuple(next(in_turn[execution.symbol]) for execution in broker.log),
            market_prices=np.array([execution.market_price for execution in broker.log], dtype=np.float64),
            orders=tuple(OrderRecord.of(order, broker) for order in broker.sent),
            rejected=tuple(broker.rejected),
            ambiguous=tuple(broker.shields.ambiguous),
            **_stepped(cerebro),
        )
        _forget(cerebro, broker)
        return result

    def _go(self, cerebro: Cerebro, broker: VenueBroker) -> None:
        broker.setcash(self.cash)
        cerebro.broker = broker
        cerebro.addstrategy(self.strategy, **self.settings)
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


def _first(bars: Bars, start_ms: int | None) -> int:
    start = 0 if start_ms is None else int(bars.open_time.searchsorted(start_ms))
    if start >= len(bars):
        last = f"the last bar is {utc(bars.open_time[-1])}" if len(bars) else "there are no bars"
        raise BarsError(f"{bars.label}: nothing to trade from {utc(start_ms or 0)}; {last}")
    return start


def _refuse_strange(markets: Sequence[Bars]) -> None:
    """Refuse markets that cannot share an account: none, one symbol twice, or bars of different lengths."""
    if not markets:
        raise BarsError("a shared account needs at least one symbol, there is none")
    symbols = [bars.symbol for bars in markets]
    twice = next((symbol for symbol in symbols if symbols.count(symbol) > 1), None)
    if twice is not None:
        raise BarsError(f"{twice}: is there twice; expected each symbol of a shared account once")
    other = next((bars for bars in markets if bars.timeframe != markets[0].timeframe), None)
    if other is not None:
        raise BarsError(f"{other.label}: expected bars of {markets[0].timeframe}, as {symbols[0]} has; aggregate them")


def _part(
    bars: Bars,
    start: int,
    cash: float,
    venue: Venue,
    broker: VenueBroker,
    cerebro: Cerebro,
    executions: Sequence[Execution],
) -> BacktestResult:
    """Gather what one symbol did."""
    books, symbol = account(bars, cash, executions), bars.symbol
    return BacktestResult(
        bars=bars,
        start=start,
        starting_cash=cash,
        costs=venue.costs,
        dust=venue.dust,
        cash=books.cash,
        position=books.position,
        equity=books.equity,
        fills=tuple(fills(bars, executions, venue.costs.fee_currency)),
        market_prices=np.array([execution.market_price for execution in executions], dtype=np.float64),
        orders=tuple(OrderRecord.of(order, broker) for order in broker.sent if order.data._name == symbol),
        rejected=tuple(one for one in broker.rejected if one.symbol == symbol),
        ambiguous=tuple(one for one in broker.shields.ambiguous if one.symbol == symbol),
        **_stepped(cerebro),
    )


def _stepped(cerebro: Cerebro) -> dict[str, Any]:
    return {
        "stepped": cerebro.stepped,
        "visited": cerebro.visited,
        "why_not_sparse": cerebro.why_not_sparse,
        "blocked": dict(getattr(cerebro.runningstrats[0], "blocked", {})),
    }


def _forget(cerebro: Cerebro, broker: VenueBroker) -> None:
    broker.forget()
    for strategy in cerebro.runningstrats:
        strategy._orders.clear()
        strategy._trades.clear()


def _where(error: Exception, strategy: type[Strategy]) -> traceback.FrameSummary:
    """Find the innermost line in the strategy's own file, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = getattr(sys.modules.get(strategy.__module__), "__file__", None)
    return next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])


Result = TypeVar("Result", BacktestResult, SharedResult)


@dataclass(frozen=True)
class Scenarios(Generic[Result]):
    """A headline run and, where a bar's inside is unknown, the same run with the other order of events.

    They are two scenarios, not bounds: a different fill changes every later trade.
    """

    headline: Result
    other: Result | None = None

    @property
    def unsettled(self) -> int:
        """Bars of the headline whose order of events had to be assumed."""
        return sum(not case.settled for case in self.headline.ambiguous)


def run_scenarios(
    backtest: Backtest, bars: Bars, scores: Mapping[str, ScoreSource] | None = None, start_ms: int | None = None
) -> Scenarios[BacktestResult]:
    """Run with the stop first; run again with the target first if any bar left that open."""
    headline = backtest.run(bars, scores, start_ms)
    if all(case.settled for case in headline.ambiguous):
        return Scenarios(headline)
    flipped = dataclasses.replace(backtest, venue=_flipped(backtest.venue))
    return Scenarios(headline, flipped.run(bars, scores, start_ms))


def run_shared_scenarios(
    backtest: Backtest, markets: Sequence[TradedMarket], start_ms: int | None = None
) -> Scenarios[SharedResult]:
    """Run several symbols as :func:`run_scenarios` does one."""
    headline = backtest.run_shared(markets, start_ms)
    if all(case.settled for case in headline.ambiguous):
        return Scenarios(headline)
    other = [dataclasses.replace(one, venue=_flipped(one.venue or backtest.venue)) for one in markets]
    return Scenarios(headline, backtest.run_shared(other, start_ms))


def _flipped(venue: Venue) -> Venue:
    return dataclasses.replace(venue, first="target" if venue.first == "stop" else "stop")
