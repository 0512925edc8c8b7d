import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itb.mlmodels.labels import FirstHit, PeakDip
from itb.mlmodels.labels.first_hit import first_hits
from itb.mlmodels.labels.peak_dip import peaks_and_dips

CLOSE = [1, 1.02, 1.015, 1.016, 1.03, 1.024, 1.025, 1.026, 1.025]
CLOSE += [1.024, 1.035, 1.022, 1.021, 1.02, 1.016, 1.014, 1.012, 1.024]
GAINS = [0.03, -0.004902, 0.014778, 0.01378, -0.005825, 0.010742, 0.009756, -0.001949, -0.000976]
GAINS += [0.010742, -0.022222, -0.009785, -0.008815, -0.007843, -0.003937, -0.001972, 0.011858, 0]


def slow_first_hits(close, up, low, window):
    """FollowUpward's loop: the closes after the one before, in their order, as far as there are any."""
    classes = [0]
    for i in range(1, len(close)):
        base, now, found = close[i - 1], close[i] / close[i - 1] - 1, 0
        for d in range(1, min(len(close) - i + 1, window)):
            far = (close[i - 1 + d] - base) / close[i - 1 + d]
            if (far < -low or far > up) and now != 0:
                found = (2 if now < 0 else 0) if far < -low else (1 if now > 0 else 0)
                break
        classes.append(found)
    return classes


def slow_peaks_and_dips(close, up, low, window):
    """FollowUpward's way back through the closes with its two lists."""
    classes, gains = [0], [0.0]
    dips, peaks, last = [], [], None
    for i in range(len(close) - 2, -1, -1):
        falls = close[i + 1] / close[i] - 1 <= 0
        mine = dips if falls else peaks
        if last != falls:
            mine.append(i + 1)
        last = falls
        while mine[0] != mine[-1]:
            lies_behind = close[mine[-1]] < close[mine[0]] if falls else close[mine[-1]] > close[mine[0]]
            if not (mine[0] - i > window or lies_behind):
                break
            del mine[0]
        gain = close[mine[0]] / close[i] - 1
        found = 0
        if falls and gain < -low:
            found, peaks = 2, [peak for peak in peaks if peak < mine[0]]
        elif not falls and gain > up:
            found, dips = 1, [dip for dip in dips if dip < mine[0]]
        classes.insert(0, found)
        gains.insert(0, gain)
    return classes, gains


ticks = st.lists(st.integers(190, 210).map(float), min_size=1, max_size=120)
moved = {"up": st.sampled_from([0.005, 0.01, 0.03]), "low": st.sampled_from([0.005, 0.02])}


def test_first_hits_give_the_published_values_of_system_c():
    published = [0, 1, 0, 1, 1, 2, 1, 0, 2, 2, 1, 2, 2, 2, 2, 0, 0, 1]
    assert first_hits(np.array(CLOSE), up=0.01, low=0.005, window=30).tolist() == published
    assert slow_first_hits(CLOSE, 0.01, 0.005, 30) == published


def test_peaks_and_dips_give_the_published_values_of_system_c():
    classes, gains = peaks_and_dips(np.array(CLOSE), up=0.01, low=0.005, window=30)
    assert classes.tolist() == [1, 0, 1, 1, 2, 1, 0, 0, 0, 1, 2, 2, 2, 2, 0, 0, 1, 0]
    np.testing.assert_allclose(gains, GAINS, atol=6e-7)


@given(close=ticks, window=st.integers(3, 40), **moved)
def test_first_hits_equal_a_plain_loop_also_on_the_edge(close, window, up, low):
    assert first_hits(np.array(close), up, low, window).tolist() == slow_first_hits(close, up, low, window)


@given(close=ticks, window=st.integers(1, 40), **moved)
def test_peaks_and_dips_equal_a_plain_loop(close, window, up, low):
    found = peaks_and_dips(np.array(close), up, low, window)
    expected = slow_peaks_and_dips(close, up, low, window)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_first_hit_leaves_rows_unknown_whose_window_is_cut_off(make_tape):
    values = FirstHit(window=6)(make_tape(CLOSE)).values
    np.testing.assert_array_equal(values[1:-4], slow_first_hits(CLOSE, 0.01, 0.005, 6)[1:-4])
    assert np.isnan(values[[0, -4, -3, -2, -1]]).all()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    close=st.lists(st.sampled_from([98.0, 99.0, 100.0, 101.0, 103.0]), min_size=2, max_size=90),
    more=st.lists(st.sampled_from([90.0, 99.0, 100.0, 102.0, 110.0]), max_size=60),
    window=st.integers(1, 12),
)
def test_no_further_closes_change_a_known_peak_or_dip(close, more, window, make_tape):
    label = PeakDip(window=window, view="gain")
    early, late = label(make_tape(close)), label(make_tape([*close, *more]))
    known = early.known_at >= 0
    np.testing.assert_array_equal(early.values[known], late.values[: len(close)][known])
    np.testing.assert_array_equal(
        known, (late.known_at >= 0)[: len(close)] & (late.known_at[: len(close)] < len(close))
    )


def test_all_but_the_newest_bars_of_a_market_are_settled_within_a_few_windows(make_bars):
    column = PeakDip()(make_bars(5000, seed=1, step=0.002))
    known = np.flatnonzero(column.known_at >= 0)
    assert len(known) > 4850
    assert (column.known_at[known] - known).max() < 5 * 30


def test_a_long_rest_of_the_price_is_settled_when_it_ends(make_tape):
    column = PeakDip(window=5)(make_tape([*[100.0] * 500, 100.001, *[100.0] * 9]))
    assert set(column.known_at[:499]) == {500, 505}
    assert (column.values[:499] == 0).all()
    assert (column.known_at[500:] == -1).all()


def test_views_tell_one_class_from_the_others(make_bars):
    bars = make_bars(300, seed=1)
    for part in (FirstHit, PeakDip):
        classes = part()(bars).values
        for view, number in (("buy", 1), ("sell", 2)):
            label = part(view=view)
            assert label.is_binary
            assert label.classes == (0.0, 1.0)
            np.testing.assert_array_equal(label(bars).values, np.where(np.isnan(classes), np.nan, classes == number))
        assert (part().is_binary, part().classes) == (False, (0.0, 1.0, 2.0))


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (FirstHit, {"up": 0.0}, "up must be a positive fraction"),
        (FirstHit, {"low": -0.005}, "low must be a positive fraction"),
        (FirstHit, {"window": 2}, "window must be at least 3 bars"),
        (FirstHit, {"view": "gain"}, "view must be"),
        (PeakDip, {"up": 1.0}, "up must be a positive fraction"),
        (PeakDip, {"window": 0}, "window must be at least 1 bar"),
        (PeakDip, {"view": "hold"}, "view must be"),
    ],
)
def test_wrong_arguments_are_refused_in_words(part, arguments, message):
    with pytest.raises(ValueError, match=message):
        part(**arguments)
