import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.indicators.signals import SIGNALS, ClassRule, Combine, SignalSet, Smoothen, ThresholdSignal, ThresholdSignal2

NAN = math.nan


def scores(least=1, most=60, holes=True):
    value = st.floats(0, 1, allow_subnormal=False)
    return st.lists(st.one_of(value, st.just(NAN)) if holes else value, min_size=least, max_size=most)


def windows():
    return st.one_of(st.integers(1, 20), st.floats(1, 20))


def table(rows):
    return {"up": np.array(rows), "down": np.array(rows[::-1]), "third": np.array(rows[1:] + rows[:1])}


def slow_smooth(columns, threshold, window):
    """Row by row in plain Python, the way the original describes it."""
    points = []
    for row in zip(*columns, strict=True):
        known = [value for value in row if not math.isnan(value)]
        point = sum(known) / len(known) if known else NAN
        points.append(point if threshold is None or math.isnan(point) else float(point >= threshold))
    smooth = []
    for now in range(len(points)):
        known = [point for point in points[max(0, now - window + 1) : now + 1] if not math.isnan(point)]
        smooth.append(sum(known) / len(known) if len(known) >= max(1, window // 2) else NAN)
    return smooth


@given(rows=scores(), threshold=st.one_of(st.none(), st.floats(0, 1)), window=st.integers(1, 12))
def test_a_whole_window_is_the_mean_of_known_points_once_half_are_there(rows, threshold, window):
    columns = table(rows)
    made = Smoothen(tuple(columns), "calm", threshold, window)(columns)["calm"]
    np.testing.assert_allclose(made, slow_smooth(columns.values(), threshold, window), atol=1e-12)


@given(rows=scores(), window=st.integers(1, 12))
def test_a_whole_window_is_pandas_rolling_mean(rows, window):
    made = Smoothen(("up",), "calm", window=window)(table(rows))["calm"]
    theirs = pd.Series(rows).rolling(window, min_periods=window // 2).mean()
    np.testing.assert_allclose(made, theirs, atol=1e-12)


@given(rows=scores(holes=False), span=st.floats(1, 30))
def test_a_span_is_an_exponential_mean_from_the_first_value_on(rows, span):
    made = Smoothen(("up",), "calm", window=float(span))(table(rows))["calm"]
    weight, level = 2 / (span + 1), rows[0]
    levels = [level]
    for value in rows[1:]:
        level = (1 - weight) * level + weight * value
        levels.append(level)
    np.testing.assert_allclose(made, levels, rtol=1e-9, atol=1e-12)


def test_window_ten_and_ten_point_zero_are_not_the_same():
    rows = table([0.0, 1.0, 0.0, 0.0, 1.0])
    whole, span = (Smoothen(("up",), "calm", window=window)(rows)["calm"] for window in (3, 3.0))
    assert whole.tolist() == [0.0, 0.5, 1 / 3, 1 / 3, 1 / 3]
    assert span.tolist() == [0.0, 0.5, 0.25, 0.125, 0.5625]


def test_a_row_without_any_score_is_no_low_score():
    made = Smoothen(("up",), "calm", point_threshold=0.5)(table([0.5, NAN, 0.4]))["calm"]
    np.testing.assert_array_equal(made, [1, NAN, 0])


@given(rows=scores(holes=True))
def test_combinations_are_their_formulas(rows):
    columns = table(rows)
    for how, formula in (
        ("difference", lambda up, down: up - down),
        ("relative", lambda up, down: 2 * up / (up + down) - 1 if up + down else NAN),
        ("larger", lambda up, down: NAN if math.isnan(up + down) else up if up >= down else -down),
    ):
        made = Combine(("up", "down"), "score", how, coefficient=2.0, constant=0.1)(columns)["score"]
        slow = [2 * formula(*pair) + 0.1 for pair in zip(columns["up"], columns["down"], strict=True)]
        np.testing.assert_allclose(made, slow, rtol=1e-12, atol=1e-12)


@given(rows=scores(), buy=st.floats(0, 1), sell=st.floats(0, 1))
def test_a_rule_flags_scores_at_its_thresholds_and_beyond(rows, buy, sell):
    flags = ThresholdSignal("up", ("buy", "sell"), buy, sell)(table(rows))
    assert flags["buy"].tolist() == [value >= buy for value in rows]
    assert flags["sell"].tolist() == [value <= sell for value in rows]


@given(rows=scores(), first=st.floats(0, 1), second=st.floats(0, 1))
def test_a_rule_of_two_asks_both_scores(rows, first, second):
    columns = table(rows)
    flags = ThresholdSignal2(("up", "down"), ("buy", "sell"), first, second, second, first)(columns)
    pairs = list(zip(columns["up"], columns["down"], strict=True))
    assert flags["buy"].tolist() == [a >= first and b >= second for a, b in pairs]
    assert flags["sell"].tolist() == [a <= second and b <= first for a, b in pairs]


@given(rows=scores(), buy=st.floats(0, 1), sell=st.floats(0, 1))
def test_the_most_probable_class_is_flagged_where_it_is_probable_enough(rows, buy, sell):
    columns = table(rows)
    flags = ClassRule(("third", "up", "down"), ("buy", "sell"), buy, sell)(columns)
    for row, (hold, up, down) in enumerate(zip(columns["third"], columns["up"], columns["down"], strict=True)):
        ranked = [("sell", down), ("buy", up), ("hold", hold)]  # max takes the first of equals
        known = not any(math.isnan(chance) for _, chance in ranked)
        name, chance = max(ranked, key=lambda one: one[1]) if known else ("hold", 0.0)
        assert flags["buy"][row] == (name == "buy" and chance >= buy)
        assert flags["sell"][row] == (name == "sell" and chance >= sell)


def test_every_signal_is_tried_in_these_chains():
    assert {ThresholdSignal, ThresholdSignal2, Combine, Smoothen, ClassRule} == set(SIGNALS.values())


@st.composite
def chains(draw):
    calm = [
        Smoothen((name, "third"), f"{name}_calm", draw(st.one_of(st.none(), st.floats(0, 1))), draw(windows()))
        for name in ("up", "down")
    ]
    both = Combine(("up_calm", "down_calm"), "score", draw(st.sampled_from(["difference", "larger", "relative"])))
    again = Smoothen(("score",), "calm", window=draw(windows()))
    rule = ThresholdSignal("calm", ("buy", "sell"), draw(st.floats(-1, 1)), draw(st.floats(-1, 1)))
    two = ThresholdSignal2(("calm", "up"), ("buy2", "sell2"), *(draw(st.floats(-1, 1)) for _ in range(4)))
    likely = ClassRule(("third", "up_calm", "down"), ("buy3", "sell3"), draw(st.floats(0, 1)), draw(st.floats(0, 1)))
    return SignalSet((*calm, both, again, rule, two, likely))


@given(signals=chains(), rows=scores(least=2), data=st.data())
def test_later_scores_change_nothing(signals, rows, data):
    now = data.draw(st.integers(1, len(rows) - 1))
    columns = table(rows)
    noise = {name: np.concatenate([values[:now], 9 - values[now:]]) for name, values in columns.items()}
    whole, other, head = (signals(one) for one in (columns, noise, {k: v[:now] for k, v in columns.items()}))
    for name in signals.names:
        np.testing.assert_array_equal(other[name][:now], whole[name][:now])
        np.testing.assert_allclose(head[name], whole[name][:now], rtol=1e-12, atol=1e-12)


@given(first=windows(), second=windows(), seed=st.integers(0, 99))
def test_the_warm_up_is_enough(first, second, seed):
    rng = np.random.default_rng(seed)
    calm = Smoothen(("up", "down"), "calm", window=first)
    signals = SignalSet((calm, Smoothen(("calm",), "calmer", window=second)))
    columns = {name: rng.random(signals.warmup + 50) for name in ("up", "down")}
    tail = {name: values[-signals.warmup - 1 :] for name, values in columns.items()}
    for name in signals.names:
        np.testing.assert_allclose(signals(tail)[name][-1], signals(columns)[name][-1], rtol=1e-9)


def test_the_warm_up_of_a_whole_window_is_not_too_long():
    signals = SignalSet((Smoothen(("up",), "calm", window=4), Smoothen(("calm",), "calmer", window=3)))
    assert signals.warmup == 5


@given(signals=chains(), rows=scores(least=2), coefficient=st.floats(-3, 3).filter(bool), constant=st.floats(-1, 1))
def test_every_column_stays_in_the_range_that_it_declares(signals, rows, coefficient, constant):
    *before, both, again, rule, two, likely = signals.signals
    scaled = replace(both, coefficient=coefficient, constant=constant)
    signals = SignalSet((*before, scaled, again, rule, two, likely))
    columns = table(rows)
    made = signals(columns)
    ranges = signals.ranges(dict.fromkeys(columns, (0.0, 1.0)))
    assert list(ranges) == list(signals.names)
    for name, (low, high) in ranges.items():
        known = made[name][~np.isnan(made[name].astype(float))].astype(float)
        assert np.all(known >= low - 1e-9)
        assert np.all(known <= high + 1e-9)


@pytest.mark.parametrize(("how", "expected"), [("difference", (-1, 1)), ("relative", (-1, 1)), ("larger", (-1, 1))])
def test_the_ranges_of_two_probabilities_combined_are_reached(how, expected):
    ends = {"up": np.array([1.0, 0.0]), "down": np.array([0.0, 1.0])}
    both = Combine(("up", "down"), "score", how)
    assert sorted(both(ends)["score"]) == list(expected)
    assert both.ranges(dict.fromkeys(ends, (0.0, 1.0))) == (expected,)


def test_a_ratio_of_scores_below_nothing_has_no_range():
    known = {"up": (-1.0, 1.0), "down": (0.0, 1.0)}
    assert Combine(("up", "down"), "score", "relative").ranges(known) == ((-math.inf, math.inf),)
    assert Combine(("up", "down"), "score", "larger").ranges(known) == ((-1.0, 1.0),)


def test_a_column_that_is_made_twice_is_refused():
    calm = Smoothen(("up",), "calm")
    with pytest.raises(ValueError, match="'calm' is there already"):
        SignalSet((calm, calm))
    with pytest.raises(ValueError, match="'up' is there already"):
        SignalSet((Smoothen(("up",), "up"),))


def test_a_missing_score_is_named():
    with pytest.raises(ValueError, match="no score column 'down'; there are up"):
        SignalSet((Combine(("up", "down"), "score", "larger"),))({"up": np.ones(3)})


def test_scores_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="up 3, down 2 rows"):
        SignalSet((Combine(("up", "down"), "score", "larger"),))({"up": np.ones(3), "down": np.ones(2)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Smoothen((), "calm"), "columns must be one or more"),
        (lambda: Smoothen(("up",), ""), "names must be 1 column"),
        (lambda: Smoothen(("up",), "calm", window=-1), "window must be at least 1 row"),
        (lambda: Smoothen(("up",), "calm", window=0.5), "span must be at least 1.0"),
        (lambda: Smoothen(("up",), "calm", point_threshold=NAN), "point_threshold must be a number"),
        (lambda: Combine(("up",), "score", "larger"), "columns must be 2"),
        (lambda: Combine(("up", "up"), "score", "larger"), "columns must differ"),
        (lambda: Combine(("up", "down"), "score", cast("Any", "sum")), "combine must be"),
        (lambda: Combine(("up", "down"), "score", "larger", coefficient=0), "coefficient must be"),
        (lambda: Combine(("up", "down"), "score", "larger", constant=math.inf), "constant must be"),
        (lambda: ThresholdSignal("up", ("buy",), 1, 0), "names must be 2"),
        (lambda: ThresholdSignal("up", ("buy", "sell"), NAN, 0), "buy_signal_threshold must be a number"),
        (lambda: ThresholdSignal2(("up",), ("buy", "sell"), 1, 0, 1, 0), "columns must be 2"),
        (lambda: ClassRule(("up", "down"), ("buy", "sell")), "columns must be 3"),
        (lambda: ClassRule(("a", "b", "c"), ("buy", "sell"), 1.5), "buy_signal_threshold must be a probability"),
    ],
)
def test_wrong_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_table_uses_the_names_of_the_original():
    assert list(SIGNALS) == ["smoothen", "combine", "threshold_rule", "threshold_rule2", "class_rule"]
