from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.indicators.itb_stats import ItbStats
from itb.indicators.window_relative import RelBase
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars, FloatArray

FUNCTIONS = (
    "scipy_skew",
    "scipy_kurtosis",
    "pandas_skew",
    "pandas_kurtosis",
    "lsbm",
    "fmax",
    "mean",
    "std",
    "area",
    "slope",
)


def longest_run(values: FloatArray) -> int:
    flags = "".join("x" if value < values.mean() else " " for value in values)
    return max(map(len, flags.split()), default=0)


def area(values: FloatArray) -> float:
    away = values - values[-1]
    return float(away.sum() / np.abs(away).sum())


def oracle(name: str, values: FloatArray, *, bias: bool) -> float:
    table: dict[str, Callable[[], Any]] = {
        "scipy_skew": lambda: scipy.stats.skew(values, bias=bias),
        "scipy_kurtosis": lambda: scipy.stats.kurtosis(values, bias=bias),
        "pandas_skew": pd.Series(values).skew,
        "pandas_kurtosis": pd.Series(values).kurtosis,
        "lsbm": lambda: longest_run(values),
        "fmax": lambda: values.argmax() / len(values),
        "mean": values.mean,
        "std": values.std,
        "area": lambda: area(values),
        "slope": lambda: np.polyfit(np.arange(len(values)), values, 1)[0],
    }
    return float(table[name]())


def bars_of(values: list[float]) -> Bars:
    ones = np.ones(len(values))
    times = np.arange(len(values)) * 60_000
    return Bars.of("X/USDT", "1m", times, open=ones, high=ones, low=ones, close=ones, volume=ones, x=values)


def column(function: str, window: int, values: list[float]) -> list[float]:
    values_of: list[float] = ItbStats((function,), (window,), ("x",))(bars_of(values))[:, 0].tolist()
    return values_of


@settings(max_examples=80, deadline=None)
@given(name=st.sampled_from(FUNCTIONS), window=st.integers(4, 40), row=st.integers(40, 5999), bias=st.booleans())
def test_each_value_is_the_statistic_of_its_window(name: str, window: int, row: int, bias: bool, hourly: Bars) -> None:
    values = ItbStats((name,), (window,), bias=bias)(hourly.slice(row - 40, row + 1))[-1, 0]
    expected = oracle(name, hourly.close[row - window + 1 : row + 1], bias=bias)
    assert values == pytest.approx(expected, rel=1e-8, abs=1e-9)


class TestKnownValues:
    def test_area_of_the_past_is_known(self) -> None:
        values = column("area", 4, [10, 20, 30, 20, 10, 20, 30])
        assert values[-1] == -1
        assert values[-2] == 0

    def test_slopes_over_two_and_six_values_are_known(self) -> None:
        values = [10.0, 20, 40, 40, 30, 10]
        assert column("slope", 2, values)[1:] == [10, 20, 0, -10, -20]
        assert column("slope", 6, values)[-1] == pytest.approx(0.857143, abs=5e-7)
        growing = [column("slope", count, values[:count])[-1] for count in range(1, 6)]
        assert growing == pytest.approx([0, 10, 15, 11, 6])

    def test_fmax_takes_the_first_of_equal_maxima(self) -> None:
        assert column("fmax", 4, [1, 7, 3, 7, 2])[3:] == [0.25, 0.0]

    def test_lsbm_counts_strictly_below_the_mean(self) -> None:
        assert column("lsbm", 5, [1, 2, 9, 1, 9])[-1] == 2
        assert column("lsbm", 3, [0.1, 0.1, 0.1, 0.1])[2:] == [0, 0]

    def test_equal_values_have_no_shape(self) -> None:
        for name in ("scipy_skew", "pandas_kurtosis", "area"):
            assert np.isnan(column(name, 4, [0.1] * 9)).all()
        assert column("std", 4, [0.1] * 6)[3:] == [0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(
    functions=st.sets(st.sampled_from(FUNCTIONS), min_size=1, max_size=4),
    windows=st.lists(st.integers(4, 120), min_size=1, max_size=3, unique=True),
    source=st.sampled_from(["close", "log_return", "volume"]),
    bias=st.booleans(),
)
def test_any_statistics_obey_the_laws(
    functions: set[str], windows: list[int], source: str, bias: bool, hourly: Bars
) -> None:
    family = ItbStats(tuple(sorted(functions)), tuple(windows), (source,), bias=bias)
    bars = hourly.head(700)
    assert check_causal(family, bars, cuts=2)
    result = check_warmup(family, bars, points=4)
    assert result, str(result)


@settings(max_examples=20, deadline=None)
@given(
    function=st.sampled_from(["mean", "std", "fmax"]),
    base=st.sampled_from(get_args(RelBase)[1:]),
    windows=st.lists(st.integers(2, 90), min_size=2, max_size=3, unique=True),
    percentage=st.booleans(),
)
def test_related_statistics_obey_the_laws(
    function: str, base: RelBase, windows: list[int], percentage: bool, hourly: Bars
) -> None:
    family = ItbStats((function,), tuple(windows), rel_base=base, rel_func="rel_diff", percentage=percentage)
    assert check_causal(family, hourly.head(500), cuts=2)
    assert check_warmup(family, hourly.head(500), points=4)


def test_related_statistics_keep_their_names_and_are_compared_by_function(hourly: Bars) -> None:
    plain = ItbStats(("mean", "std"), (3, 9))
    related = ItbStats(("mean", "std"), (3, 9), rel_base="last", rel_func="rel")
    assert related.names == plain.names == ("close_mean_3", "close_mean_9", "close_std_3", "close_std_9")
    before, after = plain(hourly), related(hourly)
    np.testing.assert_allclose(after[:, 0], before[:, 0] / before[:, 1])
    np.testing.assert_allclose(after[:, 2], before[:, 2] / before[:, 3])
    np.testing.assert_array_equal(after[:, 3], before[:, 3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"functions": ("median",), "windows": (5,)}, "functions: no statistic 'median'; there are scipy_skew"),
        ({"functions": ("scipy_kurtosis",), "windows": (3,)}, "windows of scipy_kurtosis must be at least 4 bars"),
        ({"functions": ("area",), "windows": (1,)}, "windows of area must be at least 2 bars, was 1"),
        ({"functions": ("mean",), "windows": (1,), "rel_base": "next"}, "rel_base needs rel_func"),
    ],
)
def test_impossible_statistics_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ItbStats(**fields)
