"""The account bar by bar: an exact replay of fills, drawdowns, days and months."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from itb.market.timeframe import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.fills import Fill


@dataclass(frozen=True, eq=False)
class Account:
    """What stood in the account at the close of every bar.

    ``cash`` and ``equity`` are in quote, ``position`` in base units. ``fee_account`` is at most 0: the worth in quote,
    when paid, of fees that left in a third currency. ``equity = cash + position x close + fee_account``.
    """

    cash: FloatArray
    position: FloatArray
    fee_account: FloatArray
    equity: FloatArray


def replay(fills: Iterable[Fill], bars: Bars, cash: float) -> Account:
    """Replay fills from ``cash`` (quote), in exact arithmetic, and say what stood at the close of every bar.

    Deliberately slow and plain, with nothing shared with the engine: sums are fractions, rounded once a fill. Fills
    must be of one symbol, in the order of time, and carry the index and open time of a bar of ``bars``; a funding fill
    must be in quote, without a quantity. Raises ``ValueError`` that names the first fill that breaks this.

    >>> from itb.market.bars import Bars
    >>> from itb.market.fills import Fill
    >>> flat = dict.fromkeys(("open", "high", "low", "close"), [100.0, 130.0]) | {"volume": [1.0, 1.0]}
    >>> bars = Bars.of("BTC/USDT", "1m", [0, 60_000], **flat)
    >>> replay([Fill(1, 60_000, 1, "BTC/USDT", 2.0, 125.0, 0.5, 0.5)], bars, cash=1_000.0).equity.tolist()
    [1000.0, 1009.5]
    """
    balance, held, owed = Fraction(cash), Fraction(0), Fraction(0)
    at, rows = [0], [(cash, 0.0, 0.0)]
    for number, fill in enumerate(fills):
        _check(fill, number, at[-1], bars)
        balance -= Fraction(fill.qty) * Fraction(fill.price)
        held += Fraction(fill.qty)
        if fill.fee_currency == "quote":
            balance -= Fraction(fill.fee)
        elif fill.fee_currency == "base":
            held -= Fraction(fill.fee)
        else:
            owed -= Fraction(fill.fee_quote)
        at.append(fill.bar)
        rows.append((float(balance), float(held), float(owed)))
    latest = np.searchsorted(at, np.arange(len(bars)), side="right") - 1
    money, position, fee_account = np.array(rows).T[:, latest]
    return Account(money, position, fee_account, money + position * bars.close + fee_account)


def _check(fill: Fill, number: int, earliest: int, bars: Bars) -> None:
    where = f"fill {number} of {fill.symbol}, bar {fill.bar}"
    if fill.symbol != bars.symbol:
        raise ValueError(f"{where}: the bars are of {bars.symbol}; replay one symbol at a time")
    if not earliest <= fill.bar < len(bars):
        raise ValueError(f"{where}: expected a bar from {earliest}, that of the fill before, to {len(bars) - 1}")
    if fill.open_time != bars.open_time[fill.bar]:
        raise ValueError(f"{where}: opens at {fill.open_time}, but that bar opens at {bars.open_time[fill.bar]}")
    if fill.reason == "funding" and (fill.qty != 0 or fill.fee_currency != "quote"):
        raise ValueError(f"{where}: funding moves quote only, was qty {fill.qty} and a fee in {fill.fee_currency}")


def drawdown(equity: FloatArray, start_cash: float) -> FloatArray:
    """Give the fraction (at most 0) by which equity is below its highest value so far, ``start_cash`` included.

    >>> drawdown(np.array([90.0, 120.0, 60.0]), start_cash=100.0).round(2).tolist()
    [-0.1, 0.0, -0.5]
    """
    peak = np.maximum.accumulate(equity)
    np.maximum(peak, start_cash, out=peak)
    return np.asarray(equity / peak - 1.0)


@dataclass(frozen=True, eq=False)
class Days:
    """Equity at the end of each UTC day, days without a bar included.

    ``day`` holds the days' midnights at their start (UTC milliseconds); ``returns`` are simple, that of the first day
    counted from ``start_cash``. Where the day before ended at 0 or below, the return is NaN.
    """

    start_cash: float
    day: IntArray
    equity: FloatArray
    returns: FloatArray


def daily(close_time: IntArray, equity: FloatArray, start_cash: float) -> Days:
    """Sample equity (one value for each bar's ``close_time``) at the end of every UTC day from the first to the last.

    A bar that closes at midnight belongs to the day that ends. The last day may be incomplete.

    >>> hour = 3_600_000
    >>> days = daily(np.array([1, 24, 60]) * hour, np.array([100.0, 110.0, 121.0]), start_cash=100.0)
    >>> days.equity.tolist(), days.returns.round(3).tolist()
    ([110.0, 110.0, 121.0], [0.1, 0.0, 0.1])
    """
    first, last = (int(close_time[i] - 1) // DAY_MS for i in (0, -1))
    day = np.arange(first, last + 1, dtype=np.int64) * DAY_MS
    ends = np.searchsorted(close_time, day + DAY_MS, side="right") - 1
    values = equity[ends]
    before = np.concatenate(([start_cash], values[:-1]))
    returns = np.full(len(values), np.nan)
    np.divide(values, before, out=returns, where=before > 0)
    return Days(start_cash, day, values, returns - 1.0)


@dataclass(frozen=True, eq=False)
class MonthlyTable:
    """Returns by year and calendar month (UTC): ``returns[i, m]`` is month ``m + 1`` of ``years[i]``.

    NaN where the run has no day; ``totals`` compounds each year. First and last months may be incomplete.
    """

    years: tuple[int, ...]
    returns: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    totals: FloatArray


def monthly(days: Days) -> MonthlyTable:
    """Compound daily equity into a table of years and months.

    >>> day = np.array(["2023-12-30", "2023-12-31", "2024-01-01"], dtype="datetime64[ms]").astype(np.int64)
    >>> table = monthly(Days(100.0, day, np.array([110.0, 121.0, 60.5]), np.array([0.1, 0.1, -0.5])))
    >>> table.years, table.returns[0, 11].round(3), table.returns[1, 0].round(3), table.totals.round(3).tolist()
    ((2023, 2024), np.float64(0.21), np.float64(-0.5), [0.21, -0.5])
    """
    month = days.day.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    last_of = np.flatnonzero(np.diff(month, append=month[-1] + 1))
    start = np.concatenate(([days.start_cash], days.equity[last_of[:-1]]))
    year, number = month[last_of] // 12 + 1970, month[last_of] % 12
    years = np.arange(year[0], year[-1] + 1)
    table = np.full((len(years), 12), np.nan)
    table[year - years[0], number] = days.equity[last_of] / start - 1.0
    totals = np.array([np.prod(1.0 + row[~np.isnan(row)]) - 1.0 for row in table])
    return MonthlyTable(tuple(years.tolist()), table, totals)
