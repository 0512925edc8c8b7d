"""The account at every bar, rebuilt from executions without visiting the bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.market.fills import Fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.engine.broker import Execution
    from itb.market.bars import Bars, FloatArray


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
    last = {execution.bar: execution for execution in executions}  # the last one of a bar is its state
    rows = np.fromiter(last, dtype=np.int64, count=len(last))
    lengths = np.diff(rows, prepend=0, append=len(bars))

    def carry(first: float, field: str) -> FloatArray:
        states = np.array([first, *(getattr(execution, field) for execution in last.values())], dtype=np.float64)
        return np.repeat(states, lengths)

    money, size = carry(cash, "cash"), carry(0.0, "position")
    price, fees = carry(0.0, "position_price"), carry(0.0, "fee_account")
    worth = size * bars.close
    unrealised = size * (bars.close - price)
    value = np.where(worth > 0, (worth - unrealised) + unrealised, worth)
    equity = money + value
    return Account(money, size, equity + fees if fees.any() else equity)


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
