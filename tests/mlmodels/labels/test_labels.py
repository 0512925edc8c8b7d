import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.market.bars import Bars
from itb.mlmodels.labels import LABELS, FutureReturn, HighLow2, Label
from itb.mlmodels.labels.crossing import first_crossing

CLOSE = [100, 101, 102, 101, 99, 98, 100, 103, 104, 102]
HIGH = [101, 102, 103, 102, 101, 99, 101, 104, 105, 104]
LOW = [99, 100, 101, 99, 98, 97, 98, 100, 102, 101]
LISTED: list[Label] = [
    FutureReturn(5),
    FutureReturn(3, threshold=0.01),
    FutureReturn(7, threshold=0.0, direction="down"),
    HighLow2("high", 2.0, 12),
    HighLow2("low", 1.0, 7, tolerance=1.0, ties="false"),
    HighLow2("low", 1.5, 9, tolerance=0.0, ties="unknown"),
]


def tape(close=CLOSE, high=HIGH, low=LOW):
    times = np.arange(len(close)) * 3_600_000
    return Bars.of("BTC/USDT", "1h", times, open=close, high=high, low=low, close=close, volume=close)


def slow_crossing(prices, levels, horizon, side):
    steps = []
    for t, level in enumerate(levels):
        ahead = prices[t + 1 : t + 1 + horizon]
        hits = [k for k, price in enumerate(ahead) if (price > level if side == "above" else price < level)]
        steps.append(hits[0] if hits else horizon)
    return steps


def slow_highlow2(bars, label):
    """The definition as a loop over bars, one comparison at a time."""
    values = []
    for t in range(len(bars)):
        if t + label.horizon >= len(bars):
            values.append(np.nan)
            continue
        sign = 1 if label.function == "high" else -1
        far = bars.close[t] * (1 + sign * label.threshold_pct / 100)
        near = bars.close[t] * (1 - sign * label.threshold_pct * label.tolerance / 100)
        value = 0.0
        for i in range(t + 1, t + 1 + label.horizon):
            with_far = bars.high[i] > far if sign > 0 else bars.low[i] < far
            with_near = bars.low[i] < near if sign > 0 else bars.high[i] > near
            if with_far and with_near:
                value = {"true": 1.0, "false": 0.0, "unknown": np.nan}[label.ties]
            elif with_far:
                value = 1.0
            if with_far or with_near:
                break
        values.append(value)
    return np.array(values)


def test_highlow2_gives_the_published_values_of_system_a():
    label = HighLow2("high", threshold_pct=2.0, tolerance=0.2, horizon=4)
    np.testing.assert_array_equal(label(tape()).values, [1, 0, 0, 0, 0, 1, *[np.nan] * 4])


def test_first_crossings_give_the_published_steps_of_system_a():
    close, high, low = np.array(CLOSE, float), np.array(HIGH, float), np.array(LOW, float)
    assert first_crossing(high, close * 1.02, 4, "above")[:6].tolist() == [1, 4, 4, 3, 1, 0]
    assert first_crossing(low, close * (1 - 0.004), 4, "below")[:5].tolist() == [2, 1, 0, 0, 0]


@given(
    prices=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    level=st.integers(1, 9),
    horizon=st.integers(1, 20),
    side=st.sampled_from(["above", "below"]),
)
def test_first_crossing_equals_a_plain_loop(prices, level, horizon, side):
    prices, levels = np.array(prices, float), np.full(len(prices), float(level))
    assert first_crossing(prices, levels, horizon, side).tolist() == slow_crossing(prices, levels, horizon, side)


@pytest.mark.parametrize("label", [item for item in LISTED if isinstance(item, HighLow2)])
@pytest.mark.parametrize("seed", range(5))
def test_highlow2_equals_a_plain_loop(label, seed, make_bars):
    bars = make_bars(300, seed=seed, step=0.004)
    np.testing.assert_array_equal(label(bars).values, slow_highlow2(bars, label))


@pytest.mark.parametrize(("ties", "expected"), [("true", 1.0), ("false", 0.0), ("unknown", np.nan)])
def test_a_bar_that_touches_both_levels_is_decided_by_ties(ties, expected):
    bars = tape([100, 100, 100], [100, 103, 100], [100, 97, 100])
    np.testing.assert_array_equal(HighLow2("high", 2.0, 1, ties=ties)(bars).values[0], expected)
    np.testing.assert_array_equal(HighLow2("low", 2.0, 1, ties=ties)(bars).values[0], expected)


def test_a_price_that_only_touches_the_level_has_not_crossed_it():
    bars = tape([100, 100], [100, 102], [100, 100])
    assert HighLow2("high", 2.0, 1)(bars).values[0] == 0.0


def test_future_return_is_a_fraction_of_the_close():
    np.testing.assert_allclose(FutureReturn(3)(tape()).values[:2], [0.01, -2 / 101])


def test_thresholded_future_return_is_zero_or_one_and_nan_where_unknown():
    np.testing.assert_array_equal(FutureReturn(8, threshold=0.01)(tape()).values[:3], [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(FutureReturn(5, 0.01, direction="down")(tape()).values[:2], [1.0, 0.0])


@pytest.mark.parametrize("label", LISTED, ids=lambda label: label.name)
@pytest.mark.parametrize("cut", [1, 8, 13, 200, 399])
def test_labels_known_by_then_are_final_and_the_others_are_nan(label, cut, bars):
    whole, early = label(bars), label(bars.head(cut))
    known = (whole.known_at >= 0) & (whole.known_at < cut)
    np.testing.assert_array_equal(early.values, np.where(known, whole.values, np.nan)[:cut])


@pytest.mark.parametrize("label", LISTED, ids=lambda label: label.name)
def test_every_label_is_known_a_horizon_later(label, bars):
    known = label(bars).known_at
    rows = np.flatnonzero(known >= 0)
    np.testing.assert_array_equal(known[rows], rows + label.horizon)


def test_highlow2_on_a_year_of_minutes_takes_less_than_a_second(make_bars):
    bars = make_bars(525_600, seed=3, step=0.001)
    start = time.process_time()
    HighLow2("high", 2.0, horizon=1440)(bars)
    assert time.process_time() - start < 1.0


def test_names_say_what_is_learned():
    assert [label.name for label in LISTED[:4]] == ["return_5", "up_3_100bps", "down_7_0bps", "high_2pct_12"]
    assert HighLow2("high", 2.0, 12, alias="high_20").name == "high_20"


def test_table_lists_every_label_under_its_config_name():
    assert (LABELS["future_return"], LABELS["highlow2"]) == (FutureReturn, HighLow2)


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (FutureReturn, {"horizon": 0}, "horizon must be at least 1 bar, was 0"),
        (FutureReturn, {"horizon": 5, "threshold": 2.0}, "threshold must be a fraction"),
        (FutureReturn, {"horizon": 5, "direction": "sideways"}, "direction must be"),
        (FutureReturn, {"horizon": 5, "alias": "a/b"}, "alias may hold"),
        (HighLow2, {"function": "middle", "threshold_pct": 2.0, "horizon": 4}, "function must be"),
        (HighLow2, {"function": "low", "threshold_pct": -2.0, "horizon": 4}, "turns it downward by itself"),
        (HighLow2, {"function": "low", "threshold_pct": 2.0, "horizon": 0}, "horizon must be at least 1 bar"),
        (HighLow2, {"function": "low", "threshold_pct": 2.0, "horizon": 4, "tolerance": -0.1}, "tolerance must be"),
        (HighLow2, {"function": "low", "threshold_pct": 2.0, "horizon": 4, "ties": "maybe"}, "ties must be"),
    ],
)
def test_wrong_arguments_are_refused_in_words(part, arguments, message):
    with pytest.raises(ValueError, match=message):
        part(**arguments)
