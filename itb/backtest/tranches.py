"""Overlapping tranches: equal parts of an account that take turns, each with a position and an exit of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.result import BacktestResult

if TYPE_CHECKING:
    from backtrader import Strategy

    from itb.backtest.run import Backtest
    from itb.indicators.score import ScoreSource
    from itb.ledger.trades import Trade
    from itb.market.bars import Bars

BoolArray = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class TranchedResult(BacktestResult):
    """A finished run of several tranches: the account as a whole, and what each of them did.

    Positions of tranches add up, so a long and a short of the same size are no position of the account; ``trades`` are
    those of the tranches, each on its own.
    """

    tranches: tuple[BacktestResult, ...] = ()

    @cached_property
    def trades(self) -> tuple[Trade, ...]:
        """Round trips of all tranches in the order in which they ended, those still open last."""
        found = [trade for part in self.tranches for trade in part.trades]
        return tuple(sorted(found, key=lambda trade: (trade.is_open, trade.exit_time, trade.entry_time)))


class Busyness:
    """At which bars one tranche holds or has ordered something, noted where it was asked."""

    def __init__(self, bars: int) -> None:
        self._came, self._left = (np.full(bars, -1, dtype=np.int8) for _ in range(2))

    def note(self, bar: int, came: bool, left: bool) -> None:
        """Note the state before and after the decision at a bar."""
        if self._came[bar] < 0:  # nextstart() may ask twice
            self._came[bar] = came
        self._left[bar] = left

    def at_decisions(self) -> BoolArray:
        """Give the state before each bar's decision; between the bars where it was asked nothing can happen."""
        asked = self._left >= 0
        last = np.maximum.accumulate(np.where(asked, np.arange(len(asked)), -1))
        stays = np.where(last >= 0, self._left[np.maximum(last, 0)], 0)
        return np.where(asked, self._came, stays) > 0


def run_tranches(
    backtest: Backtest, bars: Bars, scores: Mapping[str, ScoreSource] | None = None, start_ms: int | None = None
) -> TranchedResult:
    """Run the tranches one after the other: each decides where it is busy, or where all before it are.

    So of those that are free the first alone decides, as live: a trigger enters one tranche, the next trigger the next
    one, and each is left by itself; where none is free a trigger passes.
    """
    count = backtest.tranches
    turn = np.ones(len(bars), dtype=np.bool_)
    parts = []
    for _ in range(count):
        busy = Busyness(len(bars))
        strategy = taking_turns(backtest.strategy, turn, busy)
        alone = dataclasses.replace(backtest, strategy=strategy, cash=backtest.cash * (1 / count), tranches=0)
        parts.append(alone.run(bars, scores, start_ms))
        turn = turn & busy.at_decisions()
    return _together(parts, backtest.cash)


def taking_turns(strategy: type[Strategy], turn: BoolArray, busy: Busyness) -> type[Strategy]:
    """Make a subclass that decides at a bar only if it has something to look after or it is its turn."""
    base: Any = strategy
    begun: list[bool] = []

    class Turned(base):  # type: ignore[misc]  # the base is known at run time only
        def next(self) -> None:
            bar = len(self.data) - 1
            came = _is_busy(self)
            if came or turn[bar]:
                if begun:
                    super().next()
                else:
                    begun.append(True)
                    super().nextstart()
            busy.note(bar, came, _is_busy(self))

        def nextstart(self) -> None:
            self.next()

        if hasattr(base, "next_decision"):

            def next_decision(self, bar: int) -> int:
                found: int = super().next_decision(bar)
                return found

    Turned.__name__ = Turned.__qualname__ = strategy.__name__
    Turned.__module__ = strategy.__module__
    return Turned


def _is_busy(strategy: Any) -> bool:
    """Whether a tranche holds at least a step of its market, or has an order on its way or resting."""
    broker, data = strategy.broker, strategy.data
    orders = broker.pending or broker.submitted or broker._toactivate
    return bool(orders or broker.venue_of(data).quantise(broker.getposition(data).size))


def _together(parts: Sequence[BacktestResult], cash: float) -> TranchedResult:
    """Add up what the tranches did; at one bar the first one comes first, and orders are numbered anew."""
    first, count = parts[0], len(parts)

    def numbered(order_id: int, place: int) -> int:
        return (order_id - 1) * count + place + 1 if order_id else 0

    fills = [
        (dataclasses.replace(fill, order_id=numbered(fill.order_id, place)), price)
        for place, part in enumerate(parts)
        for fill, price in zip(part.fills, part.market_prices.tolist(), strict=True)
    ]
    fills.sort(key=lambda pair: pair[0].bar)
    orders = [
        dataclasses.replace(order, order_id=numbered(order.order_id, place))
        for place, part in enumerate(parts)
        for order in part.orders
    ]
    blocked: dict[str, int] = {}
    for part in parts:
        for name, bars in part.blocked.items():
            blocked[name] = blocked.get(name, 0) + bars
    return TranchedResult(
        bars=first.bars,
        start=first.start,
        starting_cash=cash,
        costs=first.costs,
        dust=first.dust,
        cash=np.sum([part.cash for part in parts], axis=0),
        position=np.sum([part.position for part in parts], axis=0),
        equity=np.sum([part.equity for part in parts], axis=0),
        fills=tuple(fill for fill, _ in fills),
        market_prices=np.array([price for _, price in fills], dtype=np.float64),
        orders=tuple(sorted(orders, key=lambda order: order.bar)),
        rejected=tuple(sorted((one for part in parts for one in part.rejected), key=lambda one: one.bar)),
        ambiguous=tuple(sorted((one for part in parts for one in part.ambiguous), key=lambda one: one.bar)),
        stepped=first.stepped,
        visited=sum(part.visited for part in parts),
        why_not_sparse=first.why_not_sparse,
        blocked=blocked,
        tranches=tuple(parts),
    )
