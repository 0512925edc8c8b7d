"""Which bars can end a protected position, whatever entered it: the others need not be shown to vectorbt.

A level ``x`` below an entry's price is touched for the first time in a bar whose low is the lowest since the entry. So
the entry lies after the last earlier bar with a low as low, and the bar is of interest only if it is far enough below
the highest price at which a position could have been entered since then. Likewise above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import Bars, BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Reach:
    """How far each bar reaches from the opens that precede it.

    ``fall`` is the bar's low as a fraction of the highest open since (not in) the last bar with a low as low or lower,
    ``rise`` its high as a fraction of the lowest open since the last bar with a high as high or higher.
    """

    fall: FloatArray
    rise: FloatArray

    @classmethod
    def of(cls, bars: Bars) -> Reach:
        """Compute both in one pass over the bars.

        >>> from itb.market.bars import Bars
        >>> bars = Bars.of(
        ...     "BTC/USDT", "1m", [0, 60_000, 120_000], open=[100, 104, 102], high=[104, 104, 103],
        ...     low=[96, 101, 78], close=[104, 102, 80], volume=[1, 1, 1],
        ... )  # fmt: skip
        >>> reach = Reach.of(bars)
        >>> reach.fall.round(3).tolist(), reach.rise.round(3).tolist()
        ([0.96, 0.971, 0.75], [1.04, 1.0, 1.01])
        """
        highest = _since_lower(bars.low, bars.open)
        lowest = -_since_lower(-bars.high, -bars.open)
        return cls(bars.low / highest, bars.high / lowest)

    def touched(self, stop: float, target: float, *, allow_short: bool, slippage: float, slack: float) -> BoolArray:
        """Flag every bar that may touch a stop or target (fractions of the fill price, 0 for none), and few others.

        ``slack`` is how far, as a fraction, rounding may move a level.
        """
        below = [1 - stop] if stop else []
        above = [1 + target] if target else []
        if allow_short:
            below += [1 - target] if target else []
            above += [1 + stop] if stop else []
        deepest = max(below, default=0.0) * (1 + slippage) + slack
        nearest = min(above, default=np.inf) * (1 - slippage) - slack
        found: BoolArray = self.fall <= deepest if below else self.rise >= nearest
        return found | (self.rise >= nearest) if below and above else found


def _since_lower(levels: FloatArray, values: FloatArray) -> FloatArray:
    """Give the largest of ``values`` since (not at) the last earlier row whose level is not above the row's own."""
    found = np.empty(len(levels))
    heights: list[float] = []
    maxima: list[float] = []
    for row, (level, value) in enumerate(zip(levels.tolist(), values.tolist(), strict=True)):
        largest = value
        while heights and heights[-1] > level:
            heights.pop()
            largest = max(largest, maxima.pop())
        heights.append(level)
        maxima.append(largest)
        found[row] = largest
    return found
