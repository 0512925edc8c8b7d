import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.indicators.rolling import rolling_sum
from itb.indicators.rolling_lags import Line, lagged, rolling_known_mean, rolling_median


@settings(max_examples=50, deadline=None)
@given(window=st.integers(1, 30), count=st.integers(0, 200), holes=st.booleans(), seed=st.integers(0, 99))
def test_sums_and_medians_are_those_of_pandas(window: int, count: int, holes: bool, seed: int) -> None:
    values = np.random.default_rng(seed).lognormal(size=count)
    if holes:
        values[::17] = np.nan
    rolling = pd.Series(values).rolling(window)
    np.testing.assert_allclose(rolling_sum(values, window), rolling.sum(), rtol=1e-12)
    np.testing.assert_allclose(rolling_median(values, window), rolling.median(), rtol=1e-12)
    known = pd.Series(values).rolling(window, min_periods=1).mean()
    np.testing.assert_allclose(rolling_known_mean(values, window), known, rtol=1e-12)


def test_a_sum_is_0_only_where_all_values_are() -> None:
    values = np.concatenate([np.random.default_rng(0).lognormal(size=500), np.zeros(60), [1e-300]])
    sums = rolling_sum(values, 30)
    assert (sums[529:560] == 0).all()
    assert sums[560] == 1e-300


class TestLine:
    def test_known_slopes_and_ends(self) -> None:
        values = np.array([2.9, 3.1, 3.6, 3.8, 4, 4.1, 5])
        line = Line.of(values, 5)
        assert line.slope[4:] == pytest.approx([0.29, 0.24, 0.31])
        assert line.end[4:] == pytest.approx([4.06, 4.20, 4.72])
        whole = Line.of(values, 7)
        assert whole.slope[-1] == pytest.approx(0.310714, abs=5e-7)
        assert whole.end[-1] == pytest.approx(4.717857, abs=5e-7)

    def test_rounding_puts_no_point_of_a_straight_line_on_a_side(self) -> None:
        values = np.linspace(60_000, 60_030, 301)
        above, below = Line.of(values, 30).spread(values)
        assert (above[29:] == 0).all()
        assert (below[29:] == 0).all()

    def test_spread_is_that_of_a_loop_over_windows(self) -> None:
        values = 100 + np.cumsum(np.random.default_rng(3).normal(size=120))
        line = Line.of(values, 20)
        above, below = line.spread(values)
        for row in range(19, 120):
            part = values[row - 19 : row + 1]
            fitted = np.polyval(np.polyfit(np.arange(20), part, 1), np.arange(20))
            for side, chosen in ((above, part > fitted), (below, part < fitted)):
                expected = np.sqrt(((part[chosen] - part.mean()) ** 2).mean())
                assert side[row] == pytest.approx(expected, rel=1e-9)


def test_a_lag_beyond_the_history_leaves_nothing() -> None:
    assert np.isnan(lagged(np.ones(3), 5)).tolist() == [True] * 3
