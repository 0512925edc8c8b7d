"""The number that intelligent-trading-bot ranks its rules by, for comparison only: it is no profit."""

from __future__ import annotations

import numpy as np

from itb.ledger.alternating import Deals, Performance, SidePerformance, side_performance
from itb.market.bars import FloatArray


def legacy_performance(deals: Deals, months: float = 0.0) -> Performance:
    """Compute intelligent-trading-bot's performance of alternating deals as that program prints it.

    Its "long" profit of a sale is the sale's price less the *previous sale's*, its "short" profit of a purchase the
    previous purchase's price less this one's, both in percent of that previous price; the first of each side counts as
    a transaction without profit. So the sums telescope: only the first and the last price matter, whatever was paid
    or got between them. There are no fees. :func:`itb.ledger.alternating.performance` says what was earned.

    >>> flags = np.array([True, False] * 2)
    >>> from itb.ledger.alternating import alternate
    >>> deals = alternate(flags, ~flags, np.array([100.0, 110.0, 90.0, 99.0]))
    >>> legacy_performance(deals).long.profit
    -11.0
    """
    return Performance(_against_previous(deals.sell_prices, 1, months), _against_previous(deals.buy_prices, -1, months))


def legacy_profitable_percent(both: SidePerformance) -> float:
    """Give the original's share of profitable transactions of both sides, which it divides by their count twice."""
    return both.profitable_percent / both.transactions if both.transactions else 0.0


def _against_previous(prices: FloatArray, sign: int, months: float) -> SidePerformance:
    previous = np.concatenate([prices[:1], prices[:-1]])
    return side_performance(sign * (prices - previous), previous, months)
