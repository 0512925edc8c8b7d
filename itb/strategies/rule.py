"""Rules: scores in, flags out, one definition for a scalar and for an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np

    from itb.market.bars import FloatArray

    Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True)
class ThresholdRule:
    """Bullish at or above ``buy``, bearish at or below ``sell``; a NaN score is neither.

    >>> ThresholdRule(buy=0.6, sell=0.4).is_bullish(0.6)
    True
    """

    buy: float
    sell: float

    def __post_init__(self) -> None:
        if not self.buy > self.sell:
            raise ValueError(f"buy_threshold must be above sell_threshold, were {self.buy} and {self.sell}")

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
