"""The peak or dip ahead (targets with gains of FollowUpward)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import NEVER, LabelColumn, check_alias
from itb.mlmodels.labels.first_hit import check_moves, moves
from itb.mlmodels.labels.peak_dip_search import PeakDipSearch
from itb.mlmodels.labels.trade_classes import BUY, HOLD, SELL, classes_of, seen_as

if TYPE_CHECKING:
    from itb.market.bars import Bars, BoolArray, FloatArray, IntArray

_GIVEN_UP_AFTER = 20  # windows: what is not settled by then counts as never known


@dataclass(frozen=True)
class PeakDip:
    """0 hold, 1 buy, 2 sell: whether the peak (or dip) ahead of a rising (or falling) close is far enough away.

    The later target of FollowUpward (``Target10up5low30min``, ``Gain10up5low30min``), with its numbers. Every run of
    rising closes ends in a peak, every run of falling ones in a dip. From a bar whose next close is higher the first
    peak of those ahead is looked at that lies within ``window`` bars and that the end of its own run does not exceed;
    if that is more than ``up`` above, the bar is a buy, and the dips from there on no longer count for earlier bars.
    The mirror image makes a sell.

    A hindsight label: because buys and sells take peaks and dips from earlier bars, no horizon bounds what a value
    depends on. Once every ``window`` bars (by the clock, so that it is the same wherever a history starts) those bars
    become known that no later price can change. Bars that are still open 20 windows later, and when their own run has
    ended, are left unknown for ever: few in a market, all of them where prices repeat exactly.

    Parameters
    ----------
    up, low
        How far away the peak and the dip must be: fractions of the close, both positive.
    window
        How many bars ahead a peak or dip may be, unless the price moves there without a turn.
    view
        ``"classes"`` gives all three; ``"buy"`` and ``"sell"`` give 1 for that class and 0 for the others; ``"gain"``
        gives the way to the peak or dip as a fraction of the close.

    >>> from itb.datafeeds.waves import sinus
    >>> column = PeakDip(window=10)(sinus(bars=720))
    >>> column.values[[0, 100, 200, 300]].tolist(), PeakDip().name, PeakDip(view="gain").name
    ([1.0, 2.0, 2.0, 1.0], 'peak_dip_10up5low30', 'peak_dip_10up5low30_gain')
    """

    up: float = 0.01
    low: float = 0.005
    window: int = 30
    view: Literal["classes", "buy", "sell", "gain"] = "classes"
    alias: str = ""

    def __post_init__(self) -> None:
        check_moves(self.up, self.low)
        if self.window < 1:
            raise ValueError(f"window must be at least 1 bar, was {self.window}")
        if self.view not in {"classes", "buy", "sell", "gain"}:
            raise ValueError(f'view must be "classes", "buy", "sell" or "gain", was {self.view!r}')
        check_alias(self.alias)

    @property
    def name(self) -> str:
        suffix = "" if self.view == "classes" else f"_{self.view}"
        return self.alias or f"peak_dip_{moves(self.up, self.low)}{self.window}{suffix}"

    @property
    def horizon(self) -> int:
        """At least so many later bars decide a value: how many there are differs from bar to bar."""
        return 1

    @property
    def is_binary(self) -> bool:
        return self.view in {"buy", "sell"}

    @property
    def classes(self) -> tuple[float, ...]:
        """The values there are; none listed for gains."""
        return () if self.view == "gain" else classes_of(self.view)

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        classes, gains = peaks_and_dips(bars.close, self.up, self.low, self.window)
        values = gains if self.view == "gain" else seen_as(classes, self.view)
        looks = bars.open_time // bars.timeframe.ms % self.window == 0
        known_at = self._known_at(bars.close.tolist(), looks)
        return LabelColumn(np.where(known_at == NEVER, np.nan, values), known_at)

    def _known_at(self, close: list[float], looks: BoolArray) -> IntArray:
        known_at = np.full(len(close), NEVER, dtype=np.int64)
        runs = _run_starts(close)
        oldest = 0  # bars before it are known, or given up
        for now in np.flatnonzero(looks).tolist():
            search = PeakDipSearch(close, self.up, self.low, self.window, open_after=now)
            first = search.start(runs)
            for bar in range(first, oldest - 1, -1):
                if len(search.look(bar)) == 1 and known_at[bar] == NEVER:
                    known_at[bar] = now
            oldest = max(oldest, min(first + 1, now - _GIVEN_UP_AFTER * self.window))
            while oldest < now and known_at[oldest] != NEVER:
                oldest += 1
        return known_at


def peaks_and_dips(close: FloatArray, up: float, low: float, window: int) -> tuple[FloatArray, FloatArray]:
    """Give class and gain of every close, as if no further close ever came; the last is hold and 0."""
    prices = close.tolist()
    search = PeakDipSearch(prices, up, low, window)
    classes, gains = np.full(len(close), HOLD), np.zeros(len(close))
    for bar in range(len(prices) - 2, -1, -1):
        gains[bar] = gain = prices[search.look(bar)[0]] / prices[bar] - 1
        if search.run == 0 and gain < -low:
            classes[bar] = SELL
        elif search.run == 1 and gain > up:
            classes[bar] = BUY
    return classes, gains


def _run_starts(close: list[float]) -> list[int]:
    """Give for each bar the first one of its run: bars whose next close is higher, or bars whose next one is not."""
    starts: list[int] = []
    before = None
    for bar, (now, later) in enumerate(pairwise(close)):
        rises = later / now - 1 > 0
        starts.append(bar if rises != before else starts[-1])
        before = rises
    return starts
