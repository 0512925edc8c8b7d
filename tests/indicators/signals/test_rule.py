import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from itb.indicators.signals.rule import ThresholdRule

SCORES = st.floats(0, 1) | st.just(float("nan"))


@given(scores=st.lists(SCORES, min_size=1, max_size=50), buy=st.floats(0.5, 1), gap=st.floats(0.01, 0.5))
def test_scalar_and_array_decide_alike(scores, buy, gap):
    rule = ThresholdRule(buy, buy - gap)
    array = np.array(scores)
    assert rule.is_bullish(array).tolist() == [rule.is_bullish(score) for score in scores]
    assert rule.is_bearish(array).tolist() == [rule.is_bearish(score) for score in scores]


def test_a_score_on_the_threshold_counts():
    rule = ThresholdRule(0.6, 0.4)
    assert rule.is_bullish(0.6)
    assert rule.is_bearish(0.4)


def test_nan_decides_nothing():
    rule = ThresholdRule(0.6, 0.4)
    assert not rule.is_bullish(float("nan"))
    assert not rule.is_bearish(float("nan"))
