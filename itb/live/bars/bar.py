"""One bar on its way from the exchange to the strategy, and what there is to tell about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from itb.market.bars import OHLCV, SUMMED, Bars, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from itb.market.timeframe import Timeframe

BarKind: TypeAlias = Literal["final", "flat"]
EventKind: TypeAlias = Literal[
    "late", "revised", "missing", "flat", "refused", "duplicate", "nonsense", "disagreed", "outage", "recovered",
    "backfilled", "left_behind",
]  # fmt: skip
"""What can happen to bars:

``late``         a bar that had been given up came after all
``revised``      the exchange changed a bar after it was delivered
``missing``      a bar that never came was left out (policy ``drop``)
``flat``         a bar that never came was replaced by one at the last close (policy ``flat``)
``refused``      a bar never came and may not be left out: nothing is delivered until it does (policy ``refuse``)
``duplicate``    one answer held a bar twice
``nonsense``     a row broke the promises of a bar, or lay off the grid
``disagreed``    the stream and the request told different bars; the request counts
``outage``       the exchange does not answer
``recovered``    it answers again
``backfilled``   bars that closed while nobody could ask were fetched
``left_behind``  a timestamp was decided without this symbol, whose bar was late
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar's open time (UTC milliseconds) and its values, in the order of the source's columns (OHLCV first).

    >>> Bar(0, (1.0, 2.0, 0.5, 1.5, 7.0)).close
    1.5
    """

    open_time: int
    values: tuple[float, ...]

    @property
    def close(self) -> float:
        """Last price."""
        return self.values[3]

    def fault(self, timeframe: Timeframe) -> str:
        """Say what is wrong with it, empty if nothing is."""
        opened, high, low, closed, volume = self.values[:5]
        if timeframe.floor(self.open_time) != self.open_time:
            return f"is not on the grid of {timeframe}"
        if not all(map(math.isfinite, self.values[:5])):
            return "has no finite price or volume"
        if low <= 0 or volume < 0:
            return f"has a low of {low} and a volume of {volume}"
        return "" if low <= min(opened, closed) and high >= max(opened, closed) else "breaks low <= open, close <= high"

    def equals(self, other: Bar) -> bool:
        """Whether time and all values are the same, NaN equal to NaN."""
        return self.open_time == other.open_time and all(
            a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(self.values, other.values, strict=True)
        )

    def flat_after(self, open_time: int, columns: Sequence[str]) -> Bar:
        """Give the bar that stands for a missing one: at this close, volumes 0, other extras as they were."""
        values = [self.close if name in OHLCV else value for name, value in zip(columns, self.values, strict=True)]
        return Bar(
            open_time, tuple(0.0 if name in SUMMED else value for name, value in zip(columns, values, strict=True))
        )


@dataclass(frozen=True, slots=True)
class BarEvent:
    """Something worth knowing about a symbol's bars; ``open_time`` is the bar's, ``at`` the exchange's time."""

    kind: EventKind
    symbol: str
    open_time: int
    at: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.symbol} {utc(self.open_time)}: {self.kind}" + (f": {self.detail}" if self.detail else "")


def rows_of(bars: Bars) -> list[Bar]:
    """Give the bars one by one."""
    matrix = np.column_stack(list(bars.columns.values())).tolist() if len(bars) else []
    return [Bar(int(time), tuple(row)) for time, row in zip(bars.open_time.tolist(), matrix, strict=True)]


def bars_of(rows: Iterable[Bar], symbol: str, timeframe: Timeframe, columns: Sequence[str]) -> Bars:
    """Put bars side by side again; raise :class:`itb.errors.BarsError` for rows that are no bars, or out of order."""
    kept = list(rows)
    matrix = np.array([row.values for row in kept], dtype=np.float64).reshape(len(kept), len(columns))
    times = np.array([row.open_time for row in kept], dtype=np.int64)
    return Bars(symbol, timeframe, times, {name: matrix[:, place] for place, name in enumerate(columns)})
