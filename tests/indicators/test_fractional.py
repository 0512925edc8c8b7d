from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.indicators.fractional import FractionalDifference, fractional_weights
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars


class TestWeights:
    def test_weights_of_two_orders_are_known(self) -> None:
        first, second = fractional_weights(0.4, longest=6), fractional_weights(0.5, longest=6)
        np.testing.assert_allclose(first, [1, -0.4, -0.12, -0.064, -0.0416, -0.029952], rtol=1e-12)
        np.testing.assert_allclose(second, [1, -0.5, -0.125, -0.0625, -0.0390625, -0.02734375], rtol=1e-12)

    def test_weights_end_before_the_first_below_the_threshold(self) -> None:
        weights = fractional_weights(0.4, threshold=0.04)
        np.testing.assert_allclose(weights, [1, -0.4, -0.12, -0.064, -0.0416])

    def test_order_1_is_the_plain_change(self, hourly: Bars) -> None:
        values = FractionalDifference((1.0,))(hourly)[:, 0]
        np.testing.assert_allclose(values[1:], np.diff(np.log(hourly.close)), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(order=st.floats(0.05, 1.9), window=st.integers(2, 100), is_log=st.booleans(), row=st.integers(100, 5999))
def test_a_value_is_the_weighted_sum_of_its_window(
    order: float, window: int, is_log: bool, row: int, hourly: Bars
) -> None:
    values = FractionalDifference((order,), window=window, log=is_log)(hourly.slice(row - 100, row + 1))
    prices = hourly.close[row - window + 1 : row + 1]
    expected = (fractional_weights(order, longest=window) * (np.log(prices) if is_log else prices)[::-1]).sum()
    assert values[-1, 0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    orders=st.lists(st.sampled_from([0.2, 0.35, 0.4, 0.5, 0.8, 1.0, 1.3]), min_size=1, max_size=3, unique=True),
    threshold=st.sampled_from([1e-2, 1e-3, 3e-4]),
    window=st.sampled_from([0, 2, 50, 300]),
    source=st.sampled_from(["close", "volume", "log_return"]),
)
def test_any_differencing_obeys_the_laws(
    orders: list[float], threshold: float, window: int, source: str, hourly: Bars
) -> None:
    is_log = source == "close"
    family = FractionalDifference(tuple(orders), (source,), threshold=threshold, window=window, log=is_log)
    bars = hourly.head(family.warmup + 400)
    assert check_causal(family, bars, cuts=2)
    result = check_warmup(family, bars, points=4)
    assert result, str(result)


def test_bars_too_few_for_it_give_nan(hourly: Bars) -> None:
    assert np.isnan(FractionalDifference((0.4,))(hourly.head(20))).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"orders": ()}, "orders must name at least one"),
        ({"orders": (0.0,)}, "orders must lie above 0 and up to 2, was 0.0"),
        ({"orders": (0.4,), "threshold": 0.0}, "threshold must be at least 1e-6"),
        ({"orders": (0.4,), "window": 1}, "window must be 2 to 20000 bars, or 0"),
    ],
)
def test_impossible_differencing_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FractionalDifference(**fields)
