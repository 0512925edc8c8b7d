"""Ask a strategy which score columns it reads, before anything is trained for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest
from itb.errors import ItbError
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

    def values(self) -> Any:
        self.asked.update(self._columns)
        return self._columns.values()


def columns_read(
    strategy: type[Strategy], settings: Mapping[str, Any], bars: Bars, ranges: Mapping[str, tuple[float, float]]
) -> frozenset[str]:
    """Run the strategy over two bars with empty scores and see which of the offered columns it asks for.

    ``ranges`` maps each column on offer to the range it declares. A setting that the strategy refuses in view of
    those ranges is raised here, before any training; a strategy that fails for want of bars has said what it reads.
    """
    first = bars.head(2)
    empty = np.full(len(first), np.nan)
    offered = _Listening(
        {column: ArrayScores(column, first.open_time, empty, low, high) for column, (low, high) in ranges.items()}
    )
    try:
        Backtest(strategy, settings).run(first, offered)
    except ItbError:
        if not offered.asked:
            raise
    return frozenset(offered.asked)
