import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itb.mlmodels.labels import HighLow

# System A's columns: thresholds in tenths of a percent; from 0.75 % on one bar must reach it, below it no bar may.
COLUMNS = {
    **{f"high_{t}": ("high", t / 10) for t in (10, 15, 20, 25, 30)},
    **{f"high_0{t}": ("high", t / 10) for t in (1, 2, 3, 4, 5)},
    **{f"low_0{t}": ("low", t / 10) for t in (1, 2, 3, 4, 5)},
    **{f"low_{t}": ("low", t / 10) for t in (10, 15, 20, 25, 30)},
}


def slow(bars, horizon):
    """The definitions as a loop: percent up and down for every row whose bars are there, and all flags."""
    rows = []
    for t in range(len(bars) - horizon):
        now, later = bars.close[t], slice(t + 1, t + 1 + horizon)
        up = 100 * (max(bars.high[later]) - now) / now
        down = 100 * (min(bars.low[later]) - now) / now
        row = {"high_max": up, "low_min": down}
        above, below = max(up, 0.0), abs(min(down, 0.0))
        row["high_to_low"] = 2 * above / (above + below) - 1 if above + below else np.nan
        for t10 in (10, 15, 20, 25, 30):
            row |= {f"high_{t10}": up >= t10 / 10, f"low_{t10}": down <= -t10 / 10}
        for t10 in (1, 2, 3, 4, 5):
            row |= {f"high_0{t10}": up <= t10 / 10, f"low_0{t10}": down >= -t10 / 10}
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", COLUMNS)
def test_flags_are_those_of_system_a_under_its_names(name, make_bars):
    function, percent = COLUMNS[name]
    label = HighLow(function, horizon=6, threshold_pct=percent)
    assert (label.name, label.is_binary) == (name, True)
    bars = make_bars(200, seed=4, step=0.002)
    found = label(bars).values
    np.testing.assert_array_equal(found[:-6], [row[name] for row in slow(bars, 6)])
    assert np.isnan(found[-6:]).all()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 40), bars=st.integers(1, 60))
def test_numbers_are_those_of_a_plain_loop(seed, horizon, bars, make_bars):
    bars = make_bars(bars, seed=seed)
    for function, name in {"high": "high_max", "low": "low_min", "high_to_low": "high_to_low"}.items():
        label = HighLow(function, horizon)
        assert (label.name, label.is_binary) == (f"{name}_{horizon}", False)
        expected = [row[name] for row in slow(bars, horizon)] + [np.nan] * min(horizon, len(bars))
        np.testing.assert_allclose(label(bars).values, expected, rtol=1e-12)


def test_a_price_that_moves_neither_way_has_no_balance(make_tape):
    assert np.isnan(HighLow("high_to_low", 1)(make_tape([100.0, 100.0])).values[0])


def test_other_columns_can_be_looked_at(make_bars):
    bars = make_bars(50, seed=1)
    closes = HighLow("high", 5, columns=("close", "close", "close"))(bars).values
    moved = 100 * (np.lib.stride_tricks.sliding_window_view(bars.close[1:], 5).max(axis=1) / bars.close[:-5] - 1)
    np.testing.assert_allclose(closes[:-5], moved, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("up", 5), "function must be"),
        (("high", 0), "horizon must be at least 1 bar, was 0"),
        (("low", 5, -1.0), "turns it downward by itself"),
        (("high_to_low", 5, 1.0), "threshold_pct goes with function"),
        (("high", 5, 1.0, ("close", "high")), "columns must name"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        HighLow(*arguments)
