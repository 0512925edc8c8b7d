import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import linregress

from itb.mlmodels.labels import FutureReturn, Gradient, ScaledReturn, TrendScan


def slow_gradient(bars, label):
    """One line fitted after the other, by numpy's own least squares."""
    pivots = (bars.open + bars.high + bars.low + bars.close) / 4
    classes = []
    for t in range(len(bars)):
        last = t + (label.window if label.placement == "forward" else label.window // 2)
        first = last - label.window + 1
        if first < 0 or last >= len(bars):
            classes.append(np.nan)
            continue
        steep = np.polyfit(range(label.window), pivots[first : last + 1], 1)[0] / pivots[t]
        classes.append(1.0 if steep > label.gain / label.window else 2.0 if steep < label.loss / label.window else 0.0)
    return classes


def slow_surest(close, lengths):
    t_values = []
    for t in range(len(close)):
        if t + max(lengths) > len(close):
            t_values.append(np.nan)
            continue
        lines = [linregress(range(length), close[t : t + length]) for length in lengths]
        t_values.append(max((line.slope / line.stderr for line in lines), key=abs))
    return t_values


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000),
    window=st.integers(2, 30),
    gain=st.floats(0.0, 0.05),
    loss=st.floats(-0.05, 0.0),
    placement=st.sampled_from(["balanced", "forward"]),
)
def test_gradient_equals_lines_fitted_one_by_one(seed, window, gain, loss, placement, make_bars):
    bars = make_bars(70, seed=seed)
    label = Gradient(window, gain, loss, placement)
    np.testing.assert_array_equal(label(bars).values, slow_gradient(bars, label))


@pytest.mark.parametrize(("window", "gain"), [(15, 0.005), (30, 0.005), (60, 0.01), (120, 0.02), (240, 0.02)])
def test_gradients_of_system_c_see_all_three_classes(window, gain, make_bars):
    bars = make_bars(2000, seed=1, step=0.001)
    values = Gradient(window, gain)(bars).values
    assert {0.0, 1.0, 2.0} <= set(values)
    np.testing.assert_array_equal(Gradient(window, gain, view="sell")(bars).values == 1, values == 2)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), shortest=st.integers(3, 8), more=st.integers(0, 8), step=st.integers(1, 4))
def test_trend_scan_equals_lines_fitted_one_by_one(seed, shortest, more, step, make_bars):
    bars = make_bars(40, seed=seed)
    longest = shortest + more
    lengths = sorted({*range(shortest, longest + 1, step), longest})
    expected = slow_surest(bars.close, lengths)
    np.testing.assert_allclose(TrendScan(shortest, longest, step)(bars).values, expected, rtol=1e-7)


def test_trend_scan_tells_sides_and_leaves_weak_trends_out(make_bars):
    bars = make_bars(300, seed=2)
    t_values = TrendScan(5, 20)(bars).values
    sides = TrendScan(5, 20, view="classes", least_t=8.0)(bars).values
    known = ~np.isnan(t_values)
    np.testing.assert_array_equal(sides[known], np.where(np.abs(t_values) < 8, 0, np.sign(t_values))[known])
    np.testing.assert_array_equal(TrendScan(5, 20, view="up", least_t=8.0)(bars).values[known], sides[known] == 1)
    np.testing.assert_array_equal(TrendScan(5, 20, view="down", least_t=8.0)(bars).values[known], sides[known] == -1)
    assert set(sides[known]) == {-1.0, 0.0, 1.0}


def test_a_perfect_line_and_a_level_one_have_finite_t_values(make_tape):
    rising = TrendScan(3, 5)(make_tape(100.0 + np.arange(10))).values[:6]
    assert (rising > 1e5).all()
    assert np.isfinite(rising).all()
    assert (TrendScan(3, 5)(make_tape(np.full(10, 100.0))).values[:6] == 0).all()


def test_trend_scan_loses_nothing_on_high_prices(make_tape):
    close = 1e6 + np.random.default_rng(0).normal(size=80).cumsum()
    expected = slow_surest(close - 1e6, range(5, 30))
    np.testing.assert_allclose(TrendScan(5, 29)(make_tape(close)).values, expected, rtol=1e-4)


def test_scaled_return_is_the_return_in_standard_deviations_known_by_then(make_bars):
    bars = make_bars(80, seed=3)
    values = ScaledReturn(horizon=4, volatility_window=10)(bars).values
    logs = np.diff(np.log(bars.close))
    for t in (10, 33, 75):
        expected = (bars.close[t + 4] / bars.close[t] - 1) / (np.std(logs[t - 10 : t], ddof=1) * 2)
        np.testing.assert_allclose(values[t], expected, rtol=1e-9)
    assert np.isnan(values[:10]).all()
    assert np.isnan(values[76:]).all()


def test_thresholds_of_scaled_returns_are_standard_deviations(make_bars):
    bars = make_bars(300, seed=3)
    sigmas = ScaledReturn(4, 10)(bars).values
    known = ~np.isnan(sigmas)
    for direction, beyond in (("up", sigmas > 1.5), ("down", sigmas < -1.5)):
        label = ScaledReturn(4, 10, threshold=1.5, direction=direction)
        assert label.is_binary
        np.testing.assert_array_equal(label(bars).values[known], beyond[known])


def test_a_price_that_rests_has_no_yardstick(make_tape):
    column = ScaledReturn(2, 5)(make_tape(np.full(30, 100.0)))
    assert (column.known_at == -1).all()


def test_trend_scan_on_a_year_of_minutes_takes_less_than_three_seconds(make_bars):
    bars = make_bars(525_600, seed=3, step=0.001)
    start = time.process_time()
    TrendScan(10, 60)(bars)
    assert time.process_time() - start < 3.0


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (Gradient, (1,), "window must be at least 2 bars"),
        (Gradient, (15, 5.0), "gain must be a fraction"),
        (Gradient, (15, 0.01, 0.02), "loss must be a fraction not above gain = 0.01, was 0.02"),
        (Gradient, (15, 0.01, 0.0, "backward"), "placement must be"),
        (Gradient, (15, 0.01, 0.0, "forward", "up"), "view must be"),
        (TrendScan, (2, 10), "shortest must be at least 3 closes"),
        (TrendScan, (10, 5), "longest must be at least shortest = 10, was 5"),
        (TrendScan, (5, 10, 0), "step must be at least 1"),
        (TrendScan, (5, 10, 1, "buy"), "view must be"),
        (TrendScan, (5, 10, 1, "t_value", 2.0), "least_t must be 0 or more, and 0 with"),
        (ScaledReturn, (0, 10), "horizon must be at least 1 bar"),
        (ScaledReturn, (5, 1), "volatility_window must be at least 2 bars, was 1"),
        (ScaledReturn, (5, 10, -1.0), "threshold must be a number of standard deviations"),
        (FutureReturn, (5, 0.1, "sideways"), "direction must be"),
    ],
)
def test_wrong_arguments_are_refused_in_words(part, arguments, message):
    with pytest.raises(ValueError, match=message):
        part(*arguments)
