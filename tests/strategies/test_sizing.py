import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.strategies.sizing import MAX_FRACTION, Sizer, realised_volatility

HOUR = 3_600_000


@given(
    fraction=st.floats(0.01, 0.99),
    equity=st.floats(1, 1e9),
    close=st.floats(1e-6, 1e6),
    fee=st.floats(0, 0.01),
    cushion=st.floats(0, 0.1),
)
def test_percent_of_equity_leaves_room_for_fee_and_cushion(fraction, equity, close, fee, cushion):
    qty = Sizer(fraction=fraction, cushion=cushion).quantity(equity=equity, close=close, fee=fee)
    assert qty * close * (1 + fee + cushion) == pytest.approx(fraction * equity, rel=1e-12)


def test_fixed_notional_ignores_equity():
    sizer = Sizer(sizing="fixed_notional", notional=500)
    assert sizer.quantity(equity=10, close=25, fee=0.1) == 20


def test_lost_equity_buys_nothing():
    assert Sizer().quantity(equity=0.0, close=1, fee=0) == 0
    assert Sizer(sizing="fixed_notional").quantity(equity=-5, close=1, fee=0) == 0


def test_volatility_target_halves_the_position_when_the_market_is_twice_as_wild():
    closes = 100 * np.exp(np.cumsum(np.r_[0, np.tile([0.004, -0.004], 10)]))
    volatility = realised_volatility(closes, HOUR)
    sizer = Sizer("volatility_target", fraction=0.4, target_volatility=volatility / 2, volatility_window=20, cushion=0)
    assert sizer.quantity(equity=1000, close=100, fee=0, closes=closes, bar_ms=HOUR) == pytest.approx(2.0)


def test_volatility_target_is_capped():
    closes = 100 * np.exp(np.cumsum(np.r_[0, np.tile([1e-6, -1e-6], 10)]))
    sizer = Sizer("volatility_target", volatility_window=20, cushion=0)
    quantity = sizer.quantity(equity=1000, close=100, fee=0, closes=closes, bar_ms=HOUR)
    assert quantity == pytest.approx(MAX_FRACTION * 10)


def test_volatility_target_waits_for_its_window():
    sizer = Sizer("volatility_target", volatility_window=20)
    assert sizer.quantity(equity=1000, close=100, fee=0, closes=[100.0, 101.0, 99.0], bar_ms=HOUR) == 0


def test_flat_prices_size_nothing():
    sizer = Sizer("volatility_target", volatility_window=3)
    assert sizer.quantity(equity=1000, close=100, fee=0, closes=[100.0] * 4, bar_ms=HOUR) == 0


def test_realised_volatility_equals_the_textbook():
    closes = [100.0, 102.0, 99.0, 101.0, 100.5]
    moves = [math.log(b / a) for a, b in itertools.pairwise(closes)]
    assert realised_volatility(np.array(closes), HOUR) == pytest.approx(statistics.stdev(moves) * math.sqrt(365 * 24))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fraction": 1.0}, r"fraction must be above 0 and at most 0.99, was 1.0"),
        ({"sizing": "all_in"}, r"sizing must be .*, was 'all_in'"),
        ({"notional": 0}, r"notional and target_volatility must be above 0"),
        ({"volatility_window": 1}, r"volatility_window must be at least 2 bars, was 1"),
    ],
)
def test_impossible_sizes_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Sizer(**settings)


@pytest.mark.parametrize("seed", range(3))
def test_fractions_of_many_entries_are_those_of_one(seed):
    rng = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 300)))
    closes[100:140] = closes[100]  # a price that stands still has no volatility
    sizer = Sizer("volatility_target", fraction=0.5, volatility_window=20, cushion=0.01)
    bars = np.arange(300)
    one_by_one = [
        sizer.quantity(equity=1e4, close=closes[t], fee=1e-3, closes=closes[max(0, t - 20) : t + 1], bar_ms=3_600_000)
        for t in bars
    ]
    together = sizer.fractions(closes, bars, 3_600_000) * 1e4 / sizer.unit_cost(closes, 1e-3)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-14)
    assert (together[110:139] == 0).sum() >= 19
