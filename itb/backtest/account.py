"""The account at every bar, rebuilt from executions without visiting the bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.market.fills import Fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.engine.broker import Execution
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.raster import Raster


@dataclass(frozen=True, eq=False)
class Account:
    """Cash (quote), position (signed, base) and equity (quote) at the close of every bar.

    ``equity = cash + position x close``, plus the (negative) balance of a separate fee account if there is one.
    """

    cash: FloatArray
    position: FloatArray
    equity: FloatArray


def account(bars: Bars, cash: float, executions: Sequence[Execution]) -> Account:
    """Carry the state after each execution forward to the next one.

    Bit-equal to what the broker says at every bar: the terms are added in its own order,
    ``cash + ((worth - unrealised) + unrealised)`` for a long position.
    """
    carried = _Carried.of(executions, [execution.bar for execution in executions], len(bars))
    equity = _worth(carried, np.zeros(len(bars)), bars.close)
    return Account(carried.cash(cash), carried.position, _total(carried, cash, equity))


def shared_account(
    markets: Sequence[Bars], raster: Raster, cash: float, executions: Sequence[Execution]
) -> tuple[FloatArray, FloatArray]:
    """Give cash and equity of an account that holds several symbols, at the close of every step.

    Bit-equal to what the broker says: positions are added up in the order of the markets.
    """
    place = {bars.symbol: number for number, bars in enumerate(markets)}
    steps = [int(raster.steps[place[execution.symbol]][execution.bar]) for execution in executions]
    every = _Carried.of(executions, steps, len(raster))
    worth = np.zeros(len(raster))
    for bars, rows in zip(markets, raster.rows, strict=True):
        own = [execution for execution in executions if execution.symbol == bars.symbol]
        at = [step for step, execution in zip(steps, executions, strict=True) if execution.symbol == bars.symbol]
        worth = _worth(_Carried.of(own, at, len(raster)), worth, bars.close[np.maximum(rows, 0)])
    return every.cash(cash), _total(every, cash, worth)


def own_accounts(executions: Sequence[Execution], cash: float) -> Mapping[str, list[Execution]]:
    """Give the executions of each symbol with the cash and fees of an account that holds nothing else."""
    own: dict[str, list[Execution]] = {}
    before, owed = cash, 0.0
    for execution in executions:
        kept = own.setdefault(execution.symbol, [])
        last, fees = (kept[-1].cash, kept[-1].fee_account) if kept else (cash, 0.0)
        paid, fee = execution.cash - before, execution.fee_account - owed
        before, owed = execution.cash, execution.fee_account
        kept.append(execution._replace(cash=last + paid, fee_account=fees + fee))
    return own


@dataclass(frozen=True, eq=False)
class _Carried:
    """The state after each execution, carried forward to the next one."""

    last: tuple[Execution, ...]
    lengths: IntArray

    @classmethod
    def of(cls, executions: Sequence[Execution], steps: Sequence[int], count: int) -> _Carried:
        last = dict(zip(steps, executions, strict=True))  # the last one of a step is its state
        rows = np.fromiter(last, dtype=np.int64, count=len(last))
        return cls(tuple(last.values()), np.diff(rows, prepend=0, append=count))

    def carry(self, first: float, field: str) -> FloatArray:
        states = np.array([first, *(getattr(execution, field) for execution in self.last)], dtype=np.float64)
        return np.repeat(states, self.lengths)

    def cash(self, first: float) -> FloatArray:
        return self.carry(first, "cash")

    @property
    def position(self) -> FloatArray:
        return self.carry(0.0, "position")


def _worth(carried: _Carried, others: FloatArray, close: FloatArray) -> FloatArray:
    """Add a position's worth to that of others: ``(others + (worth - unrealised)) + unrealised`` for a long one."""
    size, price = carried.position, carried.carry(0.0, "position_price")
    worth = size * close
    unrealised = size * (close - price)
    return np.where(worth > 0, (others + (worth - unrealised)) + unrealised, others + worth)


def _total(carried: _Carried, cash: float, worth: FloatArray) -> FloatArray:
    fees = carried.carry(0.0, "fee_account")
    equity = carried.cash(cash) + worth
    return equity + fees if fees.any() else equity


def fills(bars: Bars, executions: Sequence[Execution], fee_currency: str) -> list[Fill]:
    """Turn executions into fills; a fee taken in base is one of buys alone."""
    times = bars.open_time
    return [
        Fill(
            bar=execution.bar,
            open_time=int(times[execution.bar]),
            order_id=execution.order_id,
            symbol=bars.symbol,
            qty=execution.qty,
            price=execution.price,
            fee=execution.fee,
            fee_quote=execution.fee_quote,
            fee_currency=_currency(execution, fee_currency),
            reason=execution.reason,
        )
        for execution in executions
    ]


def _currency(execution: Execution, fee_currency: str) -> str:
    if execution.reason == "funding" or (fee_currency == "base" and execution.qty < 0):
        return "quote"
    return fee_currency
