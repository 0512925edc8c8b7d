"""The bars where a rule of thresholds changes its mind, found at the price of those bars alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.indicators.signals import ThresholdRule
    from itb.market.bars import BoolArray, FloatArray, IntArray

_FEW = 1 << 28  # bars whose number fits an int32 with flags beside it: half as long to sort


@dataclass(frozen=True, eq=False)
class _Steps:
    """Scores that lie beyond the score before them, in ascending order; ``before`` is infinite where there is none."""

    score: FloatArray
    before: FloatArray
    bar: np.ndarray[tuple[int], np.dtype[np.int32]] | IntArray

    @classmethod
    def of(cls, score: FloatArray, before: FloatArray, chosen: BoolArray, absent: float) -> _Steps:
        bar = np.flatnonzero(chosen)
        bar = bar[np.argsort(score[bar])]
        earlier = before[bar]
        earlier[np.isnan(earlier)] = absent
        return cls(score[bar], earlier, bar.astype(np.int32) if len(score) < _FEW else bar)


class Crossings:
    """All steps of a score column, sorted once, so that each pair of thresholds looks at those beyond them only.

    >>> from itb.indicators.signals import ThresholdRule
    >>> crossings = Crossings(np.array([0.5, 0.9, np.nan, 0.8, 0.1, 0.5, 0.2, 0.9]))
    >>> rule = ThresholdRule(buy=0.7, sell=0.3)
    >>> [bars.tolist() for bars in crossings.begins(rule)]
    [[1, 3, 4, 6, 7], [True, True, False, False, True]]
    >>> [bars.tolist() for bars in crossings.changes(rule)]
    [[1, 4, 7], [True, False, True]]
    """

    def __init__(self, score: FloatArray) -> None:
        self._score = score
        before = np.concatenate(([np.nan], score[:-1]))
        known = ~np.isnan(score)
        self._rises = _Steps.of(score, before, known & ~(score <= before), -np.inf)
        self._falls = _Steps.of(score, before, known & ~(score >= before), np.inf)

    def begins(self, rule: ThresholdRule, first: int = 0) -> tuple[IntArray, BoolArray]:
        """Bars from ``first`` on where a stretch of equal signals begins, and whether it is bullish.

        Bullish and bearish exclude each other; a bar that is neither ends a stretch.
        """
        rises, falls = self._rises, self._falls
        above = slice(int(np.searchsorted(rises.score, rule.buy)), None)
        below = slice(0, int(np.searchsorted(falls.score, rule.sell, side="right")))
        bullish = rises.bar[above][~rule.is_bullish(rises.before[above])]
        bearish = falls.bar[below][~rule.is_bearish(falls.before[below])]
        marked = np.sort(np.concatenate((bullish << 1 | 1, bearish << 1)))
        if first:
            start = self._score[first]
            marked = marked[marked >> 1 > first]
            if rule.is_bullish(start) or rule.is_bearish(start):
                marked = np.concatenate(([first << 1 | int(rule.is_bullish(start))], marked))
        return (marked >> 1).astype(np.int64), (marked & 1).astype(np.bool_)

    def changes(self, rule: ThresholdRule, first: int = 0) -> tuple[IntArray, BoolArray]:
        """Bars with the first signal of each kind after one of the other, and whether it is bullish."""
        bars, bullish = self.begins(rule, first)
        changed = np.ones(len(bars), dtype=np.bool_)
        np.not_equal(bullish[1:], bullish[:-1], out=changed[1:])
        return bars[changed], bullish[changed]

    def with_returns(
        self, rule: ThresholdRule, ends: IntArray, first: int, *, allow_short: bool
    ) -> tuple[IntArray, BoolArray]:
        """Bars whose signal may be acted on when positions may end in the bars ``ends``, and whether it is bullish.

        A position that a level ended returns at the close of that bar, or where the next stretch begins.
        """
        bars, bullish = self.begins(rule, first)
        ends = ends[ends < len(self._score)]
        score = self._score[ends]
        again = rule.is_bullish(score)
        signals = again | rule.is_bearish(score) if allow_short else again
        marked = np.concatenate((bars << 1 | bullish, ends[signals] << 1 | again[signals]))
        marked = np.sort(marked, kind="stable")
        single = np.ones(len(marked), dtype=np.bool_)
        np.not_equal(marked[1:], marked[:-1], out=single[1:])
        marked = marked[single]
        return (marked >> 1).astype(np.int64), (marked & 1).astype(np.bool_)
