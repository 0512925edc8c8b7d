"""Low-profit symbol: pause a symbol whose recent trades brought too little."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from itb.ledger.trades import Trade
from itb.strategies.protections.protection import OfRecentTrades, Scope


@dataclass(frozen=True)
class LowProfitSymbol(OfRecentTrades):
    """Forbid entries of a symbol whose recent trades returned too little in sum; fractions are fractions.

    Parameters
    ----------
    lookback
        Trades that ended within it count: a number of bars, or a length such as `"1d"`.
    trade_limit
        Fewer trades than this say nothing.
    stop_duration
        How long entries are forbidden, from the end of the last trade on: a number of bars, or a length.
    required_profit
        The sum of the trades' returns, each a fraction of its entry's worth, that is asked for.
    only_per_side
        Look at longs and shorts apart, and forbid entries of that side alone.
    """

    name: ClassVar[str] = "low_profit_symbol"

    required_profit: float = 0.0
    only_per_side: bool = False

    def triggers(self, recent: Sequence[Trade]) -> Scope | None:
        """Forbid entries of the symbol, or of one side of it, when its trades returned too little."""
        last = recent[-1]
        scope = Scope(last.symbol, last.side if self.only_per_side else None)
        returns = [t.return_ for t in recent if t.symbol == scope.symbol and scope.side in (None, t.side)]
        is_low = len(returns) >= self.trade_limit and math.fsum(returns) < self.required_profit
        return scope if is_low else None
