"""Stepping: visit only the bars where something can happen, or every bar without the overhead.

Four ways through the same bars, with identical fills, cash and value on every bar:

``blind``   backtrader's own loop over bars that are loaded one by one, as live: nothing later is there to be seen
``plain``   backtrader's own loop
``dense``   every bar, skipping machinery that cannot have an effect
``sparse``  only bars where the strategy says it may act, or where an order, a funding payment or a notification can
"""

from __future__ import annotations

import array
import bisect
import math
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import backtrader as bt
import numpy as np

from itb.engine.broker import LeanBroker
from itb.engine.lines import lines_below
from itb.engine.venue_broker import VenueBroker

if TYPE_CHECKING:
    from itb.market.bars import FloatArray

Stepping = Literal["auto", "sparse", "dense", "plain", "blind"]
NEVER = 1 << 60
_EVERY_BAR_ORDERS = (bt.Order.Market, bt.Order.Close, bt.Order.StopTrail, bt.Order.StopTrailLimit, bt.Order.Historical)


@runtime_checkable
class DecidesSparsely(Protocol):
    """What a strategy offers to be visited only where it may act."""

    def prepare_decisions(self, bars: int) -> None:
        """Look at whole arrays once, before the first bar."""

    def next_decision(self, bar: int) -> int:
        """First bar after ``bar`` where ``next()`` may do anything in the present state; earlier is always safe."""


class Cerebro(bt.Cerebro):
    """backtrader's Cerebro with a choice of stepping; ``trading_start`` is the first bar whose ``next()`` runs.

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
        self.visited = self.datas[0].buflen()

    def _hold_back(self, runstrats: list[Any]) -> None:
        for strategy in runstrats:
            strategy._minperiods = [max([self.p.trading_start + 1, *strategy._minperiods])]

    def _runonce(self, runstrats: list[Any]) -> None:
        self._hold_back(runstrats)
        self.why_not_sparse = _why_not_dense(self, runstrats)
        wanted: Stepping = self.p.stepping
        if wanted == "plain" or self.why_not_sparse:
            self.why_not_sparse = self.why_not_sparse or "plain stepping was asked for"
            self.visited = self.datas[0].buflen()
            self.stepped = "plain"
            super()._runonce(runstrats)
            return
        strategy = runstrats[0]
        self.why_not_sparse = "dense stepping was asked for" if wanted == "dense" else _why_not_sparse(strategy)
        lines = _compute_lines(strategy, self.datas[0])
        if self.why_not_sparse:
            self.stepped = "dense"
            self._step_all(strategy, lines)
        else:
            self.stepped = "sparse"
            self._step_some(strategy, lines)

    def _step_all(self, strategy: Any, lines: list[Any]) -> None:
        broker = self._broker
        listens = _overrides(strategy, "notify_cashvalue") or _overrides(strategy, "notify_fund") or strategy.analyzers
        funded = isinstance(broker, VenueBroker) and bool(broker.venue.funding)
        first = max(strategy._minperiods) - 1
        position = broker.positions
        for bar in range(self.datas[0].buflen()):
            _move(lines, bar)
            self.visited += 1
            if funded or broker.pending or broker.submitted or broker._toactivate or broker.notifs:
                self._brokernotify()
            elif broker._cash_addition or any(held.size for held in position.values()):
                broker._get_value()
            if listens or strategy._orderspending or strategy._tradespending:
                strategy._notify()
            _call(strategy, bar, first)
            if strategy.analyzers:
                strategy._next_analyzers(strategy._getminperstatus(), once=True)
            if strategy._orderspending or strategy._tradespending:
                strategy.clear()
            if self._event_stop:
                return

    def _step_some(self, strategy: Any, lines: list[Any]) -> None:
        data, broker = self.datas[0], self._broker
        bars = data.buflen()
        first = max(strategy._minperiods) - 1
        strategy.prepare_decisions(bars)
        low, high = (np.frombuffer(line.array, dtype=np.float64)[:bars] for line in (data.lines.low, data.lines.high))
        stops = sorted({0, min(first, bars - 1), bars - 1})
        funding = sorted(broker.venue.funding) if isinstance(broker, VenueBroker) else []
        bar = -1
        while bar + 1 < bars:
            if (
                broker.submitted
                or broker._toactivate
                or broker.notifs
                or strategy._orderspending
                or strategy._tradespending
            ):
                bar += 1
            else:
                until = min(stops[bisect.bisect_right(stops, bar)], max(strategy.next_decision(bar), first))
                if broker.positions[data].size and (k := bisect.bisect_right(funding, bar)) < len(funding):
                    until = min(until, funding[k])
                bar = _first_order_bar(broker.pending, data, low, high, bar, until)
            _move(lines, bar)
            self.visited += 1
            self._brokernotify()
            if not self._event_stop:
                strategy._notify()
                _call(strategy, bar, first)
                strategy.clear()
            if self._event_stop:
                return


def _move(lines: list[Any], bar: int) -> None:
    for line in lines:
        line._idx = bar
        line.lencount = bar + 1


def _call(strategy: Any, bar: int, first: int) -> None:
    if bar > first:
        strategy.next()
    elif bar == first:
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
        "several data feeds": len(cerebro.datas) != 1,
        "timers": bool(cerebro._timers or cerebro._timerscheat),
        "writers": bool(cerebro.runwriters),
        "cheat-on-open": bool(cerebro.p.cheat_on_open),
        "observers": bool(strategy.getobservers()),
        "a broker of another kind": not isinstance(broker, LeanBroker) or not broker.is_lean,
        "a resampled or filtered feed": bool(cerebro.datas[0]._filters),
        "its own stepping": any(_overrides(strategy, name) for name in ("_oncepost", "_notify", "_next", "_once")),
    }
    return next((f"the run has {what}" for what, applies in reasons.items() if applies), "")


def _why_not_sparse(strategy: Any) -> str:
    """Say why every bar must be visited, or give an empty text."""
    says = isinstance(strategy, DecidesSparsely)
    if not says:
        return "the strategy does not say where it may act, so it gets every bar"
    if strategy.analyzers:
        return "an analyzer wants every bar"
    if _is_below(strategy, "next", "next_decision"):
        return "the strategy overrides next without saying anew where it may act, so it gets every bar"
    heard = [name for name in ("notify_cashvalue", "notify_fund", "prenext") if _overrides(strategy, name)]
    return f"the strategy overrides {heard[0]}, so it gets every bar" if heard else ""


def _compute_lines(strategy: Any, data: Any) -> list[Any]:
    """Compute all indicators over all bars, as ``Strategy._once`` does, without appending bar by bar in Python."""
    bars = data.buflen()
    indicators = strategy._lineiterators[bt.LineIterator.IndType]
    for indicator in indicators:
        indicator._once()
    data.home()
    for indicator in indicators:
        indicator.home()
    strategy.reset()
    for line in strategy.lines:
        line.array = array.array("d", [math.nan]) * bars
    strategy.lines.datetime.array = array.array("d", data.lines.datetime.array[:bars])
    lines = [*data.lines, *strategy.lines]
    for indicator in indicators:
        lines.extend(lines_below(indicator))
    return lines


def _first_order_bar(pending: Any, data: Any, low: FloatArray, high: FloatArray, bar: int, until: int) -> int:
    """First bar in ``(bar, until]`` where a pending order can fill or expire, else ``until``."""
    if until <= bar + 1 or not pending:
        return until
    below, above, expiry = -math.inf, math.inf, math.inf
    for order in pending:
        if order.exectype in _EVERY_BAR_ORDERS:
            return bar + 1
        if order.valid is not None:
            expiry = min(expiry, order.valid if isinstance(order.valid, float) else -math.inf)
        if not order.active():
            continue
        triggered = order.triggered and order.exectype == bt.Order.StopLimit
        price = order.created.pricelimit if triggered else order.created.price
        if (order.exectype == bt.Order.Limit or triggered) == order.isbuy():
            below = max(below, price)
        else:
            above = min(above, price)
    if expiry < math.inf:
        until = min(until, bisect.bisect_right(data.lines.datetime.array, expiry, bar + 1, len(low)))
    return _first_touch(low, high, bar + 1, until, below, above)


def _first_touch(low: FloatArray, high: FloatArray, start: int, stop: int, below: float, above: float) -> int:
    """First index in ``[start, stop)`` with ``low <= below`` or ``high >= above``, else ``stop``; windows double."""
    width = 64
    while start < stop:
        end = min(stop, start + width)
        touched = (low[start:end] <= below) | (high[start:end] >= above)
        found = int(touched.argmax())
        if touched[found]:
            return start + found
        start, width = end, min(width * 4, 65_536)
    return stop
