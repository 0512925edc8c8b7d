from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.indicators.feature import ColumnFamily
from itb.indicators.rolling import Moments, rolling_extreme, rolling_mean, rolling_rank, rolling_slope
from itb.indicators.rolling_stats import RollingRatio, RollingStats
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars, FloatArray

STATISTICS = ("mean", "std", "min", "max", "skew", "kurtosis", "slope", "zscore", "rank", "position")


def slope(values: FloatArray) -> float:
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def oracle(name: str, values: FloatArray, window: int) -> FloatArray:
    rolling = pd.Series(values).rolling(window)
    series = pd.Series(values)
    table: dict[str, Callable[[], Any]] = {
        "mean": rolling.mean,
        "std": rolling.std,
        "min": rolling.min,
        "max": rolling.max,
        "skew": rolling.skew,
        "kurtosis": rolling.kurt,
        "slope": lambda: rolling.apply(slope, raw=True),
        "zscore": lambda: (series - rolling.mean()) / rolling.std(),
        "rank": lambda: rolling.rank(pct=True),
        "position": lambda: (series - rolling.min()) / (rolling.max() - rolling.min()),
    }
    return np.asarray(table[name](), dtype=np.float64)


@settings(max_examples=80, deadline=None)
@given(name=st.sampled_from(STATISTICS), window=st.integers(4, 60), count=st.integers(0, 200), seed=st.integers(0, 999))
def test_statistics_are_those_of_pandas(name: str, window: int, count: int, seed: int, hourly: Bars) -> None:
    start = seed * 5
    part = hourly.slice(start, start + count)
    feature = RollingStats((name,), (window,), ("body",))
    values = feature(part)[:, 0]
    expected = oracle(name, np.log(part.close / part.open), window)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-9 if name != "kurtosis" else 1e-5)


@settings(max_examples=40, deadline=None)
@given(
    functions=st.sets(st.sampled_from(STATISTICS), min_size=1),
    windows=st.sets(st.integers(4, 150), min_size=1, max_size=3),
    inputs=st.sets(st.sampled_from(["close", "log_return", "volume", "taker_share", "range"]), min_size=1, max_size=2),
    relative=st.sampled_from(["", "close"]),
)
def test_any_statistics_obey_the_laws(
    functions: set[str], windows: set[int], inputs: set[str], relative: str, hourly: Bars
) -> None:
    feature = RollingStats(tuple(functions), tuple(windows), tuple(inputs), relative)
    bars = hourly.head(1000)
    assert check_causal(feature, bars, cuts=2)
    result = check_warmup(feature, bars, points=4)
    assert result, str(result)


@settings(max_examples=20, deadline=None)
@given(short=st.integers(1, 30), more=st.integers(1, 100))
def test_any_ratio_obeys_the_laws(short: int, more: int, hourly: Bars) -> None:
    feature = RollingRatio(((short, short + more),), ("volume", "range"))
    assert check_causal(feature, hourly.head(600), cuts=2)
    assert check_warmup(feature, hourly.head(600), points=4)


class TestPrecision:
    def test_numbers_do_not_drift_over_a_long_history_at_a_high_level(self) -> None:
        rng = np.random.default_rng(1)
        values = 1e9 + np.cumsum(rng.normal(size=200_000))
        for name in ("std", "skew", "kurtosis", "zscore"):
            whole, tail = (_statistic(name, part) for part in (values, values[-30:]))
            assert whole[-1] == pytest.approx(tail[-1], rel=1e-9)
        exact = np.std(values[-30:] - values[-30], ddof=1)
        assert _statistic("std", values)[-1] == pytest.approx(exact, rel=1e-12)

    def test_a_window_of_equal_values_has_no_spread_at_all(self) -> None:
        values = np.concatenate([np.random.default_rng(0).normal(size=50), np.full(100, 0.1)])
        moments = Moments.of(values, 7, 4)
        assert (moments.std[60:] == 0).all()
        assert np.isnan(moments.skew[60:]).all()
        assert np.isnan(moments.kurtosis[60:]).all()

    def test_a_nan_spoils_the_windows_that_hold_it_and_no_other(self) -> None:
        values = np.random.default_rng(0).normal(size=100)
        values[40] = np.nan
        for window in (2, 5, 7, 30):
            results = [
                rolling_mean(values, window),
                Moments.of(values, window, 2).std,
                rolling_extreme(values, window, np.minimum),
                rolling_slope(values, window),
                rolling_rank(values, window),
            ]
            for result in results:
                spoilt = np.flatnonzero(np.isnan(result[window - 1 :])) + window - 1
                assert spoilt.tolist() == list(range(max(40, window - 1), 40 + window))

    def test_windows_longer_than_the_history_give_nan(self) -> None:
        assert np.isnan(rolling_mean(np.ones(5), 6)).all()
        assert len(rolling_slope(np.ones(0), 6)) == 0

    def test_a_window_of_one_is_the_value_itself(self) -> None:
        values = np.random.default_rng(0).normal(size=20_000)
        assert np.array_equal(rolling_mean(values, 1), values)
        assert np.array_equal(rolling_extreme(values, 1, np.maximum), values)


def _statistic(name: str, values: FloatArray) -> FloatArray:
    ones = np.ones(len(values))
    times = np.arange(len(values)) * 3_600_000
    bars = Bars.of("X/USDT", "1h", times, open=ones, high=ones, low=ones, close=ones, volume=ones, level=values)
    return RollingStats((name,), (30,), ("level",))(bars)[:, 0]


def test_relative_statistics_are_compared_with_the_close(hourly: Bars) -> None:
    plain = RollingStats(("max", "slope", "rank"), (9,), ("close",))(hourly)[8:]
    relative = RollingStats(("max", "slope", "rank"), (9,), ("close",), relative="close")
    assert relative.names == ("close_max_9_rel_close", "close_slope_9_rel_close", "close_rank_9")
    close = hourly.close[8:]
    expected = np.column_stack([plain[:, 0] / close - 1, plain[:, 1] / close, plain[:, 2]])
    np.testing.assert_allclose(relative(hourly)[8:], expected, atol=1e-15)


def test_ratio_of_means_is_nan_where_the_long_mean_is_0(hourly: Bars) -> None:
    bars = hourly.head(50).with_columns(volume=np.r_[np.ones(20), np.zeros(20), np.ones(10)])
    values = RollingRatio(((2, 5),))(bars)[:, 0]
    assert values[10] == 1
    assert np.isnan(values[24:40]).all()
    assert values[40] == pytest.approx(0.5 / 0.2)


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        (RollingStats, {"functions": ("median",), "windows": (5,)}, "no statistic 'median'; there are mean"),
        (
            RollingStats,
            {"functions": ("kurtosis",), "windows": (5, 3)},
            "windows of kurtosis must be at least 4 bars, was 3",
        ),
        (RollingStats, {"functions": ("mean",), "windows": ()}, "windows must name at least one"),
        (RollingStats, {"functions": ("mean",), "windows": (0,)}, "at least 1 bars, was 0"),
        (RollingRatio, {"pairs": ((5, 5),)}, r"1 <= short < long, was \(5, 5\)"),
    ],
)
def test_impossible_statistics_are_refused(family: type[ColumnFamily], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        family(**fields)
