"""Maximum drawdown: pause everything after recent trades lost too much from their best point on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from itb.ledger.trades import Trade
from itb.strategies.protections.protection import OfRecentTrades, Scope


@dataclass(frozen=True)
class MaxDrawdown(OfRecentTrades):
    """Forbid every entry while recent trades, one after the other, lost too much; fractions are fractions.

    The returns of the trades, each a fraction of its entry's worth, are added up in the order in which they ended; the
    drawdown is how far that sum fell below its highest point so far, which is 0 or more.

    Parameters
    ----------
    lookback
        Trades that ended within it count: a number of bars, or a length such as `"2d"`.
    trade_limit
        Fewer trades than this say nothing.
    stop_duration
        How long entries are forbidden, from the end of the last trade on: a number of bars, or a length.
    max_allowed_drawdown
        A drawdown above this fraction forbids entries.

    >>> drawdown([0.1, -0.2, 0.05]), drawdown([-0.2])
    (0.2, 0.2)
    """

    name: ClassVar[str] = "max_drawdown"

    lookback: int | str = 48
    max_allowed_drawdown: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_allowed_drawdown >= 0:
            raise ValueError(f"max_allowed_drawdown must be a fraction of 0 or more, was {self.max_allowed_drawdown}")

    def triggers(self, recent: Sequence[Trade]) -> Scope | None:
        """Forbid every entry when recent trades lost more than is allowed."""
        if len(recent) < self.trade_limit:
            return None
        return Scope() if drawdown([trade.return_ for trade in recent]) > self.max_allowed_drawdown else None


def drawdown(returns: Sequence[float]) -> float:
    """Give the largest fall of the sum of returns below its highest point so far, 0 before the first."""
    total = best = fall = 0.0
    for change in returns:
        total += change
        best = max(best, total)
        fall = max(fall, best - total)
    return fall
