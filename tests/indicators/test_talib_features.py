from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.indicators.talib_features import TalibFeatures
from itb.indicators.talib_table import CUMULATIVE, talib_function, talib_names, talib_warmup
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

ORDINARY = tuple(name for name in talib_names() if name not in CUMULATIVE | {"VWAP", "MAVP"})
FUNCTIONS = [talib_function(name) for name in ORDINARY]
IN_PRICE_UNITS = [function.name for function in FUNCTIONS if function.kind(function.outputs[0]) != "pure"]


def family(name: str, **fields: Any) -> TalibFeatures:
    return TalibFeatures((name,), **fields)


@pytest.mark.parametrize("name", ORDINARY)
def test_every_function_is_causal_and_settles_within_its_warmup(name: str, hourly: Bars) -> None:
    feature = family(name)
    assert check_causal(feature, hourly, cuts=2, subject=name)
    result = check_warmup(feature, hourly, points=12, subject=name)
    assert result, str(result)


@pytest.mark.real
@pytest.mark.parametrize("file", ["binance/DOGEUSDT-1h.parquet", "binance/BTCUSDT-1m.parquet"])
def test_every_function_settles_on_real_bars(file: str, real_data: Callable[[str], Path]) -> None:
    table = pq.read_table(real_data(file))
    bars = Bars.from_arrow(table, "X/USDT", Timeframe.parse(file[-10:-8])).tail(6000)
    broken = [result for result in (check_warmup(family(name), bars, subject=name) for name in ORDINARY) if not result]
    assert broken == []


@pytest.mark.parametrize("name", sorted(CUMULATIVE))
def test_changes_of_cumulative_functions_obey_the_laws(name: str, hourly: Bars) -> None:
    feature = family(name, windows=(5, 48), windowed=True)
    assert feature.warmup == 48
    assert check_causal(feature, hourly, cuts=2)
    result = check_warmup(feature, hourly, points=12)
    assert result, str(result)


def test_variable_period_average_obeys_the_laws(hourly: Bars) -> None:
    periods = hourly.with_columns(periods=np.resize(np.arange(2.0, 31.0), len(hourly)))
    feature = family("MAVP", inputs=("close", "periods"))
    assert feature.names == ("close_periods_MAVP",)
    assert check_causal(feature, periods, cuts=2)
    assert check_warmup(feature, periods)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(
        ["EMA", "DEMA", "TEMA", "RMA", "RSI", "CMO", "ADX", "TRIX", "NATR", "T3", "ZLEMA", "KAMA", "KC"]
    ),
    window=st.integers(2, 60),
    seed=st.integers(0, 20),
)
def test_recursive_functions_settle_for_any_window(name: str, window: int, seed: int, hourly: Bars) -> None:
    result = check_warmup(family(name, windows=(window,)), hourly, points=3, seed=seed)
    assert result, str(result)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["SMA", "STDDEV", "VAR", "LINEARREG_SLOPE", "CCI", "MFI", "WILLR", "AROON", "CORREL", "BETA"]),
    window=st.integers(2, 200),
    seed=st.integers(0, 20),
)
def test_finite_functions_need_no_more_than_their_lookback(name: str, window: int, seed: int, hourly: Bars) -> None:
    feature = family(name, windows=(window,))
    assert feature.warmup <= window
    result = check_warmup(feature, hourly, points=3, seed=seed)
    assert result, str(result)


@pytest.mark.parametrize("matype", range(14))
@pytest.mark.parametrize(("name", "window"), [("BBANDS", (20,)), ("MA", (20,)), ("PPO", ()), ("STOCH", ())])
def test_every_kind_of_average_settles(name: str, window: tuple[int, ...], matype: int, hourly: Bars) -> None:
    key = "slowk_matype" if name == "STOCH" else "matype"
    result = check_warmup(family(name, windows=window, parameters={key: matype}), hourly, points=6)
    assert result, str(result)


def test_values_are_those_of_talib_after_the_warmup(hourly: Bars) -> None:
    feature = TalibFeatures(("SMA", "ATR", "MACD"), windows=(14,))
    high, low, close = hourly.high, hourly.low, hourly.close
    expected = [talib.SMA(close, 14), talib.ATR(high, low, close, 14), *talib.MACD(close)]
    computed = feature(hourly)
    for column, oracle in zip(computed.T, expected, strict=True):
        start = int(np.isfinite(column).argmax())
        assert np.array_equal(column[start:], oracle[start:])


def test_each_column_is_nan_up_to_its_first_value_or_until_it_is_settled(hourly: Bars) -> None:
    first = TalibFeatures(("SMA", "EMA", "RSI"), windows=(10, 20))
    settled = replace(first, settled=True)
    assert np.isnan(first(hourly)).sum(axis=0).tolist() == [9, 19, 9, 19, 10, 20]
    assert np.isnan(settled(hourly)).sum(axis=0).tolist() == [9, 19, 9 + 300, 19 + 600, 10 + 300, 20 + 600]
    assert first.warmup == settled.warmup


def test_first_values_are_those_of_talib(hourly: Bars) -> None:
    computed = TalibFeatures(("EMA", "RSI", "MACD", "ATR"), windows=(14,))(hourly)
    high, low, close = hourly.high, hourly.low, hourly.close
    expected = [talib.EMA(close, 14), talib.RSI(close, 14), *talib.MACD(close), talib.ATR(high, low, close, 14)]
    for column, oracle in zip(computed.T, expected, strict=True):
        assert np.array_equal(column, oracle, equal_nan=True)


def test_integer_outputs_are_nan_while_warming_up(hourly: Bars) -> None:
    computed = family("CDLDOJI")(hourly)[:, 0]
    assert np.isnan(computed[:10]).all()
    assert set(np.unique(computed[10:])) <= {0.0, 100.0}


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"functions": ("SMA",), "windows": (20,)}, ["close_SMA_20"]),
        ({"functions": ("RSI",)}, ["close_RSI_14"]),
        ({"functions": ("ATR",), "windows": (14,)}, ["high_low_close_ATR_14"]),
        ({"functions": ("SMA",), "windows": (5,), "inputs": ("close", "volume")}, ["close_SMA_5", "volume_SMA_5"]),
        ({"functions": ("CORREL",), "windows": (9,), "inputs": ("close", "volume")}, ["close_volume_CORREL_9"]),
        ({"functions": ("BETA",)}, ["high_low_BETA_5"]),
        ({"functions": ("MACD",)}, ["close_MACD_macd", "close_MACD_macdsignal", "close_MACD_macdhist"]),
        (
            {"functions": ("BBANDS",), "windows": (20,), "parameters": {"nbdevup": 2.5}},
            [f"close_BBANDS_{band}_20_nbdevup2.5" for band in ("upperband", "middleband", "lowerband")],
        ),
        (
            {"functions": ("STOCHF",), "parameters": {"fastk_period": 9.0}},
            ["high_low_close_STOCHF_fastk_fastk_period9", "high_low_close_STOCHF_fastd_fastk_period9"],
        ),
        ({"functions": ("CDLDOJI",)}, ["open_high_low_close_CDLDOJI"]),
        ({"functions": ("OBV",), "windows": (24,), "windowed": True}, ["close_volume_OBV_24"]),
        ({"functions": ("SMA", "RSI"), "windows": (7,), "relative": "close"}, ["close_SMA_7_rel_close", "close_RSI_7"]),
        (
            {"functions": ("SUPERTREND",), "relative": "close"},
            ["high_low_close_SUPERTREND_supertrend_10_rel_close", "high_low_close_SUPERTREND_trend_10"],
        ),
        ({"functions": ("STDDEV",), "windows": (9,), "inputs": ("log_return",)}, ["log_return_STDDEV_9"]),
    ],
)
def test_columns_are_named_by_inputs_function_output_window_and_parameters(
    fields: dict[str, Any], names: list[str]
) -> None:
    assert list(TalibFeatures(**fields).names) == names


class TestRelative:
    def test_levels_become_distances_from_the_close(self, hourly: Bars) -> None:
        computed = family("SMA", windows=(7,), relative="close")(hourly)[6:, 0]
        np.testing.assert_allclose(computed, talib.SMA(hourly.close, 7)[6:] / hourly.close[6:] - 1, atol=1e-15)

    def test_distances_become_shares_of_the_close(self, hourly: Bars) -> None:
        computed = family("MOM", windows=(7,), relative="close")(hourly)[7:, 0]
        np.testing.assert_allclose(computed, talib.MOM(hourly.close, 7)[7:] / hourly.close[7:])

    def test_pure_numbers_stay_as_they_are(self, hourly: Bars) -> None:
        assert np.array_equal(family("RSI", relative="close")(hourly), family("RSI")(hourly), equal_nan=True)

    def test_volumes_are_relative_to_the_volume_and_nan_where_it_is_0(self, hourly: Bars) -> None:
        volume = hourly.volume.copy()
        volume[100] = 0
        computed = family("SMA", windows=(3,), inputs=("volume",), relative="volume")(
            hourly.with_columns(volume=volume)
        )
        assert np.isnan(computed[:, 0]).sum() == 2 + 1

    @pytest.mark.parametrize("name", IN_PRICE_UNITS)
    def test_relative_prices_do_not_depend_on_the_unit_of_price(self, name: str, hourly: Bars) -> None:
        bars = hourly.head(2000)
        prices = {column: bars[column] * 1024 for column in ("open", "high", "low", "close")}
        feature = family(name, relative="close")
        np.testing.assert_allclose(feature(bars), feature(bars.with_columns(**prices)), rtol=1e-6, atol=1e-9)


class TestCumulative:
    def test_obv_over_a_window_is_the_volume_of_rises_less_that_of_falls(self, hourly: Bars) -> None:
        signed = np.sign(np.diff(hourly.close, prepend=np.nan)) * hourly.volume
        computed = family("OBV", windows=(24,), windowed=True)(hourly)[:, 0]
        expected = np.array([signed[row - 23 : row + 1].sum() for row in range(24, 300)])
        np.testing.assert_allclose(computed[24:300], expected, rtol=1e-9)

    @pytest.mark.parametrize("name", sorted(CUMULATIVE))
    def test_levels_are_refused_and_the_windowed_way_is_named(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} never settles.*windowed = true"):
            family(name)

    def test_vwap_is_refused_for_a_rolling_one(self) -> None:
        with pytest.raises(ValueError, match="use VWMA"):
            family("VWAP")


def test_index_functions_count_bars_back_to_the_latest_extreme(hourly: Bars) -> None:
    coarse = hourly.head(500).with_columns(level=np.round(hourly.close[:500], -2))
    ago = TalibFeatures(("MAXINDEX", "MINMAXINDEX"), windows=(10,), inputs=("level",))(coarse)[9:]
    windows = np.lib.stride_tricks.sliding_window_view(coarse["level"], 10)[:, ::-1]
    lowest, highest = windows.argmin(axis=1), windows.argmax(axis=1)
    assert np.array_equal(ago, np.column_stack([highest, lowest, highest]))


def test_ties_do_not_make_index_functions_depend_on_the_history(hourly: Bars) -> None:
    coarse = hourly.with_columns(level=np.round(hourly.close, -2))
    assert check_warmup(family("MINMAXINDEX", inputs=("level",)), coarse, points=300)


def test_angle_is_that_of_talib(hourly: Bars) -> None:
    computed = family("LINEARREG_ANGLE")(hourly)[13:, 0]
    np.testing.assert_allclose(computed, talib.LINEARREG_ANGLE(hourly.close)[13:], rtol=1e-6, atol=1e-6)


def test_infinities_become_nan(hourly: Bars) -> None:
    volume = hourly.volume.copy()
    volume[50:100] = 0
    values = family("DIV", inputs=("close", "volume"))(hourly.with_columns(volume=volume))[:, 0]
    assert np.isnan(values[50:100]).all()
    assert np.isfinite(values[:50]).all()


def test_input_with_a_nan_inside_is_refused(hourly: Bars) -> None:
    trades = hourly["trades"].copy()
    trades[70] = np.nan
    with pytest.raises(BarsError, match="'trades' is NaN in row 70"):
        family("SMA", inputs=("trades",))(hourly.with_columns(trades=trades))


def test_unknown_input_is_named_with_what_there_is(hourly: Bars) -> None:
    with pytest.raises(BarsError, match=r"no column or series 'clsoe'; the columns are open.*the series are return"):
        family("SMA", inputs=("clsoe",))(hourly)


def test_fewer_bars_than_the_warmup_give_only_nan(hourly: Bars) -> None:
    for count in (0, 1, 2, 30):
        computed = TalibFeatures(("SMA", "MACD", "CDLDOJI", "OBV"), windows=(50,), windowed=True)(hourly.head(count))
        assert computed.shape == (count, 6)
        assert np.isnan(computed[:, :4]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"functions": ("SMMA",)}, "TA-Lib has no function 'SMMA'; did you mean 'S?MA"),
        ({"functions": ()}, "functions must name at least one, was empty"),
        ({"functions": ("SMA", "SMA")}, "functions must name each once, was SMA, SMA"),
        ({"functions": ("SMA",), "windows": (5, 5)}, "windows must name each once, was 5, 5"),
        ({"functions": ("STDDEV",), "windows": (1,)}, "STDDEV: TA-Lib refuses the parameters timeperiod = 1"),
        ({"functions": ("MACD",), "windows": (5,)}, "none of MACD has a window; use parameters"),
        (
            {"functions": ("SMA",), "parameters": {"nbdevup": 2}},
            "none of the functions has 'nbdevup'; they have timeperiod",
        ),
        ({"functions": ("SMA",), "parameters": {"timeperiod": 5}}, "name it in windows"),
        ({"functions": ("MACD",), "parameters": {"fastperiod": 5.5}}, "fastperiod must be a whole number, was 5.5"),
        ({"functions": ("ATR",), "inputs": ("close",)}, "ATR reads high, low, close by itself"),
        ({"functions": ("CORREL",), "inputs": ("close",)}, "CORREL reads 2 series; inputs must name 2"),
        ({"functions": ("MAVP",)}, "MAVP needs a series of periods"),
    ],
)
def test_impossible_families_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TalibFeatures(**fields)


def test_unknown_function_far_from_any_name_points_to_the_list() -> None:
    with pytest.raises(ValueError, match=r"no function 'zzzzzz'; see https://ta-lib.org"):
        talib_function("zzzzzz")


def test_parameters_that_name_no_kind_of_average_leave_the_rest_alone() -> None:
    assert talib_warmup("BBANDS", {**talib_function("BBANDS").parameters, "timeperiod": 20}) == 19
