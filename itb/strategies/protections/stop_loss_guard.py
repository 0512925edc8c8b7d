"""Stop-loss guard: pause after several stop-losses in a short time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from itb.ledger.trades import Trade
from itb.strategies.protections.protection import OfRecentTrades, Scope

STOPS = frozenset({"stop", "trailing", "liquidation"})
"""Reasons of an exit that count as a stop-loss."""


@dataclass(frozen=True)
class StopLossGuard(OfRecentTrades):
    """Forbid entries after so many trades that a stop ended with too small a profit; fractions are fractions.

    Parameters
    ----------
    lookback
        Trades that ended within it count: a number of bars, or a length such as `"1d"`.
    trade_limit
        So many of them forbid entries.
    stop_duration
        How long, from the last of them on: a number of bars, or a length.
    required_profit
        Only trades that returned less than this fraction of their entry's worth count.
    only_per_symbol
        Count the trades of each symbol apart, and forbid entries of that symbol alone.
    only_per_side
        Count longs and shorts apart, and forbid entries of that side alone.
    """

    name: ClassVar[str] = "stop_loss_guard"

    required_profit: float = 0.0
    only_per_symbol: bool = False
    only_per_side: bool = False

    def triggers(self, recent: Sequence[Trade]) -> Scope | None:
        """Forbid entries when the last of enough losing stops has just filled."""
        last = recent[-1]
        if not self._counts(last):
            return None
        scope = Scope(last.symbol if self.only_per_symbol else None, last.side if self.only_per_side else None)
        same = (
            trade
            for trade in recent
            if scope.symbol in (None, trade.symbol) and scope.side in (None, trade.side) and self._counts(trade)
        )
        return scope if sum(1 for _ in same) >= self.trade_limit else None

    def _counts(self, trade: Trade) -> bool:
        return trade.exit_reason in STOPS and trade.return_ < self.required_profit
