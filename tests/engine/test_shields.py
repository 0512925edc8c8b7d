"""Protective legs cover the position that stands, close it, and never open another."""

from decimal import Decimal

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest, run_scenarios
from itb.engine.orders import Protection
from itb.engine.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument

FREE = Costs(0, 0, slippage_bps=0)


class Scripted(bt.Strategy):
    """Sends the orders of a script: bar -> (signed size, keywords)."""

    params = (("script", None),)

    def next(self):
        for size, more in self.p.script.get(len(self.data) - 1, []):
            (self.buy if size > 0 else self.sell)(size=abs(size), **more)


def bars_of(rows):
    columns = dict(zip(("open", "high", "low", "close"), zip(*rows, strict=True), strict=True))
    return Bars.of("BTC/USDT", "1h", np.arange(len(rows)) * 3_600_000, **columns, volume=np.full(len(rows), 1e6))


def run(rows, script, venue=None, **kwargs):
    test = Backtest(Scripted, {"script": script}, venue=Venue(costs=FREE) if venue is None else venue, **kwargs)
    return test.run(bars_of(rows))


def fills_of(result):
    return [(fill.bar, fill.qty, round(fill.price, 6), fill.reason) for fill in result.fills]


CALM, CRASH = (100, 101, 99, 100), (100, 100, 90, 95)
STOP = {"protect": Protection(stop_loss=0.05)}


@pytest.mark.parametrize("stepping", ["auto", "plain"])
@pytest.mark.parametrize("change", [1, -1])
def test_legs_follow_a_position_that_another_order_makes_larger_or_smaller(change, stepping):
    result = run([CALM] * 4 + [CRASH] * 2, {0: [(2, STOP)], 1: [(change, {})]}, stepping=stepping)
    assert fills_of(result)[2:] == [(4, -2 - change, 95, "stop")]
    assert result.position[-1] == 0


def test_a_short_that_is_partly_bought_back_is_not_turned_by_its_stop():
    rows = [CALM] * 3 + [(100, 110, 100, 105)] * 2
    result = run(rows, {0: [(-2, STOP)], 1: [(1, {})]})
    assert fills_of(result)[2:] == [(3, 1, 105, "stop")]
    assert result.position[-1] == 0


def test_legs_end_with_a_position_of_which_only_dust_is_left():
    rules = Instrument("BTC/USDT", step=Decimal("0.01"), min_qty=Decimal("0.01"))
    venue = Venue(costs=Costs(10, 10, "base", slippage_bps=0), instrument=rules)
    result = run([CALM] * 4 + [CRASH] * 2, {0: [(2, STOP)], 1: [(-1.998, {})]}, venue)
    assert fills_of(result) == [(1, 2, 100, "user"), (2, -1.99, 100, "user")]
    assert result.position[-1] == pytest.approx(0.008)


def test_an_entry_that_cannot_be_paid_leaves_the_protection_as_it_is():
    result = run([CALM] * 4 + [CRASH], {0: [(2, STOP)], 1: [(1000, STOP)]})
    assert fills_of(result) == [(1, 2, 100, "user"), (4, -2, 95, "stop")]
    assert len(result.rejected) == 1


def test_a_protected_order_that_only_reduces_is_no_entry():
    result = run([CALM] * 4 + [CRASH], {0: [(2, STOP)], 1: [(-1, {"protect": Protection(take_profit=0.001)})]})
    assert fills_of(result)[2:] == [(4, -1, 95, "stop")]


def test_a_target_touched_before_a_limit_entry_may_have_filled_is_an_open_question():
    limit = {"exectype": bt.Order.Limit, "price": 96, "protect": Protection(take_profit=0.08)}
    test = Backtest(Scripted, {"script": {0: [(1, limit)]}}, venue=Venue(costs=FREE))
    scenarios = run_scenarios(test, bars_of([CALM, (100, 105, 95, 97), CALM]))
    assert fills_of(scenarios.headline) == [(1, 1, 96, "user")]
    assert scenarios.unsettled == 1
    assert scenarios.other is not None
    assert fills_of(scenarios.other) == [(1, 1, 96, "user"), (1, -1, 103.68, "target")]


@pytest.mark.parametrize(("late", "unknown"), [(True, 1), (False, 0)])
def test_a_target_touched_before_a_delayed_entry_is_an_open_question_too(late, unknown):
    prices = np.array([100.0, 98.0])
    venue = Venue(costs=FREE, buy_price=prices, sell_price=prices, fills_late=late)
    result = run([CALM, (100, 105, 95, 97)], {0: [(1, {"protect": Protection(take_profit=0.05)})]}, venue)
    assert len(result.ambiguous) == unknown
    assert len(result.fills) == 2 - unknown


def test_a_target_below_the_close_was_touched_after_a_limit_entry():
    limit = {"exectype": bt.Order.Limit, "price": 96, "protect": Protection(take_profit=0.08)}
    result = run([CALM, (100, 105, 95, 104)], {0: [(1, limit)]})
    assert fills_of(result) == [(1, 1, 96, "user"), (1, -1, 103.68, "target")]
    assert not result.ambiguous


def test_a_limit_entry_that_fills_at_the_open_sees_the_whole_bar():
    limit = {"exectype": bt.Order.Limit, "price": 101, "protect": Protection(take_profit=0.03)}
    result = run([CALM, (100, 105, 99, 100)], {0: [(1, limit)]})
    assert fills_of(result) == [(1, 1, 100, "user"), (1, -1, 103, "target")]


def test_a_short_needs_equity_of_its_own_worth():
    result = run([CALM] * 3, {0: [(-101, {})], 1: [(-99, {})]})
    assert fills_of(result) == [(2, -99, 100, "user")]
    assert "at 1x" in result.rejected[0].why


def test_a_buy_that_covers_a_short_and_cannot_pay_for_more_keeps_its_money_straight():
    from itb.ledger.equity import replay

    result = run([CALM] * 4, {0: [(-1, {})], 1: [(500, {})]}, Venue(costs=Costs(10, 10, "base", slippage_bps=0)))
    assert result.position[-1] == 0
    np.testing.assert_allclose(replay(result.fills, result.bars, 10_000.0).equity, result.equity, rtol=1e-12)
