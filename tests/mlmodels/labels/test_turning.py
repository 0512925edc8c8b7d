import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.labels import TopBot, TopBot2
from itb.mlmodels.labels.turning import tops

PUBLISHED = [10, 40, 30, 70, 90, 50, 60, 30, 9] * 2
CLOSE = [100, 101, 103, 106, 105.5, 104, 101, 99, 97, 96.5, 98, 101, 104, 107, 108, 106, 103]


def beyond(prices, positions, value):
    return next((i for i in positions if prices[i] < value), None)


def extrema_by_intervals(prices, level, tolerance):
    """System A's own way: a list of intervals, the first highest price of each, and what lies beyond its levels."""
    found, intervals = [], [(0, len(prices) - 1)]
    while intervals:
        start, stop = intervals.pop()
        top = max(range(start, stop + 1), key=lambda i: (prices[i], -i))
        value = prices[top]
        before, after = range(top - 1, start - 1, -1), range(top + 1, stop + 1)
        left, right = (beyond(prices, side, value - level * abs(value)) for side in (before, after))
        if left is not None and right is not None:
            inner = [beyond(prices, side, value - tolerance * abs(value)) for side in (before, after)]
            found.append((left, inner[0], top, inner[1], right))
        if left is not None:
            intervals.append((start, left))
        if right is not None:
            intervals.append((right, stop))
    return sorted(found)


def slow_tops(prices, level, tolerance):
    values = np.zeros(len(prices))
    for _, left, _, right, _ in extrema_by_intervals(prices, level, tolerance):
        values[left + 1 : right] = 1
    return values


def can_become_top(prices, row, level, tolerance):
    """Try the futures that could help: an immediate fall, or one price as high as the row's tolerance allows."""
    peaks = [price / (1 - np.sign(price) * tolerance) * (1 - np.sign(price) * 1e-12) for price in prices[row:]]
    crash = min(prices) - 10 * abs(min(prices))
    futures = [[crash], *([peak, crash] for peak in peaks)]
    return any(slow_tops([*prices, *future], level, tolerance)[row] for future in futures)


def slow_settled(prices, level, tolerance):
    """The first bar of every row at which it is a top already, or can be none any more; at least the next bar."""
    whole = slow_tops(prices, level, tolerance)
    settled = []
    for row in range(len(prices)):
        for now in range(row, len(prices)):
            so_far = prices[: now + 1]
            done = slow_tops(so_far, level, tolerance)[row]
            assert not done or whole[row], "a top once settled stays one"
            if done or not can_become_top(so_far, row, level, tolerance):
                settled.append(max(now, row + 1))
                break
        else:
            settled.append(len(prices))
    return settled


def walk(seed, bars, step):
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, step, bars)))


def test_published_extrema_are_those_of_system_a():
    assert extrema_by_intervals(PUBLISHED, 0.5, 0.1) == [(2, 3, 4, 5, 7), (11, 12, 13, 14, 16)]
    assert extrema_by_intervals([-price for price in PUBLISHED], 0.5, 0.1) == [(7, 7, 8, 9, 10)]


def test_published_labels_are_those_of_system_a():
    prices = np.array(PUBLISHED, float)
    assert np.flatnonzero(tops(prices, 0.5, 0.05 * 2)[0]).tolist() == [4, 13]
    assert np.flatnonzero(tops(-prices, 0.5, 0.1)[0]).tolist() == [8]


def test_topbot2_gives_the_published_values_of_system_a(make_tape):
    bars = make_tape(CLOSE)
    assert np.flatnonzero(tops(bars.close, 0.04, 0.004)[0]).tolist() == [3, 14]
    assert np.flatnonzero(TopBot2("top", 0.04, 0.1)(bars).values == 1).tolist() == [3, 14]
    assert np.flatnonzero(TopBot2("bot", 0.04, 0.1)(bars).values == 1).tolist() == [9]


@given(
    prices=st.lists(st.integers(1, 20), min_size=1, max_size=60),
    level=st.sampled_from([0.02, 0.1, 0.3, 0.5, 0.9]),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    sign=st.sampled_from([1.0, -1.0]),
)
def test_tops_are_those_of_the_list_of_intervals(prices, level, share, sign):
    prices = sign * np.array(prices)
    values = tops(prices, level, level * share)[0]
    np.testing.assert_array_equal(values, slow_tops(prices.tolist(), level, level * share))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("level", "tolerance"), [(0.03, 0.003), (0.05, 0.03), (0.04, 0.04), (0.02, 0.0)])
def test_a_row_is_settled_as_soon_as_no_future_can_change_it(seed, sign, level, tolerance):
    prices = sign * walk(seed, 40, 0.02)
    assert tops(prices, level, tolerance)[1].tolist() == slow_settled(prices.tolist(), level, tolerance)


@given(
    prices=st.lists(st.integers(1, 12), min_size=2, max_size=40),
    cut=st.integers(1, 40),
    level=st.sampled_from([0.05, 0.1, 0.25, 0.5]),
    share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    sign=st.sampled_from([1.0, -1.0]),
)
def test_what_is_settled_early_is_final_and_settled_no_differently_later(prices, cut, level, share, sign):
    prices = sign * np.array(prices)
    cut = min(cut, len(prices))
    values, settled = tops(prices, level, level * share)
    early_values, early_settled = tops(prices[:cut], level, level * share)
    known = settled[:cut] < cut
    np.testing.assert_array_equal(early_settled < cut, known)
    np.testing.assert_array_equal(early_values[known], values[:cut][known])
    np.testing.assert_array_equal(early_settled[known], settled[:cut][known])


def test_topbot_measures_its_tolerance_from_the_price_and_topbot2_from_the_level(make_bars):
    bars = make_bars(500, seed=2, step=0.01)
    one, two = TopBot("bot", 0.05, 0.01)(bars), TopBot2("bot", 0.05, 0.2)(bars)
    np.testing.assert_array_equal(one.values, two.values)
    assert one.values[one.known_at >= 0].mean() > 0.01


def test_another_column_can_be_looked_at(make_bars):
    bars = make_bars(300, seed=2, step=0.01)
    high = TopBot2("top", 0.03, 0.2, column="high")(bars)
    np.testing.assert_array_equal(high.values, TopBot2("top", 0.03, 0.2)(bars.with_columns(close=bars.high)).values)


def test_names_are_those_of_system_a():
    names = [
        TopBot("top", level, tolerance).name for level, tolerance in [(0.01, 0.0025), (0.05, 0.0125), (0.04, 0.03)]
    ]
    assert names == ["top1_025", "top5_125", "top4_3"]
    assert TopBot2("bot", 0.04, 0.1, alias="bot4_1").name == "bot4_1"


def test_topbot2_on_a_year_of_minutes_takes_less_than_five_seconds(make_bars):
    bars = make_bars(525_600, seed=3, step=0.0007)
    start = time.process_time()
    TopBot2("top", 0.02, 0.1)(bars)
    assert time.process_time() - start < 5.0


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (TopBot2, ("max", 0.04, 0.1), "function must be"),
        (TopBot2, ("bot", -0.04, 0.1), "turns it downward by itself"),
        (TopBot2, ("top", 0.04, 1.5), "tolerance must be a fraction of level"),
        (TopBot, ("top", 0.01, 0.03), "tolerance must be a fraction of the price from 0 to level = 0.01, was 0.03"),
        (TopBot, ("top", 4.0, 0.03), "level must be a fraction above 0 and below 1, was 4.0"),
    ],
)
def test_wrong_arguments_are_refused_in_words(part, arguments, message):
    with pytest.raises(ValueError, match=message):
        part(*arguments)
