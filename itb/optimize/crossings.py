"""The bars where a rule changes its mind: all that a sweep without protection needs to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.indicators.signals import ThresholdRule
    from itb.market.bars import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Crossings:
    """Flags of a rule at every bar (``is_bullish``, ``is_bearish``) and ``bars`` where a run of equal signals begins.

    Bars that say nothing end no run: bullish, nothing, bullish is one run.
    """

    is_bullish: BoolArray
    is_bearish: BoolArray
    bars: IntArray

    @classmethod
    def of(cls, rule: ThresholdRule, score: FloatArray) -> Crossings:
        """Apply the rule to a whole score column.

        >>> from itb.indicators.signals import ThresholdRule
        >>> score = np.array([0.5, 0.9, np.nan, 0.8, 0.1, 0.5, 0.2, 0.9])
        >>> Crossings.of(ThresholdRule(buy=0.7, sell=0.3), score).bars.tolist()
        [1, 4, 7]
        """
        bullish, bearish = rule.is_bullish(score), rule.is_bearish(score)
        begins = bullish | bearish
        begins[1:] &= (bullish[1:] > bullish[:-1]) | (bearish[1:] > bearish[:-1])
        bars = np.flatnonzero(begins)
        said = bullish[bars]
        changes = np.ones(len(bars), dtype=np.bool_)
        np.not_equal(said[1:], said[:-1], out=changes[1:])
        return cls(bullish, bearish, bars[changes])

    def since(self, touched: BoolArray, *, allow_short: bool) -> BoolArray:
        """Flag the crossings, and the first signals from each touched bar on: where a stopped position may return."""
        found = np.zeros(len(touched), dtype=np.bool_)
        found[self.bars] = True
        ends = np.flatnonzero(touched)
        for flags in (self.is_bullish, self.is_bearish) if allow_short else (self.is_bullish,):
            signals = np.flatnonzero(flags)
            first = np.searchsorted(signals, ends)
            found[signals[first[first < len(signals)]]] = True
        return found
