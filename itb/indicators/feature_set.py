"""The feature set: ordered, named columns for a model, computed alike on a whole history and on its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from itb.indicators.aggregates import Aggregates
from itb.indicators.bar_features import BarSeries, TimeOfClose
from itb.indicators.condensed_aggregates import CondensedAggregates
from itb.indicators.cross import Cross
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.depth import Depth
from itb.indicators.derivatives import Derivatives
from itb.indicators.feature import Feature, columns_of
from itb.indicators.fractional import FractionalDifference
from itb.indicators.itb_stats import ItbStats
from itb.indicators.klines import Klines
from itb.indicators.regression_condensed import RegressionCondensed
from itb.indicators.rolling_stats import RollingRatio, RollingStats
from itb.indicators.series_shape import SeriesShape
from itb.indicators.talib_features import TalibFeatures
from itb.indicators.tsfresh_features import TsfreshFeatures
from itb.market.bars import Bars, FloatArray

ModelInput = np.ndarray[tuple[int, int], np.dtype[np.float32]]

FEATURES = {
    "default": DefaultFeatures,
    "talib": TalibFeatures,
    "stats": RollingStats,
    "ratio": RollingRatio,
    "series": BarSeries,
    "time": TimeOfClose,
    "itbstats": ItbStats,
    "klines": Klines,
    "depth": Depth,
    "regression_condensed": RegressionCondensed,
    "condensed_aggregates": CondensedAggregates,
    "aggregates": Aggregates,
    "fracdiff": FractionalDifference,
    "cross": Cross,
    "derivatives": Derivatives,
    "shape": SeriesShape,
    "tsfresh": TsfreshFeatures,
}
"""The feature families by the name they have in a config."""

_FEW = 8  # rows that are picked out of the columns one by one
_GROUP, _ROWS = 32, 4096  # columns and rows turned at a time, so that a turn stays in a core's cache


@dataclass(frozen=True)
class FeatureSet:
    """Features side by side, as float32: what a model is trained on, in a batch and live.

    The first rows of each column are NaN while it warms up, so no number depends on where the history starts. Raises
    ``ValueError`` if two columns have the same name.

    >>> from itb.datafeeds.waves import sinus
    >>> features = FeatureSet((BarSeries(("log_return",)), RollingStats(("zscore",), (10,), ("close",))))
    >>> features.names, features.warmup
    (('log_return', 'close_zscore_10'), 9)
    >>> bars = sinus(bars=100)
    >>> bool((features.tail(bars, 3) == features.compute(bars)[-3:]).all())
    True
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("a feature set must hold at least one feature, was empty")
        twice = [name for name in dict.fromkeys(self.names) if self.names.count(name) > 1]
        if twice:
            raise ValueError(f"two features make the column {twice[0]!r}; give one of them a prefix, or leave it out")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(name for feature in self.features for name in feature.names)

    @cached_property
    def warmup(self) -> int:
        """How many earlier bars decide a row: the most that any column needs."""
        return max(feature.warmup for feature in self.features)

    def compute(self, bars: Bars) -> ModelInput:
        """Compute a float32 array of shape (bars, names), row by row in memory; NaN while a column warms up."""
        matrix = np.empty((len(bars), len(self.names)), dtype=np.float32)
        buffer = np.empty((min(_GROUP, len(self.names)), len(bars)), dtype=np.float32)
        done = filled = 0
        with np.errstate(over="ignore"):
            for column in self._columns(bars):
                buffer[filled] = column
                filled += 1
                if filled == len(buffer) or done + filled == len(self.names):
                    _turn(buffer[:filled], matrix[:, done : done + filled])
                    done, filled = done + filled, 0
        return matrix

    def blocks(self, bars: Bars, rows: int) -> Iterator[ModelInput]:
        """Compute the rows ``rows`` at a time, each block from its own bars and the ``warmup`` before them.

        One after the other they hold what ``compute`` gives (but for the last bit of float32), in a small part of its
        memory. Short blocks cost more: each computes ``warmup`` rows again.

        >>> from itb.datafeeds.waves import sinus
        >>> features = FeatureSet((RollingStats(("zscore",), (10,), ("close",)),))
        >>> [len(block) for block in features.blocks(sinus(bars=100), 40)]
        [40, 40, 20]
        """
        if rows < 1:
            raise ValueError(f"rows must be at least 1, was {rows}")
        for start in range(0, len(bars), rows):
            part = bars.slice(max(0, start - self.warmup), start + rows)
            yield self.compute(part)[min(start, self.warmup) :]

    def tail(self, bars: Bars, n: int = 1) -> ModelInput:
        """Compute the last ``n`` rows from the last ``warmup + n`` bars: the numbers that ``compute`` gives there."""
        if n < 1:
            raise ValueError(f"n must be at least 1 row, was {n}")
        bars = bars.tail(self.warmup + n)
        if n > _FEW:
            return self.compute(bars)[-n:]
        rows = np.empty((min(n, len(bars)), len(self.names)), dtype=np.float32)
        with np.errstate(over="ignore"):
            for place, column in enumerate(self._columns(bars)):
                rows[:, place] = column[-n:]
        return rows

    def _columns(self, bars: Bars) -> Iterator[FloatArray]:
        return chain.from_iterable(columns_of(feature, bars) for feature in self.features)


def _turn(rows: ModelInput, into: ModelInput) -> None:
    for start in range(0, len(into), _ROWS):
        into[start : start + _ROWS] = rows[:, start : start + _ROWS].T
