"""A feature of longer bars, told on shorter ones: as of the last long bar that has closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily, Feature, columns_of
from itb.market.aggregate import aggregate, known_at_close
from itb.market.bars import Bars, FloatArray
from itb.market.timeframe import Timeframe


@dataclass(frozen=True)
class OnTimeframe(ColumnFamily):
    """A feature computed on bars of ``timeframe`` that are built from those of ``base``.

    A long bar is known when it closes: each row holds the value of the newest long bar that has closed by its own
    close, and keeps it until the next one closes; a running bar is never seen. A long bar whose beginning the history
    does not hold is left out, so that no number depends on where the history starts. Names are those of the feature.
    Columns of the bars beside open, high, low, close and what adds up keep their last value: see
    :func:`itb.market.aggregate.aggregate`.

    >>> from itb.indicators.bar_features import BarSeries
    >>> hour, four_hours = Timeframe.parse("1h"), Timeframe.parse("4h")
    >>> OnTimeframe(BarSeries(("return",)), four_hours, hour).warmup  # two long bars, and up to three bars after them
    10
    """

    feature: Feature
    timeframe: Timeframe
    base: Timeframe

    def __post_init__(self) -> None:
        if self.timeframe == self.base or not self.timeframe.is_multiple_of(self.base):
            raise ValueError(f"timeframes must be made of whole bars of {self.base}, was {self.timeframe}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return self.feature.names

    @property
    def warmup(self) -> int:
        """How many earlier bars of ``base`` decide a value: whole long bars, and those since the last one's close."""
        each = self.timeframe.ms // self.base.ms
        return (self.feature.warmup + 1) * each + each - 2

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one; raise ``ValueError`` for bars that are not of ``base``."""
        if bars.timeframe != self.base:
            raise ValueError(f"{bars.label}: the bars must be of {self.base}")
        longer = aggregate(self._from_a_whole_bar(bars), self.timeframe)
        if len(longer) == 0:
            yield from (np.full(len(bars), np.nan) for _ in self.names)
            return
        newest = known_at_close(bars, longer) + 1
        for column in columns_of(self.feature, longer):
            yield np.concatenate([[np.nan], column])[newest]

    def _from_a_whole_bar(self, bars: Bars) -> Bars:
        groups = self.timeframe.floor(bars.open_time)
        if len(bars) == 0 or groups[0] == bars.open_time[0]:
            return bars
        return bars.slice(int(np.searchsorted(groups, groups[0], side="right")), None)
