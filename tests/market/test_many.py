"""Rounding many quantities and prices is rounding each, bit for bit."""

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from itb.market.instrument import Instrument, multiples

units = st.sampled_from(["0.00001", "0.001", "0.25", "0.5", "1", "5", "10", "0.00000001", "1E+2"]).map(Decimal)
values = st.lists(
    st.one_of(st.floats(1e-6, 1e7), st.integers(1, 10**9).map(lambda n: n / 1000), st.integers(1, 10**6).map(float)),
    min_size=1,
    max_size=20,
)


@given(units, values)
def test_many_quantities_are_floored_as_one(step, qtys):
    rules = Instrument("BTC/USDT", step=step)
    assert rules.floor_qtys(np.array(qtys)).tolist() == [rules.floor_qty(qty) for qty in qtys]


@given(units, values)
def test_many_prices_are_rounded_as_one(tick, prices):
    rules = Instrument("BTC/USDT", tick=tick)
    for is_buy in (False, True):
        one_by_one = [float(rules.quantise_price(Decimal(repr(price)), is_buy=is_buy)) for price in prices]
        assert rules.quantise_prices(np.array(prices), is_buy=is_buy).tolist() == one_by_one


@given(units, st.integers(0, 10**9))
def test_a_multiple_is_the_float_nearest_to_the_decimal(unit, count):
    assert multiples(np.array([float(count)]), unit)[0] == float(unit * count)
