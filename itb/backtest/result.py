"""Everything a backtest leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.market.raster import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.engine.broker import LeanBroker
    from itb.engine.venue import Ambiguity, Rejection
    from itb.ledger.trades import Trade
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.costs import Costs
    from itb.market.fills import Fill


@dataclass(frozen=True)
class OrderRecord:
    """One order: when it was sent (bar, from 0), what it asked for, and how it ended."""

    order_id: int
    bar: int
    qty: float
    kind: str
    price: float
    status: str
    filled: float
    reason: str
    symbol: str = ""

    @classmethod
    def of(cls, order: Any, broker: LeanBroker) -> OrderRecord:
        """Describe a backtrader order of a finished run."""
        return cls(
            order_id=broker.order_id(order),
            bar=order.plen - 1,
            qty=order.size,
            kind=order.getordername().lower(),
            price=order.created.price,
            status=order.getstatusname().lower(),
            filled=order.executed.size,
            reason=order.info.get("reason", "user") if order.info else "user",
            symbol=order.data._name,
        )


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """A finished run: per bar ``cash``, ``position`` and ``equity`` at the close, and all that moved them.

    ``start`` is the first bar whose decisions counted. ``equity = cash + position x close`` at every bar, but for a
    separate fee account. ``market_prices`` are those of the fills before slippage. ``visited`` bars of ``len(bars)``
    were stepped on. ``blocked`` counts the bars at which each protection held an entry back.
    """

    bars: Bars
    start: int
    starting_cash: float
    costs: Costs
    dust: float
    cash: FloatArray
    position: FloatArray
    equity: FloatArray
    fills: tuple[Fill, ...]
    market_prices: FloatArray
    orders: tuple[OrderRecord, ...]
    rejected: tuple[Rejection, ...]
    ambiguous: tuple[Ambiguity, ...]
    stepped: str
    visited: int
    why_not_sparse: str
    blocked: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def trades(self) -> tuple[Trade, ...]:
        """Round trips, the open one last and marked at the last close."""
        from itb.ledger.trades import round_trips

        return tuple(round_trips(self.fills, self.bars, dust=self.dust))

    @property
    def clock(self) -> Clock:
        """Times of the bars."""
        return Clock(self.bars.timeframe, self.bars.open_time)

    @property
    def end_value(self) -> float:
        """Equity at the last close."""
        return float(self.equity[-1])


@dataclass(frozen=True, eq=False)
class SharedResult:
    """A finished run of several symbols on one account: ``cash`` and ``equity`` at the close of each step of ``clock``.

    ``parts`` has what each symbol did, in the order in which they were listed: its bars, fills, orders and position,
    and as ``cash`` and ``equity`` the account as if it had held nothing else. So at every step the gains of the parts
    add up to those of the account. ``start`` is the first step whose decisions counted; ``fills``, ``orders``,
    ``rejected`` and ``ambiguous`` are those of all symbols in the order in which they happened.
    """

    clock: Clock
    start: int
    starting_cash: float
    costs: Costs
    cash: FloatArray
    equity: FloatArray
    parts: Mapping[str, BacktestResult]
    fills: tuple[Fill, ...]
    market_prices: FloatArray
    orders: tuple[OrderRecord, ...]
    rejected: tuple[Rejection, ...]
    ambiguous: tuple[Ambiguity, ...]
    stepped: str
    visited: int
    why_not_sparse: str
    blocked: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def trades(self) -> tuple[Trade, ...]:
        """Round trips of all symbols in the order in which they ended, those still open last."""
        found = [trade for part in self.parts.values() for trade in part.trades]
        return tuple(sorted(found, key=lambda trade: (trade.is_open, trade.exit_time)))

    @cached_property
    def held(self) -> IntArray:
        """How many positions stood at the close of every step."""
        counts = np.zeros(len(self.clock), dtype=np.int64)
        for part in self.parts.values():
            row = np.searchsorted(part.bars.open_time, self.clock.open_time, side="right") - 1
            counts += (row >= 0) & (np.abs(part.position[np.maximum(row, 0)]) > part.dust)
        return counts

    @property
    def end_value(self) -> float:
        """Equity at the last close."""
        return float(self.equity[-1])
