"""MLScore: a model's score as a backtrader indicator, the same number in a backtest and live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import backtrader as bt
import numpy as np

from itb.engine.lines import as_buffer
from itb.errors import StrategyError

if TYPE_CHECKING:
    from itb.market.bars import FloatArray, IntArray


@runtime_checkable
class ScoreSource(Protocol):
    """Where a score column comes from; the assembler sets it on the data feed.

    ``low`` and ``high`` are the declared range of the score, NaN left aside; they may be infinite.
    """

    @property
    def column(self) -> str: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...

    def batch(self) -> FloatArray:
        """Scores of all bars of the feed, NaN where no model speaks."""

    def at(self, open_time: int) -> float:
        """Score of the bar that opened at ``open_time`` (UTC milliseconds), NaN where no model speaks."""


@dataclass(frozen=True, eq=False)
class ArrayScores:
    """Scores that are all known: one float64 value for each bar of a feed."""

    column: str
    open_time: IntArray
    values: FloatArray
    low: float = -np.inf
    high: float = np.inf

    def batch(self) -> FloatArray:
        """Give all scores."""
        return self.values

    def at(self, open_time: int) -> float:
        """Give the score of one bar; NaN for a time that is not among the bars."""
        row = int(np.searchsorted(self.open_time, open_time))
        found = row < len(self.open_time) and self.open_time[row] == open_time
        return float(self.values[row]) if found else np.nan


class MLScore(bt.Indicator):
    """The score of the bar that has just closed; NaN while no model speaks.

    ``MLScore(self.data, column="future_return_lightgbm")``; an empty column takes the only one there is. The minimum
    period is 1: a strategy is called while the score warms up and sees NaN, which crosses no threshold. In a backtest
    the whole line is filled in one copy; bar by bar it asks its source. Raises
    :class:`itb.errors.StrategyError` when the feed offers no such column.
    """

    lines: Any = ("score",)
    params: Any = (("column", ""),)
    data: Any

    def __init__(self, *_data: Any, **_params: Any) -> None:
        super().__init__()
        self.source = find_source(self.data, self.p.column)

    def next(self) -> None:
        """Ask the source for one bar."""
        self.lines.score[0] = self.source.at(int(self.data.bars.open_time[len(self.data) - 1]))

    def once(self, _start: int, end: int) -> None:
        """Fill the line in one copy."""
        scores = self.source.batch()
        if len(scores) != len(self.data.bars):
            raise StrategyError(
                f"score {self.source.column!r}: has {len(scores)} values for {len(self.data.bars)} bars of the feed; "
                "expected one for each, so align them with the bars first"
            )
        self.lines.score.array = as_buffer(scores[:end])

    def column(self, bars: int) -> FloatArray:
        """Give the scores of the first bars, once the line is filled."""
        return np.frombuffer(self.lines.score.array, dtype=np.float64)[:bars]

    def preonce(self, _start: int, _end: int) -> None:
        """Do nothing: ``once`` fills every bar."""

    def oncestart(self, _start: int, _end: int) -> None:
        """Do nothing: ``once`` fills every bar."""


def find_source(data: Any, column: str) -> ScoreSource:
    """Find a score column on a feed; an empty name takes the only one."""
    scores = getattr(data, "scores", None) or {}
    if not column and len(scores) == 1:
        only: ScoreSource = next(iter(scores.values()))
        return only
    if column in scores:
        found: ScoreSource = scores[column]
        return found
    offered = ", ".join(scores) or "no score at all"
    wanted = f"score column {column!r}" if column else "a score column (none was named)"
    raise StrategyError(f"the strategy wants {wanted}, but the feed offers {offered}; set strategy.score")
