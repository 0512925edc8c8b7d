"""Several feeds on one raster: where every line of a run stands at each step, and where its orders can fill."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import backtrader as bt
import numpy as np
from backtrader.lineseries import LineSeriesStub

from itb.engine.pending import first_order_bar
from itb.market.raster import Raster

_EVERY_STEP = -1


@runtime_checkable
class StepsSparsely(Protocol):
    """What a strategy on several feeds offers to be visited only where it may act; a step is one of the raster."""

    def prepare_steps(self, raster: Raster) -> None:
        """Look at whole arrays once, before the first step; ``raster`` has the feeds in the order of ``datas``."""

    def next_step(self, step: int) -> int:
        """First step after ``step`` where ``next()`` may do anything in the present state; earlier is always safe."""


def raster_of(datas: Sequence[Any]) -> Raster | None:
    """Lay loaded feeds on one raster; ``None`` where the bars of one of them do not follow each other in time."""
    times = [np.frombuffer(data.lines.datetime.array, dtype=np.float64)[: data.buflen()] for data in datas]
    if any((np.diff(own) <= 0).any() for own in times):
        return None
    return Raster.of(times)  # type: ignore[arg-type]  # backtrader's day numbers order as milliseconds do


def hold_back(strategy: Any, first: int) -> None:
    """Let ``next()`` run from step ``first`` on, and not before the strategy's feeds and indicators are ready."""
    ready: Callable[[], int] = strategy._getminperstatus

    def status() -> int:
        strategy._minperstatus = found = max(ready(), first + 1 - len(strategy))
        return found

    if first:
        strategy._getminperstatus = status


def compute(strategy: Any, datas: Sequence[Any], times: array.array[float]) -> list[Any]:
    """Compute and give all indicators, as ``Strategy._once`` does, without appending step by step in Python."""
    indicators: list[Any] = strategy._lineiterators[bt.LineIterator.IndType]
    for indicator in indicators:
        indicator._once()
    for homed in (*datas, *indicators):
        homed.home()
    strategy.reset()
    for line in strategy.lines:
        line.array = array.array("d", [math.nan]) * len(times)
    strategy.lines.datetime.array = times
    return indicators


class Lines:
    """Every line of a run of one strategy, by the feed whose bars it follows, over arrays that are computed once."""

    def __init__(self, strategy: Any, datas: Sequence[Any], raster: Raster) -> None:
        self.raster = raster
        indicators = compute(strategy, datas, array.array("d", raster.times.tobytes()))
        groups: dict[int, list[Any]] = {place: list(data.lines) for place, data in enumerate(datas)}
        groups[_EVERY_STEP] = list(strategy.lines)
        followed = _followed(strategy, datas)
        for indicator in indicators:
            for part in _parts_below(indicator):
                groups[followed(part)].extend(_own_lines(part))
        self._every_step = groups.pop(_EVERY_STEP)
        self._groups = [(groups[place], raster.rows[place].tolist()) for place in range(len(datas))]
        self._at = [-1] * len(datas)

    def __len__(self) -> int:
        return len(self.raster)

    def move(self, step: int) -> None:
        """Stand at a step: the feeds without a bar there stay at their last one."""
        for line in self._every_step:
            line._idx = step
            line.lencount = step + 1
        at = self._at
        for place, (lines, rows) in enumerate(self._groups):
            row = rows[step]
            if row != at[place]:
                at[place] = row
                for line in lines:
                    line._idx = row
                    line.lencount = row + 1


def _own_lines(part: Any) -> list[Any]:
    return list(part.lines) if hasattr(part, "lines") else [part]


def _parts_below(part: Any) -> list[Any]:
    inner = getattr(part, "_lineiterators", {}).get(bt.LineIterator.IndType, [])
    return [part, *(below for one in inner for below in _parts_below(one))]


def _followed(strategy: Any, datas: Sequence[Any]) -> Callable[[Any], int]:
    """Say which feed an indicator moves with, as backtrader does: the one that its clock leads to."""
    known = {id(strategy): _EVERY_STEP}
    for place, data in enumerate(datas):
        known |= {id(data): place, **{id(line): place for line in data.lines}}

    def follow(part: Any) -> int:
        while id(part) not in known:
            if isinstance(part, LineSeriesStub):
                part = part.lines[0]
                continue
            clock = getattr(part, "_clock", None)
            part = part._owner if clock is None else clock
        return known[id(part)]

    return follow


class OrdersAhead:
    """Where pending orders of several feeds can fill or expire."""

    def __init__(self, datas: Sequence[Any], raster: Raster, *, tries_old_bars: bool) -> None:
        self._raster, self._tries_old_bars = raster, tries_old_bars
        self._place = {id(data): place for place, data in enumerate(datas)}
        self._data = tuple(datas)
        self._low, self._high = (
            [np.frombuffer(getattr(data.lines, name).array, dtype=np.float64)[: data.buflen()] for data in datas]
            for name in ("low", "high")
        )

    def first(self, pending: Sequence[Any], step: int, until: int) -> int:
        """First step in ``(step, until]`` where one of ``pending`` can fill or expire, else ``until``."""
        by_feed: dict[int, list[Any]] = {}
        for order in pending:
            by_feed.setdefault(self._place[id(order.data)], []).append(order)
        for place, orders in by_feed.items():
            if until <= step + 1:
                return until
            rows, steps = self._raster.rows[place], self._raster.steps[place]
            row = int(rows[step])
            if self._tries_old_bars and rows[step + 1] == row:
                return step + 1  # the stock broker tries an order on the bar that its feed has left behind
            last = int(rows[until])  # bars after this one lie behind the step that is visited anyway
            if last <= row:
                continue
            found = first_order_bar(orders, self._data[place], self._low[place], self._high[place], row, last + 1)
            if found <= last:
                until = min(until, int(steps[found]))
        return until
