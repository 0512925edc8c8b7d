"""What orders pay on a venue."""

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs

COSTS = Costs(taker_fee_bps=10, maker_fee_bps=2, slippage_bps=50)
CALM = (100, 101, 99, 100)


class Once(bt.Strategy):
    """Sends one order at the first bar."""

    params = (("size", 1), ("order", None))

    def nextstart(self):
        (self.buy if self.p.size > 0 else self.sell)(size=abs(self.p.size), **self.p.order)

    def next(self):
        pass


def only_fill(rows, size, **order):
    columns = dict(zip(("open", "high", "low", "close"), zip(*rows, strict=True), strict=True))
    bars = Bars.of("BTC/USDT", "1h", np.arange(len(rows)) * 3_600_000, **columns, volume=np.full(len(rows), 1e6))
    result = Backtest(Once, {"size": size, "order": order}, venue=Venue(costs=COSTS)).run(bars)
    (fill,) = result.fills
    return fill.bar, round(fill.price, 9), round(fill.fee / (abs(fill.qty) * fill.price) * 1e4, 6)


@pytest.mark.parametrize(("size", "limit", "price"), [(1, 110, 100.5), (1, 100.2, 100.2), (-1, 90, 99.5)])
def test_a_limit_order_that_the_market_is_beyond_when_it_arrives_takes(size, limit, price):
    assert only_fill([CALM, CALM], size, exectype=bt.Order.Limit, price=limit) == (1, price, 10)


def test_a_limit_order_that_rests_makes():
    rows = [CALM, CALM, (98, 98, 95, 96)]
    assert only_fill(rows, 1, exectype=bt.Order.Limit, price=99) == (1, 99, 2)
    assert only_fill(rows, 1, exectype=bt.Order.Limit, price=98.5) == (2, 98, 2)


def test_a_stop_limit_order_takes_at_its_trigger_and_makes_afterwards():
    rows = [CALM, (100, 106, 100, 105), (105, 105, 101, 102)]
    assert only_fill(rows, 1, exectype=bt.Order.StopLimit, price=104, plimit=110) == (1, 104.52, 10)
    assert only_fill(rows, 1, exectype=bt.Order.StopLimit, price=104, plimit=102) == (2, 102, 2)


def test_a_stop_order_slips_and_takes():
    assert only_fill([CALM, (103, 106, 100, 105)], 1, exectype=bt.Order.Stop, price=102) == (1, 103.515, 10)
