from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.indicators.klines import Klines
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars, FloatArray

FUNCTIONS = (
    *("close_WMA", "close_STD", "volume_SMA", "span_SMA", "trades_SMA", "tb_base_SMA"),
    *("close_AREA", "close_SLOPE", "volume_SLOPE"),
)


def slope(values: FloatArray) -> float:
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def area(values: FloatArray) -> float:
    return float((values - values[-1]).sum() / np.abs(values - values[-1]).sum())


def by_pandas(bars: Bars, windows: tuple[int, ...], base: int, *, differences: bool) -> pd.DataFrame:
    frame = bars.to_frame()
    share = frame["taker_buy_base"] / frame["volume"]
    weight = frame["volume"].copy()
    if differences:
        for name in ("close", "volume", "trades"):
            frame[name] = 100 * frame[name].diff() / frame[name].shift()
    averages = {
        "close": lambda w: (frame["close"] * weight).rolling(w).mean() / weight.rolling(w).mean(),
        "close_std": lambda w: frame["close"].rolling(w).std(ddof=0),
        "volume": lambda w: frame["volume"].rolling(w).mean(),
        "span": lambda w: (frame["high"] - frame["low"]).rolling(w).mean(),
        "trades": lambda w: frame["trades"].rolling(w).mean(),
        "tb_base": lambda w: share.rolling(w).mean(),
    }
    columns = {
        f"{name}_{window}": 100 * (average(window) - average(base)) / average(base)
        for name, average in averages.items()
        for window in windows
    }
    for name, source, of in (
        ("close_area", "close", area),
        ("close_trend", "close", slope),
        ("volume_trend", "volume", slope),
    ):
        columns |= {f"{name}_{window}": frame[source].rolling(window).apply(of, raw=True) for window in windows}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("differences", [False, True])
def test_columns_are_those_of_pandas(differences: bool, hourly: Bars) -> None:
    bars = hourly.head(400)
    family = Klines((2, 5, 24), 72, use_differences=differences)
    expected = by_pandas(bars, (2, 5, 24), 72, differences=differences)
    assert family.names == tuple(expected.columns)
    values = family(bars)[family.warmup :]
    np.testing.assert_allclose(values, expected.to_numpy()[family.warmup :], rtol=1e-7, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    functions=st.sets(st.sampled_from(FUNCTIONS)),
    windows=st.lists(st.integers(2, 60), min_size=1, max_size=3, unique=True),
    base=st.integers(1, 150),
    differences=st.booleans(),
)
def test_any_set_obeys_the_laws(
    functions: set[str], windows: list[int], base: int, differences: bool, hourly: Bars
) -> None:
    family = Klines(tuple(windows), base, tuple(sorted(functions)), use_differences=differences)
    bars = hourly.head(600)
    assert check_causal(family, bars, cuts=2)
    result = check_warmup(family, bars, points=4)
    assert result, str(result)


def test_bars_without_volume_leave_the_taker_share_to_the_others(hourly: Bars) -> None:
    volume, taker = hourly.volume[:60].copy(), hourly["taker_buy_base"][:60].copy()
    volume[50:53] = taker[50:53] = 0.0
    bars = hourly.head(60).with_columns(volume=volume, taker_buy_base=taker)
    share = np.delete(taker[:58] / np.where(volume[:58] > 0, volume[:58], np.nan), [50, 51, 52])
    value = Klines((10,), 20, ("tb_base_SMA",))(bars)[57, 0]
    assert value == pytest.approx(100 * (share[-7:].mean() / share[-17:].mean() - 1))
    silent = Klines((2,), 20, ("tb_base_SMA", "close_WMA", "volume_SMA"))(bars)[52]
    assert np.isnan(silent).tolist() == [True, False, True]
    assert silent[1] == -100


def test_window_1_is_the_bar_itself(hourly: Bars) -> None:
    values = Klines((1,), 10, ("span_SMA", "close_SLOPE"))(hourly.head(50))
    span = hourly.high[:50] - hourly.low[:50]
    assert values[-1, 0] == pytest.approx(100 * (span[-1] / span[-10:].mean() - 1))
    assert values[-1, 1] == 0


def test_columns_that_are_missing_are_named(plain_hourly: Bars) -> None:
    assert Klines((5,), 10, ("close_WMA", "span_SMA"))(plain_hourly).shape[1] == 2
    with pytest.raises(BarsError, match="no column 'trades'"):
        Klines((5,), 10, ("trades_SMA",))(plain_hourly)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"functions": ("close_EMA",)}, "functions: no function 'close_EMA'; there are close_WMA"),
        ({"windows": (0, 5)}, "windows must be at least 1 bar, was 0"),
        ({"base_window": 0}, "base_window must be at least 1 bar, was 0"),
        ({"windows": (1, 5)}, "windows of close_AREA must be at least 2 bars, was 1"),
    ],
)
def test_impossible_sets_are_refused(fields: dict[str, Any], message: str) -> None:
    given_fields: dict[str, Any] = {"windows": (5,), "base_window": 10, **fields}
    with pytest.raises(ValueError, match=message):
        Klines(**given_fields)
