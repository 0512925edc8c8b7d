"""FollowUpward's condensed regression features: price, gain, chance and risk of lines through the closes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily
from itb.indicators.rolling_lags import Line, lagged
from itb.indicators.volume_ratio import volume_ratio
from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class Regression:
    """A line through ``window`` closes that ends ``offset`` bars ago; ``with_spread`` adds chance and risk."""

    label: str
    window: int
    offset: int = 0
    with_spread: bool = True

    def names(self, *, normalised: bool) -> tuple[str, ...]:
        """Name the columns: price (unless normalised), gain, and chance and risk if asked for."""
        kinds = [*([] if normalised else ["price"]), "gain", *(["chance", "risk"] if self.with_spread else [])]
        return tuple(kind + self.label for kind in kinds)

    def columns(self, close: FloatArray, *, normalised: bool) -> Iterator[FloatArray]:
        """Compute the columns in the order of ``names``."""
        line = Line.of(close, self.window)
        scale = 1 / close if normalised else np.ones(len(close))
        if not normalised:
            yield lagged(line.end, self.offset)
        yield lagged(line.slope * _BARS_PER_HOUR, self.offset) * scale
        if self.with_spread:
            above, below = line.spread(close)
            height = close - line.end
            yield lagged(2 * above - height, self.offset) * scale
            yield lagged(2 * below + height, self.offset) * scale


_BARS_PER_HOUR = 60
_REGRESSIONS = (
    Regression("5m_0", 5, with_spread=False),
    Regression("5m_5", 5, offset=5, with_spread=False),
    Regression("30m", 30),
    Regression("4h", 240),
    Regression("12h", 720),
    Regression("10d", 14_400, with_spread=False),
)
_VOLUMES = {"vol5m1h": (5, 60), "vol5m12h": (5, 720)}


@dataclass(frozen=True)
class RegressionCondensed(ColumnFamily):
    """FollowUpward's F2cond20, or with ``normalised`` its F3cond14: meant for bars of one minute.

    Least-squares lines through the last 5 closes, the 5 before them, and the last 30, 240, 720 and 14,400. Of each,
    ``price`` is the line's end and ``gain`` its rise per 60 bars. For 30, 240 and 720 bars, with SDA the root mean
    square distance *from the mean* (not from the line) of the closes above the line, SDB of those below it, and
    ``height`` how far the close lies above the line's end: ``chance = 2 SDA - height``, ``risk = 2 SDB + height``.
    ``vol5m1h`` and ``vol5m12h`` are the mean volume of 5 bars over that of 60 and 720 bars, 0 without volume.
    ``normalised`` divides by the present close and leaves the prices out.

    Windows count bars. NaN in the first rows.

    >>> RegressionCondensed(normalised=True).names[:4], len(RegressionCondensed().names), RegressionCondensed().warmup
    (('gain5m_0', 'gain5m_5', 'gain30m', 'chance30m'), 20, 14399)
    """

    normalised: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        lines = (name for one in _REGRESSIONS for name in one.names(normalised=self.normalised))
        return (*lines, *_VOLUMES)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(one.window + one.offset for one in _REGRESSIONS) - 1

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for one in _REGRESSIONS:
            yield from one.columns(bars.close, normalised=self.normalised)
        for short, long in _VOLUMES.values():
            yield volume_ratio(bars.volume, short, long, otherwise=0.0)
