"""Gaps: bars of the raster that are not there, and what to do about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from itb.errors import BarsError
from itb.market.bars import OHLCV, SUMMED, Bars, FloatArray, IntArray, utc

GapPolicy = Literal["refuse", "flat", "drop"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of missing bars: the first would open at ``start_ms``, the next one present opens at ``stop_ms``.

    >>> str(Gap(3_600_000, 10_800_000, bars=2))
    '2 bars missing from 1970-01-01 01:00 UTC to 1970-01-01 03:00 UTC'
    """

    start_ms: int
    stop_ms: int
    bars: int

    def __str__(self) -> str:
        return f"{count_of(self.bars)} missing from {utc(self.start_ms)} to {utc(self.stop_ms)}"


def count_of(bars: int) -> str:
    """Say how many bars, for people.

    >>> count_of(1), count_of(12917)
    ('1 bar', '12,917 bars')
    """
    return f"{bars:,} bar" if bars == 1 else f"{bars:,} bars"


def find_gaps(bars: Bars) -> list[Gap]:
    """List the runs of missing bars between the first and the last bar, oldest first.

    >>> hours = [0, 3_600_000, 4 * 3_600_000]
    >>> bars = Bars.of("BTC/USDT", "1h", hours, open=[1] * 3, high=[1] * 3, low=[1] * 3, close=[1] * 3, volume=[1] * 3)
    >>> find_gaps(bars)
    [Gap(start_ms=7200000, stop_ms=14400000, bars=2)]
    """
    length = bars.timeframe.ms
    steps = np.diff(bars.open_time) // length
    before = np.flatnonzero(steps > 1)
    return [Gap(int(bars.open_time[row]) + length, int(bars.open_time[row + 1]), int(steps[row]) - 1) for row in before]


def treat(bars: Bars, policy: GapPolicy) -> Bars:
    """Apply the gap policy, which every run writes down; prices are never interpolated.

    ``refuse`` raises :class:`itb.errors.BarsError` if a bar is missing. ``drop`` leaves missing bars out: the bars
    before and after a gap become neighbours. ``flat`` puts a bar at the last close, with volume 0, in place of each
    missing one; of the extras, those that add up (``quote_volume``, ``trades``, ``taker_buy_base``) are 0 there and
    the others keep their last value. A flat bar holds only what was known when it closed.

    >>> hours = [0, 2 * 3_600_000]
    >>> bars = Bars.of("BTC/USDT", "1h", hours, open=[1, 5], high=[3, 5], low=[1, 4], close=[2, 4], volume=[7, 8])
    >>> flat = treat(bars, "flat")
    >>> flat.close.tolist(), flat.high.tolist(), flat.volume.tolist()
    ([2.0, 2.0, 4.0], [3.0, 2.0, 5.0], [7.0, 0.0, 8.0])
    """
    if policy not in get_args(GapPolicy):
        raise ValueError(f'gap policy must be "refuse", "flat" or "drop", was {policy!r}')
    if bars.missing == 0 or policy == "drop":
        return bars
    if policy == "refuse":
        first = find_gaps(bars)[0].start_ms
        raise BarsError(
            f"{bars.label}: {count_of(bars.missing)} missing, first {utc(first)}. Run "
            f'`itb data download --repair` or set data.gaps = "flat" or "drop".'
        )
    return _fill(bars)


def _fill(bars: Bars) -> Bars:
    raster: IntArray = np.arange(bars.open_time[0], bars.open_time[-1] + 1, bars.timeframe.ms, dtype=np.int64)
    last = np.searchsorted(bars.open_time, raster, side="right") - 1
    is_missing = bars.open_time[last] != raster

    def filled(name: str) -> FloatArray:
        values = bars["close" if name in OHLCV else name][last]
        if name in SUMMED:
            values[is_missing] = 0.0
        if name in OHLCV:
            values[~is_missing] = bars[name]
        return values

    return Bars(bars.symbol, bars.timeframe, raster, {name: filled(name) for name in bars.columns})
