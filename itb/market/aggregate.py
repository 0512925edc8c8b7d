"""Coarser bars from finer ones, without a glance at what has not closed yet."""

from __future__ import annotations

import numpy as np

from itb.market.bars import SUMMED, Bars, FloatArray, IntArray
from itb.market.timeframe import Timeframe

_EXACT_BELOW = 2.0**53  # whole numbers above are not all float64
_DECIMALS = range(9)  # fewest first: a large number has room for no more than it needs


def aggregate(bars: Bars, timeframe: Timeframe | str) -> Bars:
    """Build the bars of a coarser timeframe.

    The last coarse bar is given only once its last finer bar is there: a running bar is never seen. Within the data a
    coarse bar exists if any of its finer bars does, so the first one may begin late. Open is the first open, close the
    last close; volume, ``quote_volume``, ``trades`` and ``taker_buy_base`` add up, other extras keep their last value.

    Sums of decimals are exact: where a group's numbers have at most 8 decimals and fit 2^53 in their smallest unit,
    they are added as whole numbers, so that four 15m volumes give the very float64 that the exchange's 1h volume is
    (a plain sum differs in the last bit in a third of all bars). Later bars change no earlier coarse bar. Raises
    ``ValueError`` if bars of ``timeframe`` are not made of whole finer bars.

    >>> quarter = 900_000
    >>> bars = Bars.of(
    ...     "BTC/USDT", "15m", [0, quarter, 2 * quarter, 3 * quarter, 4 * quarter], open=[1, 2, 3, 4, 5],
    ...     high=[2, 9, 4, 5, 6], low=[1, 2, 3, 4, 5], close=[2, 3, 4, 5, 6], volume=[0.1, 0.1, 0.1, 0.3, 1],
    ... )
    >>> hour = aggregate(bars, "1h")
    >>> hour.open_time.tolist(), hour.high.tolist(), hour.close.tolist(), hour.volume.tolist()
    ([0], [9.0], [5.0], [0.6])
    """
    coarse = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
    if not coarse.is_multiple_of(bars.timeframe):
        raise ValueError(f"{bars.label}: bars of {coarse} are not made of whole bars of {bars.timeframe}")
    groups = coarse.floor(bars.open_time)
    if len(bars) and groups[-1] + coarse.ms != bars.close_time[-1]:
        bars = bars.slice(0, int(np.searchsorted(groups, groups[-1])))
        groups = groups[: len(bars)]
    if coarse == bars.timeframe:
        return bars
    if len(bars) == 0:
        return Bars(bars.symbol, coarse, bars.open_time, bars.columns)
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1)).astype(np.int64)
    ends = np.append(starts[1:], len(bars)) - 1
    columns = {name: _sums(values, starts) if name in SUMMED else values[ends] for name, values in bars.columns.items()}
    columns["open"] = bars.open[starts]
    columns["high"] = np.maximum.reduceat(bars.high, starts)
    columns["low"] = np.minimum.reduceat(bars.low, starts)
    return Bars(bars.symbol, coarse, groups[starts], columns)


def known_at_close(finer: Bars, coarser: Bars) -> IntArray:
    """Say for each finer bar which coarser bar is the newest that has closed when it closes.

    Gives positions in ``coarser``, -1 where none has closed yet: ``coarser.close[known_at_close(finer, coarser)]`` is
    what a decision at the close of each finer bar may use.

    >>> def flat(timeframe, times):
    ...     return Bars.of("A/B", timeframe, times, **dict.fromkeys(OHLCV, [1] * len(times)))
    >>> from itb.market.bars import OHLCV
    >>> half_hours = flat("30m", [0, 1_800_000, 3_600_000, 5_400_000])
    >>> known_at_close(half_hours, flat("1h", [0, 3_600_000])).tolist()
    [-1, 0, 0, 1]
    """
    return np.searchsorted(coarser.close_time, finer.close_time, side="right").astype(np.int64) - 1


def _sums(values: FloatArray, starts: IntArray) -> FloatArray:
    sums = np.add.reduceat(values, starts)
    is_open = np.isfinite(sums)
    for decimals in _DECIMALS:
        if not is_open.any():
            break
        unit = 10.0**decimals
        with np.errstate(over="ignore"):
            scaled = values * unit
        whole = np.rint(scaled)
        is_whole = (whole / unit == values) & (np.abs(scaled) < _EXACT_BELOW)
        total = np.add.reduceat(np.where(is_whole, whole, 0.0), starts)
        is_exact = is_open & np.logical_and.reduceat(is_whole, starts) & (np.abs(total) < _EXACT_BELOW)
        sums[is_exact] = total[is_exact] / unit
        is_open &= ~is_exact
    return sums
