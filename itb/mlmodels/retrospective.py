"""Scores of models that had seen the future of what they scored, and the door that is shut to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from itb.errors import ModelError
from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.scores import WalkForwardScores


@dataclass(frozen=True, eq=False)
class RetrospectiveScores:
    """Scores by the bar's open time, made by k-fold or combinatorial cross-validation; NaN where no model spoke.

    They look like any other score source so that they can be graded and drawn; whatever turns scores into money
    refuses them.

    >>> import numpy as np
    >>> source = RetrospectiveScores("up_lightgbm", 0.0, 1.0, np.array([0, 60_000]), np.array([0.2, 0.7]))
    >>> source.is_retrospective, source.at(60_000)
    (True, 0.7)
    """

    is_retrospective: ClassVar[bool] = True

    column: str
    low: float
    high: float
    open_time: IntArray
    scores: FloatArray

    def __post_init__(self) -> None:
        self._plain()

    def _plain(self) -> WalkForwardScores:
        return WalkForwardScores(self.column, self.low, self.high, self.open_time, self.scores)

    def batch(self) -> FloatArray:
        """Give the score of every bar."""
        return self.scores

    def at(self, open_time: int) -> float:
        """Give the score of the bar that opens then; NaN if there is none."""
        return self._plain().at(open_time)

    def aligned(self, open_time: IntArray) -> RetrospectiveScores:
        """Give the same scores for other bars; they stay retrospective."""
        return RetrospectiveScores(self.column, self.low, self.high, open_time, self._plain().aligned(open_time).scores)


def refuse_retrospective(parts: Iterable[object], purpose: str) -> None:
    """Raise :class:`ModelError` when one of ``parts`` (score sources, splits) is marked retrospective.

    >>> refuse_retrospective([object()], "a backtest")
    """
    for part in parts:
        if getattr(part, "is_retrospective", False):
            name = getattr(part, "column", "") or type(part).__name__
            raise ModelError(
                f"{name}: retrospective scores, made by models that had learned from later bars, cannot be used for "
                f"{purpose}: its result would be a look into the future. Use the scores of a walk-forward."
            )
