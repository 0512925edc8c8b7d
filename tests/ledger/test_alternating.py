import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.ledger.alternating import SidePerformance, alternate, fill_prices, months_of, performance
from itb.ledger.legacy_metric import legacy_performance, legacy_profitable_percent
from itb.market.bars import Bars
from itb.market.costs import Costs

FREE = Costs(taker_fee_bps=0, maker_fee_bps=0, slippage_bps=0)
CLOSE = np.array([100.0, 102, 105, 108, 107, 103, 101, 99, 104, 106])


def flags(rows, length=10):
    marks = np.zeros(length, dtype=bool)
    marks[list(rows)] = True
    return marks


@pytest.fixture
def deals():
    return alternate(flags({1, 4, 7}), flags({3, 5, 9}), CLOSE)


@st.composite
def markets(draw):
    price = st.one_of(st.floats(1, 100), st.sampled_from([0.0, math.nan]))
    rows = draw(st.lists(st.tuples(st.booleans(), st.booleans(), price), max_size=40))
    buys, sells, prices = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(buys, dtype=bool), np.array(sells, dtype=bool), np.array(prices, dtype=float)


def slow_ledger(buys, sells, prices, cost):
    """Walk the rows with money in hand: what each long and each short brought, and the original's odd figures."""
    longs, shorts, odd_longs, odd_shorts = [], [], [], []
    bought = sold = None
    is_buying = True
    for buy, sell, price in zip(buys, sells, prices, strict=True):
        if math.isnan(price) or price == 0:
            continue
        if is_buying and buy:
            if sold is not None:
                gain = sold * (1 - cost) - price * (1 + cost)
                shorts.append((gain, 100 * gain / sold))
            before = price if bought is None else bought
            odd_shorts.append((before - price, 100 * (before - price) / before))
            bought, is_buying = price, False
        elif not is_buying and sell:
            gain = price * (1 - cost) - bought * (1 + cost)
            longs.append((gain, 100 * gain / bought))
            before = price if sold is None else sold
            odd_longs.append((price - before, 100 * (price - before) / before))
            sold, is_buying = price, True
    return longs, shorts, odd_longs, odd_shorts


def agrees(side, trades):
    assert (side.transactions, side.profitable) == (len(trades), sum(gain > 0 for gain, _ in trades))
    assert (side.profit, side.profit_percent) == pytest.approx(
        (sum(gain for gain, _ in trades), sum(percent for _, percent in trades)), abs=1e-9
    )


@given(market=markets(), cost=st.floats(0, 0.01))
def test_earnings_are_those_of_a_ledger_kept_row_by_row(market, cost):
    longs, shorts, odd_longs, odd_shorts = slow_ledger(*market, cost)
    deals = alternate(*market)
    earned = performance(deals, Costs(taker_fee_bps=cost * 1e4, slippage_bps=0))
    agrees(earned.long, longs)
    agrees(earned.short, shorts)
    agrees(earned.both, longs + shorts)
    legacy = legacy_performance(deals)
    agrees(legacy.long, odd_longs)
    agrees(legacy.short, odd_shorts)


def test_the_reference_tape_is_bought_and_sold_in_turn(deals):
    assert deals.buy_prices.tolist() == [102, 107, 99]
    assert deals.sell_prices.tolist() == [108, 103, 106]
    assert not deals.is_holding


def test_the_reference_tape_earns_what_was_sold_less_what_was_paid(deals):
    earned = performance(deals, FREE)
    assert (earned.long.transactions, earned.long.profit, earned.long.profitable) == (3, 9.0, 2)
    assert earned.long.profit_percent == pytest.approx(9.214742, abs=1e-6)
    assert (earned.short.transactions, earned.short.profit, earned.short.profitable) == (2, 5.0, 2)
    assert earned.short.profit_percent == pytest.approx(100 / 108 + 400 / 103)


def test_the_legacy_metric_is_the_number_the_original_prints(deals):
    legacy = legacy_performance(deals)
    assert (legacy.long.transactions, legacy.long.profit, legacy.long.profitable) == (3, -2.0, 1)
    assert (legacy.short.transactions, legacy.short.profit, legacy.short.profitable) == (3, 3.0, 1)
    assert round(legacy.long.profit_percent, 1) == -1.7
    assert round(legacy.short.profit_percent, 1) == 2.6
    assert (legacy.both.transactions, legacy.both.profit) == (6, 1.0)
    assert legacy.both.profit_percent == pytest.approx(0.857666, abs=1e-6)
    assert round(legacy_profitable_percent(legacy.both), 1) == 5.6
    assert round(legacy.both.profitable_percent, 1) == 33.3


def test_costs_are_paid_on_both_sides():
    deals = alternate(flags({0}, 2), flags({1}, 2), np.array([100.0, 110.0]))
    earned = performance(deals, Costs(taker_fee_bps=10, slippage_bps=5)).long
    assert earned.profit == pytest.approx(110 * 0.9995 * 0.999 - 100 * 1.0005 * 1.001)
    assert earned.profit_percent == pytest.approx(earned.profit)


def test_a_position_still_held_is_no_transaction():
    deals = alternate(flags({0}, 2), flags((), 2), np.array([100.0, 110.0]))
    assert deals.is_holding
    assert performance(deals, FREE).both.transactions == 0


def test_figures_of_no_transaction_are_nothing():
    nothing = SidePerformance(0, 0.0, 0.0, 0, months=0.0)
    assert nothing.profitable_percent == nothing.profit_per_transaction == nothing.profit_percent_per_transaction == 0
    assert nothing.profit_percent_per_month == nothing.profit_per_month == nothing.transactions_per_month == 0


def test_figures_per_transaction_and_month_divide_by_them():
    side = SidePerformance(4, 8.0, 2.0, 3, months=2.0)
    assert (side.profitable_percent, side.profit_per_transaction, side.profit_percent_per_transaction) == (75, 2, 0.5)
    assert (side.transactions_per_month, side.profit_per_month, side.profit_percent_per_month) == (2, 4, 1)


def test_a_flag_fills_at_the_next_open_or_if_asked_at_its_own_close():
    columns = {"open": [1.0, 2.0], "high": [3.0, 3.0], "low": [1.0, 1.0], "close": [1.5, 2.5], "volume": [1.0, 1.0]}
    bars = Bars.of("BTC/USDT", "1d", [0, 86_400_000], **columns)
    np.testing.assert_array_equal(fill_prices(bars), [2.0, np.nan])
    assert fill_prices(bars, "close").tolist() == [1.5, 2.5]
    assert months_of(bars) == pytest.approx(12 / 365)
    with pytest.raises(ValueError, match="fill must be"):
        fill_prices(bars, "open")


def test_flags_and_prices_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="were 3, 2 and 10 rows"):
        alternate(flags((), 3), flags((), 2), CLOSE)
