"""One page of an exchange's bars: nothing in it is believed before it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from itb.market.bars import OHLCV, Bars, FloatArray, IntArray, first_fault, utc
from itb.market.timeframe import Timeframe

Row = Sequence[object]
Table = np.ndarray[tuple[int, int], np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Page:
    """The good bars of one answer, in order and each once, and why other rows were refused.

    ``ohlcv`` has one row per bar. ``bad`` holds one sentence per refused row.
    """

    open_time: IntArray
    ohlcv: Table
    bad: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.open_time)

    def agrees_with(self, other: Page) -> bool:
        """Whether both answers name the same bars and refuse as many rows."""
        return len(self.bad) == len(other.bad) and np.array_equal(self.open_time, other.open_time)

    def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        """Give the good bars as :class:`Bars`."""
        return Bars(symbol, timeframe, self.open_time, _columns(self.ohlcv))


def read_page(rows: Sequence[Row], timeframe: Timeframe, since_ms: int, stop_ms: int) -> Page:
    """Check rows of ``(open time in ms, open, high, low, close, volume)`` in any order.

    Rows that open at or after ``stop_ms`` are left out: they are beyond what was asked, or still running. Refused,
    with a reason: rows that are cut or have no time, that open before ``since_ms``, that :class:`Bars` would not take,
    and bars that come twice and differ.

    >>> hour = Timeframe.parse("1h")
    >>> good, half = [0, 2.0, 3.0, 1.0, 2.0, 9.0], [3_600_000, 2.0, 3.0]
    >>> page = read_page([half, good, good], hour, 0, 7_200_000)
    >>> len(page), page.bad
    (1, ('a row of 3 values where 6 were expected',))
    """
    unreadable = [reason for row in rows if (reason := _unreadable(row, since_ms))]
    readable = [[_number(value) for value in row[:6]] for row in rows if not _unreadable(row, since_ms)]
    table = np.array(readable, dtype=np.float64).reshape(-1, 6)
    times, ohlcv = table[:, 0].astype(np.int64), table[:, 1:]
    times, ohlcv = times[times < stop_ms], ohlcv[times < stop_ms]
    times, ohlcv, broken = _without_faults(times, ohlcv, timeframe)
    times, ohlcv, twice = _each_once(times, ohlcv)
    return Page(times, ohlcv, (*unreadable, *broken, *twice))


def _columns(ohlcv: Table) -> dict[str, FloatArray]:
    return {name: ohlcv[:, place] for place, name in enumerate(OHLCV)}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _unreadable(row: Row, since_ms: int) -> str | None:
    if len(row) < 6:
        return f"a row of {len(row)} values where 6 were expected"
    open_time = _number(row[0])
    if not isfinite(open_time) or open_time != int(open_time) or abs(open_time) > 1e14:
        return f"a row whose open time is {str(row[0])[:40]!r}"
    if open_time < since_ms:
        return f"bar {utc(int(open_time))} opens before {utc(since_ms)}, from which bars were asked"
    return None


def _without_faults(times: IntArray, ohlcv: Table, timeframe: Timeframe) -> tuple[IntArray, Table, list[str]]:
    reasons = []
    while fault := first_fault(timeframe, times, _columns(ohlcv)):
        reasons.append(f"bar {utc(int(times[fault.row]))} {fault.text}")
        times, ohlcv = np.delete(times, fault.row), np.delete(ohlcv, fault.row, axis=0)
    return times, ohlcv, reasons


def _each_once(times: IntArray, ohlcv: Table) -> tuple[IntArray, Table, list[str]]:
    if (np.diff(times) > 0).all():
        return times, ohlcv, []
    distinct = np.unique(np.column_stack([times.astype(np.float64), ohlcv]), axis=0)
    again, first, count = np.unique(distinct[:, 0].astype(np.int64), return_index=True, return_counts=True)
    reasons = [f"bar {utc(int(time))} comes twice with different numbers" for time in again[count > 1]]
    return again[count == 1], distinct[first[count == 1], 1:], reasons
