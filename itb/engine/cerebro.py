"""Stepping: visit only the bars where something can happen, or every bar without the overhead.

Four ways through the same bars, with identical fills, cash and value on every bar:

``blind``   backtrader's own loop over bars that are loaded one by one, as live: nothing later is there to be seen
``plain``   backtrader's own loop
``dense``   every bar, skipping machinery that cannot have an effect
``sparse``  only bars where the strategy says it may act, or where an order, a funding payment or a notification can

Several feeds stand on one raster (:mod:`itb.engine.several`): a step is a time at which any of them has a bar, and
``next()`` runs once a step. With one feed, steps are its bars.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import backtrader as bt
import numpy as np

from itb.engine.broker import LeanBroker
from itb.engine.lines import lines_below
from itb.engine.pending import first_order_bar
from itb.engine.several import Lines, OrdersAhead, StepsSparsely, compute, hold_back, raster_of
from itb.engine.venue_broker import VenueBroker

if TYPE_CHECKING:
    from itb.market.raster import Raster

Stepping = Literal["auto", "sparse", "dense", "plain", "blind"]
NEVER = 1 << 60


@runtime_checkable
class DecidesSparsely(Protocol):
    """What a strategy offers to be visited only where it may act."""

    def prepare_decisions(self, bars: int) -> None:
        """Look at whole arrays once, before the first bar."""

    def next_decision(self, bar: int) -> int:
        """First bar after ``bar`` where ``next()`` may do anything in the present state; earlier is always safe."""


class Cerebro(bt.Cerebro):
    """backtrader's Cerebro with a choice of stepping; ``trading_start`` is the first step whose ``next()`` runs.

    After a run ``stepped`` says how the bars were visited, ``why_not_sparse`` why not fewer, ``visited`` how many.
    """

    params: Any = (("stdstats", False), ("stepping", "auto"), ("trading_start", 0))
    stepped: Stepping = "plain"
    why_not_sparse: str = ""
    visited: int = 0

    def run(self, **given: Any) -> list[Any]:
        """Run over all bars; ``given`` are parameters to replace."""
        if self.p.stepping == "blind":
            given |= {"preload": False, "runonce": False}
        return super().run(**given)

    def _runnext(self, runstrats: list[Any]) -> None:
        self._hold_back(runstrats)
        asked = self.p.stepping == "blind"
        self.stepped = "blind" if asked else "plain"
        self.why_not_sparse = "blind stepping was asked for" if asked else "an indicator works bar by bar only"
        super()._runnext(runstrats)
        self.visited = len(runstrats[0])

    def _hold_back(self, runstrats: list[Any]) -> None:
        for strategy in runstrats:
            if len(self.datas) > 1:
                hold_back(strategy, self.p.trading_start)
            else:
                strategy._minperiods = [max([self.p.trading_start + 1, *strategy._minperiods])]

    def _runonce(self, runstrats: list[Any]) -> None:
        self._hold_back(runstrats)
        self.why_not_sparse = _why_not_dense(self, runstrats)
        wanted: Stepping = self.p.stepping
        several = len(self.datas) > 1
        raster = raster_of(self.datas) if several and not self.why_not_sparse else None
        if several and raster is None and not self.why_not_sparse:
            self.why_not_sparse = "the run has a feed whose bars do not follow each other in time"
        if wanted == "plain" or self.why_not_sparse:
            self.why_not_sparse = self.why_not_sparse or "plain stepping was asked for"
            self.stepped = "plain"
            super()._runonce(runstrats)
            self.visited = len(runstrats[0])
            return
        strategy = runstrats[0]
        self.why_not_sparse = (
            "dense stepping was asked for" if wanted == "dense" else _why_not_sparse(strategy, several=several)
        )
        self.stepped = "dense" if self.why_not_sparse else "sparse"
        lines = OneFeed(strategy, self.datas[0]) if raster is None else Lines(strategy, self.datas, raster)
        if self.why_not_sparse:
            self._step_all(strategy, lines)
        elif isinstance(lines, OneFeed):
            self._step_some(strategy, lines)
        else:
            self._step_some_of_several(strategy, lines)

    def _step_all(self, strategy: Any, lines: OneFeed | Lines) -> None:
        broker = self._broker
        listens = _overrides(strategy, "notify_cashvalue") or _overrides(strategy, "notify_fund") or strategy.analyzers
        funded = isinstance(broker, VenueBroker) and broker.is_funded
        position = broker.positions
        first = max(strategy._minperiods) - 1 if isinstance(lines, OneFeed) else None
        for step in range(len(lines)):
            lines.move(step)
            self.visited += 1
            if funded or broker.pending or broker.submitted or broker._toactivate or broker.notifs:
                self._brokernotify()
            elif broker._cash_addition or any(held.size for held in position.values()):
                broker._get_value()
            if listens or strategy._orderspending or strategy._tradespending:
                strategy._notify()
            _call(strategy, strategy._getminperstatus() if first is None else first - step)
            if strategy.analyzers:
                strategy._next_analyzers(strategy._getminperstatus(), once=True)
            if strategy._orderspending or strategy._tradespending:
                strategy.clear()
            if self._event_stop:
                return

    def _step_some(self, strategy: Any, lines: OneFeed) -> None:
        data, broker = self.datas[0], self._broker
        bars = data.buflen()
        first = max(strategy._minperiods) - 1
        strategy.prepare_decisions(bars)
        low, high = (np.frombuffer(line.array, dtype=np.float64)[:bars] for line in (data.lines.low, data.lines.high))
        stops = sorted({0, min(first, bars - 1), bars - 1})
        funding = sorted(broker.venue.funding) if isinstance(broker, VenueBroker) else []
        bar = -1
        while bar + 1 < bars:
            if self._must_visit_next(strategy):
                bar += 1
            else:
                until = min(stops[bisect.bisect_right(stops, bar)], max(strategy.next_decision(bar), first))
                if broker.positions[data].size and (k := bisect.bisect_right(funding, bar)) < len(funding):
                    until = min(until, funding[k])
                bar = first_order_bar(broker.pending, data, low, high, bar, until)
            lines.move(bar)
            self._visit(strategy, first - bar)
            if self._event_stop:
                return

    def _step_some_of_several(self, strategy: Any, lines: Lines) -> None:
        broker, raster, steps = self._broker, lines.raster, len(lines)
        orders = OrdersAhead(self.datas, raster, tries_old_bars=not isinstance(broker, VenueBroker))
        first, second = (min(step, steps - 1) for step in self._first_calls(strategy, raster))
        begins = range(first, second) if _overrides(strategy, "nextstart") else (first,)
        stops = sorted({0, *begins, steps - 1})
        funding = [
            (data, raster.steps[place][sorted(rates)].tolist())
            for place, data in enumerate(self.datas)
            if isinstance(broker, VenueBroker) and (rates := broker.venue_of(data).funding)
        ]
        strategy.prepare_steps(raster)
        step = -1
        while step + 1 < steps:
            if self._must_visit_next(strategy):
                step += 1
            else:
                until = min(stops[bisect.bisect_right(stops, step)], max(strategy.next_step(step), first))
                for data, settled in funding:
                    if broker.positions[data].size:
                        place = bisect.bisect_right(settled, step)
                        until = min(until, settled[place]) if place < len(settled) else until
                step = orders.first(broker.pending, step, until) if broker.pending else until
            lines.move(step)
            self._visit(strategy)
            if self._event_stop:
                return

    def _first_calls(self, strategy: Any, raster: Raster) -> tuple[int, int]:
        """First step that calls ``nextstart()``, and the first after it that calls ``next()``.

        Strategies are ready when all feeds are, or the first of them for who waits not. Where the feed that was waited
        for has no second bar yet, backtrader calls ``nextstart()`` again.
        """
        decides = max if getattr(strategy, "waits_for_all_feeds", True) else min
        ready, on = (
            decides(
                int(steps[need + more - 1]) if need + more <= len(steps) else len(raster)
                for need, steps in zip(strategy._minperiods, raster.steps, strict=True)
            )
            for more in (0, 1)
        )
        first = max(int(self.p.trading_start), ready)
        return first, max(first + 1, on)

    def _must_visit_next(self, strategy: Any) -> bool:
        broker = self._broker
        return bool(
            broker.submitted
            or broker._toactivate
            or broker.notifs
            or strategy._orderspending
            or strategy._tradespending
        )

    def _visit(self, strategy: Any, status: int | None = None) -> None:
        self.visited += 1
        self._brokernotify()
        if not self._event_stop:
            strategy._notify()
            _call(strategy, strategy._getminperstatus() if status is None else status)
            strategy.clear()


def _call(strategy: Any, status: int) -> None:
    """Call what backtrader calls for a status: how many bars are missing before ``next()`` runs for the first time."""
    if status < 0:
        strategy.next()
    elif status == 0:
        strategy.nextstart()
    else:
        strategy.prenext()


def _overrides(strategy: Any, name: str) -> bool:
    return getattr(type(strategy), name) is not getattr(bt.Strategy, name)


def _is_below(strategy: Any, name: str, other: str) -> bool:
    """Whether ``name`` is defined in a class that derives from the one that defines ``other``."""
    definers = [next(kind for kind in type(strategy).__mro__ if wanted in vars(kind)) for wanted in (name, other)]
    return type(strategy).__mro__.index(definers[0]) < type(strategy).__mro__.index(definers[1])


def _why_not_dense(cerebro: Any, strategies: list[Any]) -> str:
    """Why the bars must go through backtrader's own loop, or an empty text."""
    broker = cerebro._broker
    strategy = strategies[0]
    reasons = {
        "several strategies": len(strategies) != 1,
        "timers": bool(cerebro._timers or cerebro._timerscheat),
        "writers": bool(cerebro.runwriters),
        "cheat-on-open": bool(cerebro.p.cheat_on_open),
        "observers": bool(strategy.getobservers()),
        "a broker of another kind": not isinstance(broker, LeanBroker) or not broker.is_lean,
        "a resampled or filtered feed": any(data._filters for data in cerebro.datas),
        "its own stepping": any(_overrides(strategy, name) for name in ("_oncepost", "_notify", "_next", "_once")),
    }
    return next((f"the run has {what}" for what, applies in reasons.items() if applies), "")


def _why_not_sparse(strategy: Any, *, several: bool) -> str:
    """Say why every bar must be visited, or give an empty text."""
    says = isinstance(strategy, StepsSparsely if several else DecidesSparsely)
    if not says:
        return "the strategy does not say where it may act, so it gets every bar"
    if strategy.analyzers:
        return "an analyzer wants every bar"
    if _is_below(strategy, "next", "next_step" if several else "next_decision"):
        return "the strategy overrides next without saying anew where it may act, so it gets every bar"
    heard = [name for name in ("notify_cashvalue", "notify_fund", "prenext") if _overrides(strategy, name)]
    return f"the strategy overrides {heard[0]}, so it gets every bar" if heard else ""


class OneFeed:
    """Every line of a run on one feed, over arrays that are computed once: all stand at the same bar."""

    def __init__(self, strategy: Any, data: Any) -> None:
        self._bars: int = data.buflen()
        indicators = compute(strategy, [data], data.lines.datetime.array[: self._bars])
        self._lines = [*data.lines, *strategy.lines]
        for indicator in indicators:
            self._lines.extend(lines_below(indicator))

    def __len__(self) -> int:
        return self._bars

    def move(self, bar: int) -> None:
        """Stand at a bar."""
        for line in self._lines:
            line._idx = bar
            line.lencount = bar + 1
