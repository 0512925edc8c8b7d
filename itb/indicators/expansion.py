"""Features made of features: with a prefix before their names, some bars ago, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from itb.indicators.feature import ColumnFamily, Feature, columns_of, require
from itb.indicators.rolling_lags import lagged
from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class Named(ColumnFamily):
    """The columns of a feature under names that begin with ``prefix`` and an underscore.

    >>> from itb.indicators.bar_features import BarSeries
    >>> Named(BarSeries(("range",)), "spot").names
    ('spot_range',)
    """

    feature: Feature
    prefix: str

    def __post_init__(self) -> None:
        if not self.prefix:
            raise ValueError("prefix must be a name, was empty")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f"{self.prefix}_{name}" for name in self.feature.names)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return self.feature.warmup

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        return columns_of(self.feature, bars)


@dataclass(frozen=True)
class Shifted(ColumnFamily):
    """Every column of a feature as it was ``shifts`` bars ago: named ``<name>_shift_<bars>``, 0 as it is.

    >>> from itb.indicators.bar_features import BarSeries
    >>> Shifted(BarSeries(("range", "body")), (0, 2)).names
    ('range', 'range_shift_2', 'body', 'body_shift_2')
    """

    feature: Feature
    shifts: tuple[int, ...]

    def __post_init__(self) -> None:
        require("shifts", self.shifts)
        if min(self.shifts) < 0:
            raise ValueError(f"shifts must be 0 or more bars ago (-1 would look ahead), was {min(self.shifts)}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f"{name}_shift_{shift}" if shift else name for name in self.feature.names for shift in self.shifts)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return self.feature.warmup + max(self.shifts)

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for column in columns_of(self.feature, bars):
            yield from (lagged(column, shift) for shift in self.shifts)


@dataclass(frozen=True)
class SideBySide(ColumnFamily):
    """Several features as one.

    >>> from itb.indicators.bar_features import BarSeries
    >>> SideBySide((BarSeries(("range",)), BarSeries(("body",), (1,)))).names
    ('range', 'body_lag_1')
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        require("features", self.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(name for feature in self.features for name in feature.names)

    @cached_property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(feature.warmup for feature in self.features)

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        return chain.from_iterable(columns_of(feature, bars) for feature in self.features)
