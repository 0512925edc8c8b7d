import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itb.mlmodels.labels import MetaLabel, TripleBarrier
from itb.mlmodels.labels.events import cusum_events

PUBLISHED = [100, 101, 102.5, 101, 98.9, 97, 97.5, 99, 101.2, 103.5]
distance = st.floats(0.3, 2.5)


def usual(bars, t, window, horizon):
    """Standard deviation of the last returns up to bar t; ``None`` while there are too few."""
    if t < window:
        return None
    returns = [np.log(bars.close[i] / bars.close[i - 1]) for i in range(t - window + 1, t + 1)]
    return np.std(returns, ddof=1) * np.sqrt(horizon)


def slow_outcome(bars, label, t):
    """One row, bar after bar: its side, and the bar that decided it."""
    if t + label.horizon >= len(bars):
        return np.nan, None
    unit = usual(bars, t, label.volatility_window, label.horizon) if label.volatility_window else 1.0
    if unit is None:
        return np.nan, None
    for i in range(t + 1, t + label.horizon + 1):
        high, low = (bars.high[i], bars.low[i]) if label.touch == "high_low" else (bars.close[i], bars.close[i])
        above = high > bars.close[t] * (1 + label.up * unit)
        below = low < bars.close[t] * (1 - label.down * unit)
        if above and below:
            return {"up": 1.0, "down": -1.0, "unknown": np.nan}[label.ties], i
        if above or below:
            return (1.0 if above else -1.0), i
    moved = bars.close[t + label.horizon] - bars.close[t]
    return (float(np.sign(moved)) if label.timeout == "sign" else 0.0), t + label.horizon


def test_published_sides_and_times_of_touch(make_tape):
    label = TripleBarrier(horizon=4, up=0.02, down=0.02)
    bars = make_tape(PUBLISHED)
    np.testing.assert_array_equal(label(bars).values, [1, -1, -1, -1, 1, 1, *[np.nan] * 4])
    assert label.met_at(bars)[:6].tolist() == [2, 4, 4, 4, 8, 7]


def test_published_cusum_events():
    events = cusum_events(np.array(PUBLISHED), 0.02)
    assert {row: int(events[row]) for row in np.flatnonzero(events)} == {2: 1, 4: -1, 7: 1, 8: 1, 9: 1}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    up=distance,
    down=distance,
    seed=st.integers(0, 1000),
    horizon=st.integers(1, 12),
    window=st.sampled_from([0, 2, 7]),
    touch=st.sampled_from(["close", "high_low"]),
    ties=st.sampled_from(["up", "down", "unknown"]),
    timeout=st.sampled_from(["zero", "sign"]),
)
def test_triple_barrier_equals_a_plain_loop(up, down, seed, horizon, window, touch, ties, timeout, make_bars):
    bars = make_bars(50, seed=seed)
    scale = 1.0 if window else 0.02
    label = TripleBarrier(horizon, up * scale, down * scale, window, touch, ties, timeout)
    expected = [slow_outcome(bars, label, t) for t in range(len(bars))]
    np.testing.assert_array_equal(label(bars).values, [side for side, _ in expected])
    met = label.met_at(bars)
    assert [met[t] for t, (_, at) in enumerate(expected) if at is not None] == [at for _, at in expected if at]


def test_rows_are_known_after_the_whole_horizon_however_soon_a_barrier_is_met(make_bars):
    column = TripleBarrier(horizon=10, up=0.001, down=0.001)(make_bars(100, seed=1))
    np.testing.assert_array_equal(column.known_at[:-10], np.arange(90) + 10)


def test_views_tell_one_side_from_all_else(make_bars):
    bars = make_bars(200, seed=1)
    sides = TripleBarrier(5, 0.02, 0.02)(bars).values
    for view, side in (("up", 1), ("down", -1)):
        label = TripleBarrier(5, 0.02, 0.02, view=view)
        assert (label.is_binary, label.classes) == (True, (0.0, 1.0))
        np.testing.assert_array_equal(label(bars).values, np.where(np.isnan(sides), np.nan, sides == side))
    assert (TripleBarrier(5, 0.02, 0.02).is_binary, set(sides[:-5])) == (False, {-1.0, 0.0, 1.0})


def test_only_events_are_labelled_where_the_filter_is_on(make_bars):
    bars = make_bars(200, seed=1)
    everywhere = TripleBarrier(5, 0.02, 0.02)(bars).values
    column = TripleBarrier(5, 0.02, 0.02, cusum=0.03)(bars).values
    events = cusum_events(bars.close, 0.03) != 0
    assert 10 < events.sum() < 100
    np.testing.assert_array_equal(column, np.where(events, everywhere, np.nan))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    seed=st.integers(0, 1000),
    side=st.sampled_from(["long", "short"]),
    enter=st.sampled_from(["above", "below"]),
    change=st.integers(1, 5),
    window=st.sampled_from([0, 5]),
    touch=st.sampled_from(["close", "high_low"]),
)
def test_meta_label_equals_a_plain_loop(data, seed, side, enter, change, window, touch, make_bars):
    bars = make_bars(60, seed=seed)
    target, stop = (data.draw(distance) * (1.0 if window else 0.02) for _ in range(2))
    label = MetaLabel("low", 0.003, 6, target, stop, change, enter, side, window, touch, cost=0.002)
    up, down, ties = (target, stop, "down") if side == "long" else (stop, target, "up")
    primary = TripleBarrier(6, up, down, window, touch, ties)
    expected = []
    for t in range(len(bars)):
        outcome, _ = slow_outcome(bars, primary, t)
        moved = bars.low[t] / bars.low[t - change] - 1 if t >= change else np.nan
        wanted = moved >= 0.003 if enter == "above" else moved <= 0.003
        if np.isnan(outcome) or not wanted:
            expected.append(np.nan)
        elif outcome:
            expected.append(float((outcome > 0) == (side == "long")))
        else:
            gained = bars.close[t + 6] / bars.close[t] - 1
            expected.append(float((gained if side == "long" else -gained) > 0.002))
    np.testing.assert_array_equal(label(bars).values, expected)


def test_meta_label_can_follow_any_column(make_bars):
    bars = make_bars(40, seed=1)
    signal = np.where(np.arange(40) % 3, np.nan, 1.0)
    column = MetaLabel("signal", 1.0, 4, target=0.02, stop=0.02)(bars.with_columns(signal=signal))
    assert np.flatnonzero(column.known_at >= 0).tolist() == list(range(0, 36, 3))


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (TripleBarrier, {"horizon": 0}, "horizon must be at least 1 bar"),
        (TripleBarrier, {"up": 2.0}, "up must be a positive fraction below 1"),
        (TripleBarrier, {"up": -2.0, "volatility_window": 5}, "up must be a positive number of standard deviations"),
        (TripleBarrier, {"volatility_window": 1}, "volatility_window must be at least 2 bars or 0, was 1"),
        (TripleBarrier, {"touch": "low"}, "touch must be one of close, high_low, was 'low'"),
        (TripleBarrier, {"cusum": -1.0}, "cusum must be a log return"),
        (MetaLabel, {"horizon": 0}, "horizon must be at least 1 bar"),
        (MetaLabel, {"stop": 0.0}, "stop must be a positive fraction"),
        (MetaLabel, {"change": -1}, "change must be a number of bars"),
        (MetaLabel, {"enter": "at"}, "enter must be"),
        (MetaLabel, {"side": "both"}, "side must be"),
        (MetaLabel, {"touch": "low"}, "touch must be one of"),
    ],
)
def test_wrong_arguments_are_refused_in_words(part, arguments, message):
    right = {"horizon": 4, "up": 0.02, "down": 0.02}
    if part is MetaLabel:
        right = {"column": "close", "threshold": 0.0, "horizon": 4, "target": 0.02, "stop": 0.02}
    with pytest.raises(ValueError, match=message):
        part(**right | arguments)
