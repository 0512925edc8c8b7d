"""Ask a strategy which score columns it reads, before anything is trained for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest, TradedMarket
from itb.errors import StrategyError
from itb.indicators.score import ArrayScores

if TYPE_CHECKING:
    from backtrader import Strategy

    from itb.indicators.score import ScoreSource
    from itb.market.bars import Bars


class _Listening(Mapping[str, "ScoreSource"]):
    def __init__(self, columns: Mapping[str, ScoreSource]) -> None:
        self._columns = columns
        self.asked: set[str] = set()

    def __getitem__(self, column: str) -> ScoreSource:
        found = self._columns[column]
        self.asked.add(column)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def items(self) -> Any:
        """Give every score without counting it as read: the engine looks at all of them, the strategy does not."""
        return self._columns.items()

    def values(self) -> Any:
        self.asked.update(self._columns)
        return self._columns.values()


class _EnoughError(Exception):
    """Raised where the run would begin: by then the strategy has asked for its scores."""


def _stop(_strategy: Any) -> None:
    raise _EnoughError


def columns_read(
    strategy: type[Strategy],
    settings: Mapping[str, Any],
    markets: Sequence[Bars],
    ranges: Mapping[str, tuple[float, float]],
) -> frozenset[str]:
    """Make the strategy with empty scores, run nothing, and see which of the offered columns it asked for.

    ``markets`` are the bars of one symbol, or of all that share an account.

    ``ranges`` maps each column on offer to the range it declares. What the strategy refuses while it is made, such as
    a threshold outside that range, is raised here, before any training.
    """
    firsts = [bars.head(2) for bars in markets]
    offered = [
        _Listening(
            {
                column: ArrayScores(column, first.open_time, np.full(len(first), np.nan), low, high)
                for column, (low, high) in ranges.items()
            }
        )
        for first in firsts
    ]
    kind: Any = type(strategy)
    made = kind(strategy.__name__, (strategy,), {"start": _stop, "__module__": strategy.__module__})
    try:
        Backtest(made, settings).run_shared([TradedMarket(*one) for one in zip(firsts, offered, strict=True)])
    except StrategyError as error:
        if not isinstance(error.__cause__, _EnoughError):
            raise
    return frozenset(name for one in offered for name in one.asked)
