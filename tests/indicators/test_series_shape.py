import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.indicators.series_shape import SeriesShape
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars, FloatArray

EVERY = ("energy", "peaks", "curvature", "complexity", "autocorrelation", "c3")


def by_hand(function: str, x: FloatArray, lag: int) -> float:
    """Say it as tsfresh's documentation does, for one window."""
    n = len(x)
    if function == "energy":
        return float(sum(value**2 for value in x))
    if function == "peaks":
        return float(sum(x[i - 1] < x[i] > x[i + 1] for i in range(1, n - 1)))
    if function == "curvature":
        return float(np.mean([0.5 * (x[i + 2] - 2 * x[i + 1] + x[i]) for i in range(n - 2)]))
    if function == "complexity":
        return float(np.sqrt(sum((x[i + 1] - x[i]) ** 2 for i in range(n - 1))))
    if function == "c3":
        return float(np.mean([x[i] * x[i + lag] * x[i + 2 * lag] for i in range(n - 2 * lag)]))
    mean = x.mean()
    return float(sum((x[i] - mean) * (x[i + lag] - mean) for i in range(n - lag)) / ((n - lag) * x.var()))


@given(
    function=st.sampled_from(EVERY),
    lag=st.integers(1, 4),
    extra=st.integers(0, 30),
    name=st.sampled_from(["close", "log_return"]),
)
@settings(max_examples=40)
def test_every_number_is_that_of_the_definition_and_the_laws_hold(
    hourly: Bars, function: str, lag: int, extra: int, name: str
) -> None:
    window = 2 * lag + 1 + extra
    feature = SeriesShape((function,), (window,), (name,), lag)
    bars = hourly.head(120)
    found = feature(bars)[:, 0]
    values = bars.close if name == "close" else np.append(np.nan, np.diff(np.log(bars.close)))
    expected = [
        by_hand(function, values[row - window + 1 : row + 1], lag) if row >= feature.warmup else np.nan
        for row in range(len(bars))
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
    assert check_causal(feature, bars, cuts=2)
    assert check_warmup(feature, bars)


@pytest.mark.parametrize("function", EVERY)
def test_a_window_with_a_gap_in_it_is_nan_and_the_next_is_not(hourly: Bars, function: str) -> None:
    values = hourly.close[:60].copy()
    values[30] = np.nan
    bars = hourly.head(60).with_columns(x=values)
    found = SeriesShape((function,), (7,), ("x",))(bars)[:, 0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [*range(6), *range(30, 37)]


def test_a_history_shorter_than_the_window_is_nan(hourly: Bars) -> None:
    for count in range(1, 9):
        assert np.isnan(SeriesShape(EVERY, (9,), ("close",), 3)(hourly.head(count))).all()


def test_equal_values_have_no_memory(hourly: Bars) -> None:
    bars = hourly.head(20).with_columns(x=np.ones(20))
    assert np.isnan(SeriesShape(("autocorrelation",), (5,), ("x",))(bars)).all()


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="windows of c3 must be at least 5 bars, was 4"):
        SeriesShape(("c3",), (4,), lag=2)
    with pytest.raises(ValueError, match="functions: no function 'entropy'; there are energy, peaks"):
        SeriesShape(("entropy",), (4,))
    with pytest.raises(ValueError, match="lag must be at least 1 bar, was 0"):
        SeriesShape(("c3",), (4,), lag=0)
