"""MLThreshold whose settings change at given times: what a search that is repeated every window would have traded."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from itb.indicators.signals import Flags
    from itb.market.bars import IntArray
    from itb.strategies.coin import Coin


@dataclass(frozen=True)
class Change:
    """From the bar that opens at ``from_ms`` (UTC milliseconds) on, decisions are taken by ``settings``."""

    from_ms: int
    settings: ThresholdSettings


class ScheduledThreshold(MLThreshold):
    """Trade by thresholds that change on schedule; a position is carried over a change.

    ``changes`` (parameter) are ordered in time; before the first the strategy stays out. Protection that was placed at
    an entry stays as it is until the trade ends; every other decision is taken by the settings of the bar.
    """

    params: Any = (("changes", ()),)

    def __init__(self) -> None:
        changes: tuple[Change, ...] = self.p.changes
        if not changes or any(a.from_ms >= b.from_ms for a, b in itertools.pairwise(changes)):
            raise ValueError(f"changes must hold at least one, ordered in time; were {[c.from_ms for c in changes]}")
        for name, value in asdict(changes[0].settings).items():
            setattr(self.p, name, value)
        super().__init__()
        for change in changes:
            for score in self.scores:
                change.settings.check_range(score.source.low, score.source.high)
        self._from = [change.from_ms for change in changes]
        self._starts: dict[int, IntArray] = {}

    def next(self) -> None:
        """Decide at the close of the current bar, by the settings of that bar."""
        place = bisect.bisect_right(self._from, self.now) - 1
        if place < 0:
            return
        settings = self.p.changes[place].settings
        if settings is not self.settings:
            self.settings, self.rule, self.size_rule = settings, settings.rule, settings.sizer
        super().next()

    def flags_of(self, coin: Coin, bars: int) -> tuple[Flags, Flags]:
        """Look at the scores of the first bars, each by the rule of its time."""
        scores = self.scores[coin.place].column(bars)
        bullish, bearish = np.zeros(bars, dtype=np.bool_), np.zeros(bars, dtype=np.bool_)
        starts = self._starts[coin.place] = np.searchsorted(coin.data.bars.open_time[:bars], self._from)
        for change, first, last in zip(self.p.changes, starts, [*starts[1:], bars], strict=True):
            bullish[first:last] = change.settings.rule.is_bullish(scores[first:last])
            bearish[first:last] = change.settings.rule.is_bearish(scores[first:last])
        return bullish, bearish

    def next_decision(self, bar: int) -> int:
        """First bar after ``bar`` where :meth:`next` may act: where its settings say so, or where they change."""
        return super().next_decision(bar)

    def next_step(self, step: int) -> int:
        """First step after ``step`` where :meth:`next` may act: where its settings say so, or where they change."""
        return super().next_step(step)

    def _next_of(self, coin: Coin, bar: int) -> int:
        found, starts = super()._next_of(coin, bar), self._starts[coin.place]
        place = int(np.searchsorted(starts, bar, "right"))
        return min(found, int(starts[place])) if place < len(starts) else found
