"""What a strategy decided, run by run, as the laws of strategies compare it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from itb.market.bars import Bars

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult
    from itb.errors import StrategyError


@dataclass(frozen=True, repr=False)
class Decision:
    """One order as it was sent; ``bar`` counts from the first bar that could be traded, ``qty`` is signed."""

    bar: int
    open_time: int
    qty: float
    kind: str
    price: float
    reason: str

    def __repr__(self) -> str:
        """Say it in words: first differences are shown to people."""
        side = "buy" if self.qty > 0 else "sell"
        return f"a {self.kind} order to {side} {abs(self.qty):.10g} ({self.reason})"


def decisions(result: BacktestResult, until: int | None = None) -> list[Decision]:
    """List every order that a run sent, in order; ``until`` (a row of its bars) leaves later ones out."""
    times = result.bars.open_time
    return [
        Decision(order.bar - result.start, int(times[order.bar]), order.qty, order.kind, order.price, order.reason)
        for order in result.orders
        if until is None or order.bar <= until
    ]


def trading_starts(bars: Bars, start_ms: int | None) -> int:
    """Give the row of the first bar whose decisions count.

    >>> from itb.datafeeds.waves import sinus
    >>> trading_starts(sinus(bars=10), None), trading_starts(sinus(bars=10), int(sinus(bars=10).open_time[4]))
    (0, 4)
    """
    return 0 if start_ms is None else int(bars.open_time.searchsorted(start_ms))


def failure(error: StrategyError) -> str:
    """Say in short why a strategy stopped."""
    return str(error).partition(";")[0]


def reads_past_end(error: StrategyError) -> bool:
    """Whether the strategy stopped because it asked a line for a bar that is not there."""
    cause = error.__cause__
    if not isinstance(cause, IndexError):
        return False
    frames = traceback.extract_tb(cause.__traceback__)
    return Path(frames[-1].filename).name == "linebuffer.py"
