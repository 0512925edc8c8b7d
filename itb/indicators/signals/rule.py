"""The rule of two thresholds: scores in, flags out, one definition for a scalar and for an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from itb.indicators.signals.signal import Flags
    from itb.market.bars import FloatArray


@dataclass(frozen=True)
class ThresholdRule:
    """Bullish at or above ``buy``, bearish at or below ``sell``; a NaN score is neither.

    Strategies decide by it bar by bar, signals column by column. Where ``sell`` is the higher one, scores between the
    two are both.

    >>> ThresholdRule(buy=0.6, sell=0.4).is_bullish(0.6)
    True
    """

    buy: float
    sell: float

    @overload
    def is_bullish(self, score: float) -> bool: ...
    @overload
    def is_bullish(self, score: FloatArray) -> Flags: ...
    def is_bullish(self, score: float | FloatArray) -> bool | Flags:
        """Whether the score asks to be long."""
        return score >= self.buy

    @overload
    def is_bearish(self, score: float) -> bool: ...
    @overload
    def is_bearish(self, score: FloatArray) -> Flags: ...
    def is_bearish(self, score: float | FloatArray) -> bool | Flags:
        """Whether the score asks to be out, or short."""
        return score <= self.sell
