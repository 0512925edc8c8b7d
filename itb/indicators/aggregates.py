"""FollowUpward's aggregates: returns of six time scales, ten steps back, and the shape of the last ten bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily
from itb.indicators.rolling import rolling_sum
from itb.indicators.rolling_lags import lagged
from itb.market.bars import Bars, FloatArray

_SPANS = (1, 5, 15, 60, 240, 1440)
_STEPS = 10
_VOLUME_BASE = 1440
_NO_VOLUME = 1e-6
_PER_MILLE = 1000


@dataclass(frozen=True)
class Aggregates(ColumnFamily):
    """FollowUpward's F1agg110, 110 columns for bars of one minute.

    For spans of 1, 5, 15, 60, 240 and 1440 bars and k from 0 to 9, ``<span>T_<k>_D`` is the return over the span that
    ended ``k`` spans ago. For single bars also, k bars ago: ``H``, ``T`` and ``B``, the whole range, the upper and the
    lower shadow in per mille of the close, ``V``, the volume over its mean of 1440 bars less 1 (1e-6 without any), and
    ``DV``, the return times V. Spans count bars. NaN in the first rows.

    >>> Aggregates().names[:7], len(Aggregates().names), Aggregates().warmup
    (('1T_0_D', '1T_0_H', '1T_0_T', '1T_0_B', '1T_0_V', '1T_0_DV', '1T_1_D'), 110, 14400)
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(
            f"{span}T_{k}_{kind}"
            for span in _SPANS
            for k in range(_STEPS)
            for kind in (("D", "H", "T", "B", "V", "DV") if span == 1 else ("D",))
        )

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(_SPANS) * _STEPS

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        shapes = _shapes(bars)
        for span in _SPANS:
            change = bars.close / lagged(bars.close, span) - 1
            kinds = [change, *shapes, shapes[-1] * change] if span == 1 else [change]
            for k in range(_STEPS):
                yield from (lagged(values, k * span) for values in kinds)


def _shapes(bars: Bars) -> list[FloatArray]:
    upper, lower = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    usual = rolling_sum(bars.volume, _VOLUME_BASE) / _VOLUME_BASE
    excess = np.divide(bars.volume, usual, out=np.full(len(bars), 1 + _NO_VOLUME), where=usual != 0) - 1
    excess[usual == 0] = _NO_VOLUME
    per_mille = _PER_MILLE / bars.close
    heights = [bars.high - bars.low, bars.high - upper, lower - bars.low]
    return [*(height * per_mille for height in heights), excess]
