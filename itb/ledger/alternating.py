"""Buys and sales in turn, from flags alone: a quick look at what a rule earns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from itb.market.bars import Bars, FloatArray, IntArray
from itb.market.costs import Costs

Direction = Literal["long", "short", "both"]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]

_MONTH_MS = 365 / 12 * 86_400_000


@dataclass(frozen=True)
class Deals:
    """Rows and prices of purchases and sales that take turns, a purchase first; all arrays are ordered in time.

    There are as many purchases as sales, or one more: ``is_holding``.
    """

    buy_rows: IntArray
    sell_rows: IntArray
    buy_prices: FloatArray
    sell_prices: FloatArray

    @property
    def is_holding(self) -> bool:
        """Whether the last purchase has not been sold."""
        return len(self.buy_rows) > len(self.sell_rows)


@dataclass(frozen=True)
class SidePerformance:
    """What the deals of one side (or of both) earned, one unit of the base currency at a time, nothing compounded.

    ``profit`` is in quote, ``profit_percent`` the sum of percentages of the prices at which positions began. What is
    divided by nothing is 0. ``months`` are of 365/12 days; figures per month need them above 0.
    """

    transactions: int
    profit: float
    profit_percent: float
    profitable: int
    months: float

    @property
    def profitable_percent(self) -> float:
        """Share of transactions that earned more than nothing, in percent."""
        return _share(100 * self.profitable, self.transactions)

    @property
    def profit_per_transaction(self) -> float:
        """Quote a transaction."""
        return _share(self.profit, self.transactions)

    @property
    def profit_percent_per_transaction(self) -> float:
        """Percent a transaction."""
        return _share(self.profit_percent, self.transactions)

    @property
    def transactions_per_month(self) -> float:
        """Transactions a month."""
        return _share(self.transactions, self.months)

    @property
    def profit_per_month(self) -> float:
        """Quote a month."""
        return _share(self.profit, self.months)

    @property
    def profit_percent_per_month(self) -> float:
        """Percent a month: what intelligent-trading-bot ranks by."""
        return _share(self.profit_percent, self.months)


@dataclass(frozen=True)
class Performance:
    """Both sides of alternating deals: long from a purchase to the sale after it, short from a sale to the purchase."""

    long: SidePerformance
    short: SidePerformance
    both: SidePerformance = field(init=False)

    def __post_init__(self) -> None:
        one, other = self.long, self.short
        both = SidePerformance(
            one.transactions + other.transactions,
            one.profit + other.profit,
            one.profit_percent + other.profit_percent,
            one.profitable + other.profitable,
            one.months,
        )
        object.__setattr__(self, "both", both)

    def of(self, direction: Direction) -> SidePerformance:
        """Give one side, or both together."""
        return {"long": self.long, "short": self.short, "both": self.both}[direction]


def alternate(buys: Flags, sells: Flags, prices: FloatArray) -> Deals:
    """Buy at the first flag to buy, sell at the first flag to sell after it, and so on; one deal a row at most.

    Rows whose price is NaN or 0 are passed over. Where both flags are up, the one whose turn it is counts.

    >>> buys, sells = np.array([True, True, False, True]), np.array([True, False, True, False])
    >>> deals = alternate(buys, sells, np.array([10.0, 11.0, 12.0, 13.0]))
    >>> deals.buy_rows.tolist(), deals.sell_rows.tolist(), deals.is_holding
    ([0, 3], [2], True)
    """
    if not len(buys) == len(sells) == len(prices):
        raise ValueError(f"flags and prices must be as long, were {len(buys)}, {len(sells)} and {len(prices)} rows")
    priced = ~np.isnan(prices) & (prices != 0)
    rows = np.flatnonzero((buys | sells) & priced)
    is_buy, is_either = buys[rows], buys[rows] & sells[rows]
    turns = np.cumsum(is_either)  # a row with both flags ends what is, whatever it is
    settled = np.maximum.accumulate(np.where(is_either, -1, np.arange(len(rows))))
    since = np.where(settled < 0, turns, turns - turns[settled])
    holds = ((settled >= 0) & is_buy[settled]) ^ (since % 2 == 1)
    deals = rows[np.diff(holds, prepend=False)]
    buy_rows, sell_rows = deals[0::2], deals[1::2]
    return Deals(buy_rows, sell_rows, prices[buy_rows], prices[sell_rows])


def performance(deals: Deals, costs: Costs, months: float = 0.0) -> Performance:
    """Count what alternating deals earned after fees and slippage: a sale less the purchase it ends, and the reverse.

    A position that is still held at the end counts as no transaction.

    >>> deals = alternate(np.array([True, False, True]), np.array([False, True, False]), np.array([100.0, 110.0, 99.0]))
    >>> earned = performance(deals, Costs(taker_fee_bps=0, slippage_bps=0))
    >>> earned.long.profit, earned.short.profit, earned.both.profit_percent
    (10.0, 11.0, 20.0)
    """
    slippage, fee = costs.slippage(), costs.taker_fee
    paid = deals.buy_prices * (1 + slippage) * (1 + fee)
    got = deals.sell_prices * (1 - slippage) * (1 - fee)
    sold, again = len(got), len(paid) - 1
    return Performance(
        side_performance(got - paid[:sold], deals.buy_prices[:sold], months),
        side_performance(got[: max(again, 0)] - paid[1:], deals.sell_prices[: max(again, 0)], months),
    )


def side_performance(profits: FloatArray, bases: FloatArray, months: float) -> SidePerformance:
    """Sum up profits, each related to the price of its base."""
    percents = 100 * profits / bases
    return SidePerformance(len(profits), float(profits.sum()), float(percents.sum()), int((profits > 0).sum()), months)


def fill_prices(bars: Bars, fill: Literal["next_open", "close"] = "next_open") -> FloatArray:
    """Give the price at which a flag of each bar is filled: the next bar's open (NaN for the last), or its own close.

    The close is known only when it can no longer be traded: intelligent-trading-bot fills there all the same.
    """
    if fill == "close":
        return bars.close
    if fill != "next_open":
        raise ValueError(f'fill must be "next_open" or "close", was {fill!r}')
    return np.append(bars.open[1:], np.nan)


def months_of(bars: Bars) -> float:
    """Give the length of bars in months of 365/12 days, first open to last open.

    >>> flat = dict.fromkeys(("open", "high", "low", "close", "volume"), [1.0, 1.0])
    >>> months_of(Bars.of("BTC/USDT", "1d", [0, 365 * 86_400_000], **flat))
    12.0
    """
    return float(bars.open_time[-1] - bars.open_time[0]) / _MONTH_MS if len(bars) else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
