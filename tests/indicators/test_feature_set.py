import dataclasses
import importlib
import pkgutil
import subprocess
import sys
import time

import numpy as np
import pytest

from itb import indicators as room
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import BarsError
from itb.indicators.bar_features import BarSeries, TimeOfClose
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.feature import FloatMatrix
from itb.indicators.feature_set import FEATURES, FeatureSet
from itb.indicators.rolling_stats import RollingStats
from itb.indicators.series import SERIES, series
from itb.indicators.talib_features import TalibFeatures
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars


class HandMade:
    """A feature as a user writes it: three members, no base class."""

    names = ("close_over_open",)
    warmup = 0

    def __call__(self, bars: Bars) -> FloatMatrix:
        return np.asarray((bars.close / bars.open)[:, np.newaxis])


@pytest.fixture(scope="module")
def features() -> FeatureSet:
    return FeatureSet((TalibFeatures(("RSI", "MACD"), windows=(14,)), RollingStats(("std",), (5, 9)), HandMade()))


class TestFeatureSet:
    def test_names_are_those_of_its_features_in_order(self, features: FeatureSet) -> None:
        assert features.names[0] == "close_RSI_14"
        assert features.names[-3:] == ("log_return_std_5", "log_return_std_9", "close_over_open")

    def test_warmup_is_the_longest(self, features: FeatureSet) -> None:
        assert features.warmup == 33 + 30 * 26

    def test_it_computes_what_its_features_compute_as_float32_rows(self, features: FeatureSet, hourly: Bars) -> None:
        computed = features.compute(hourly)
        expected = np.hstack([feature(hourly) for feature in features.features]).astype(np.float32)
        assert computed.dtype == np.float32
        assert computed.flags.c_contiguous
        assert np.array_equal(computed, expected, equal_nan=True)

    @pytest.mark.parametrize("n", [1, 5, 300])
    def test_tail_gives_the_last_rows_from_the_last_bars(self, features: FeatureSet, hourly: Bars, n: int) -> None:
        np.testing.assert_allclose(features.tail(hourly, n), features.compute(hourly)[-n:], rtol=2e-7, atol=1e-12)

    def test_tail_of_a_short_history_is_nan_where_it_is_too_short(self, features: FeatureSet, hourly: Bars) -> None:
        rows = features.tail(hourly.head(12), 3)
        assert rows.shape == (3, 7)
        assert np.isnan(rows[:, 0]).all()
        assert np.isfinite(rows[:, -1]).all()

    @pytest.mark.parametrize("rows", [1000, 2999, 3000, 10_000])
    def test_blocks_hold_what_all_rows_together_hold(self, features: FeatureSet, hourly: Bars, rows: int) -> None:
        bars = hourly.head(3000)
        blocks = list(features.blocks(bars, rows))
        assert [len(block) for block in blocks] == [rows] * (3000 // rows) + ([3000 % rows] if 3000 % rows else [])
        np.testing.assert_allclose(np.concatenate(blocks), features.compute(bars), rtol=2e-7, atol=1e-12)

    def test_blocks_without_rows_are_refused(self, features: FeatureSet, hourly: Bars) -> None:
        with pytest.raises(ValueError, match="rows must be at least 1, was 0"):
            list(features.blocks(hourly, 0))

    def test_more_columns_than_a_turn_holds_stay_in_order(self, hourly: Bars) -> None:
        lags = tuple(range(75))
        computed = FeatureSet((BarSeries(("close",), lags),)).compute(hourly)
        assert all(computed[-1, lag] == np.float32(hourly.close[-1 - lag]) for lag in lags)

    def test_two_columns_of_one_name_are_refused(self) -> None:
        with pytest.raises(ValueError, match="two features make the column 'log_return'"):
            FeatureSet((BarSeries(("log_return",)), BarSeries(("log_return",), (0, 1))))

    def test_no_features_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one feature"):
            FeatureSet(())

    def test_no_rows_are_refused(self, features: FeatureSet, hourly: Bars) -> None:
        with pytest.raises(ValueError, match="n must be at least 1 row, was 0"):
            features.tail(hourly, 0)

    def test_equal_sets_are_equal(self) -> None:
        assert FeatureSet((DefaultFeatures(),)) == FeatureSet((DefaultFeatures(),))
        assert hash(FeatureSet((DefaultFeatures(),))) == hash(FeatureSet((DefaultFeatures(),)))


class TestDefaultFeatures:
    def test_they_work_on_bars_without_extras(self, plain_hourly: Bars) -> None:
        features = FeatureSet((DefaultFeatures(),))
        computed = features.compute(plain_hourly)
        assert len(features.names) == 60
        assert np.isfinite(computed[features.warmup :]).all()
        assert np.isnan(computed[features.warmup - 1]).any()

    def test_extras_add_taker_share_and_trade_size(self, hourly: Bars) -> None:
        features = FeatureSet((DefaultFeatures(flow=True),))
        assert set(features.names) - set(FeatureSet((DefaultFeatures(),)).names) == {
            *(f"taker_share_mean_{window}" for window in (1, 6, 12, 24, 48)),
            "trade_size_ratio_3_24",
            "trade_size_ratio_24_168",
        }
        assert np.isfinite(features.compute(hourly)[features.warmup :]).all()

    def test_they_are_causal(self, hourly: Bars) -> None:
        result = check_causal(FeatureSet((DefaultFeatures(flow=True),)).compute, hourly.head(2000), cuts=3)
        assert result, str(result)

    def test_they_settle_within_their_warmup(self, hourly: Bars) -> None:
        for feature in DefaultFeatures(flow=True).families:
            result = check_warmup(feature, hourly)
            assert result, str(result)

    def test_they_do_not_depend_on_the_level_of_prices(self, hourly: Bars) -> None:
        features = FeatureSet((DefaultFeatures(),))
        prices = {name: hourly[name] * 4096 for name in ("open", "high", "low", "close")}
        one, other = features.compute(hourly), features.compute(hourly.with_columns(**prices))
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)

    def test_they_bear_a_flat_market(self, plain_hourly: Bars) -> None:
        close = np.full(2000, 100.0)
        flat = dict.fromkeys(("open", "high", "low", "close"), close)
        computed = FeatureSet((DefaultFeatures(),)).compute(
            plain_hourly.head(2000).with_columns(**flat, volume=np.zeros(2000))
        )
        assert not np.isinf(computed).any()

    def test_they_can_learn_the_planted_structure(self) -> None:
        bars = SyntheticMarket(bars=60_000, seed=1).bars()["BTC/USDT"]
        features = FeatureSet((DefaultFeatures(flow=True),))
        known = features.compute(bars)[features.warmup : -1]
        coming = np.diff(np.log(bars.close))[features.warmup :]
        volatility = known[:, features.names.index("log_return_std_24")]
        known = (known - known.mean(axis=0)) / known.std(axis=0)
        half = len(known) // 2
        weights = np.linalg.lstsq(known[:half], (coming / volatility)[:half], rcond=None)[0]
        assert np.corrcoef(known[half:] @ weights, coming[half:])[0, 1] > 0.01


class TestBarSeries:
    def test_a_lag_is_the_value_of_an_earlier_bar(self, hourly: Bars) -> None:
        computed = BarSeries(("volume",), (0, 3))(hourly)
        assert np.array_equal(computed[3:, 1], hourly.volume[:-3])
        assert np.isnan(computed[:3, 1]).all()

    def test_a_negative_lag_would_look_ahead_and_is_refused(self) -> None:
        with pytest.raises(ValueError, match="a negative lag would look ahead"):
            BarSeries(("close",), (-1,))

    @pytest.mark.parametrize("name", sorted(SERIES))
    def test_every_series_obeys_the_laws(self, name: str, hourly: Bars) -> None:
        feature = BarSeries((name,), (0, 2))
        assert check_causal(feature, hourly.head(300), cuts=2)
        assert check_warmup(feature, hourly.head(300))

    def test_log_ranges_add_up(self, hourly: Bars) -> None:
        body = np.abs(series(hourly, "body"))
        parts = series(hourly, "upper_shadow") + series(hourly, "lower_shadow") + body
        np.testing.assert_allclose(parts, series(hourly, "range"), atol=1e-12)

    def test_shares_of_nothing_are_neutral(self, hourly: Bars) -> None:
        zeros = np.zeros(len(hourly))
        still = hourly.with_columns(
            volume=zeros, taker_buy_base=zeros, trades=zeros, open=hourly.close, high=hourly.close, low=hourly.close
        )
        assert (series(still, "taker_share") == 0.5).all()
        assert (series(still, "close_location") == 0.5).all()
        assert (series(still, "trade_size") == 0).all()

    def test_a_series_whose_column_is_absent_names_the_column(self, plain_hourly: Bars) -> None:
        with pytest.raises(BarsError, match="no column 'taker_buy_base'"):
            BarSeries(("taker_share",))(plain_hourly)


def bars_closing_at(time_ms: int) -> Bars:
    return Bars.of("X/USDT", "1h", [time_ms - 3_600_000], open=[1], high=[1], low=[1], close=[1], volume=[1])


class TestTimeOfClose:
    def test_midnight_and_monday_are_the_start(self, hourly: Bars) -> None:
        midnight = np.flatnonzero(hourly.close_time % 86_400_000 == 0)[0]
        assert TimeOfClose(("day",))(hourly)[midnight].tolist() == [0, 1]
        weekday = (hourly.close_time // 86_400_000 + 3) % 7  # Monday is 0
        monday = np.flatnonzero((weekday == 0) & (hourly.close_time % 86_400_000 == 0))[0]
        assert TimeOfClose(("week",))(hourly)[monday].tolist() == [0, 1]

    def test_a_session_starts_at_eight_and_a_month_on_its_first_day(self) -> None:
        closes = np.array(["2024-02-01T00:00", "2024-02-15T12:00", "2023-02-15T00:00", "2024-03-09T08:00"], "M8[ms]")
        values = {
            cycle: [
                TimeOfClose((cycle,))(bars_closing_at(int(close)))[0].round(12).tolist()
                for close in closes.astype(np.int64)
            ]
            for cycle in ("session", "month")
        }
        assert values["month"][:3] == [[0, 1], [0, -1], [0, -1]]
        assert values["session"][0] == values["session"][3] == [0, 1]
        assert values["session"][1] == [0, -1]

    def test_it_obeys_the_laws(self, hourly: Bars) -> None:
        every = TimeOfClose(("session", "day", "week", "month"))
        assert check_causal(every, hourly.head(300))
        assert check_warmup(every, hourly.head(300))

    def test_unknown_cycles_are_refused(self) -> None:
        with pytest.raises(ValueError, match="no cycle 'year'; there are session, day, week, month"):
            TimeOfClose(("year",))


def test_every_family_is_listed() -> None:
    wrappers = {"Named", "OnSource", "OnTimeframe", "OwnFeature", "Shifted", "SideBySide"}  # made by a family's keys
    sets = {"FeatureSet", "SignalSet"}
    rooms = [importlib.import_module(f"itb.indicators.{found.name}") for found in pkgutil.iter_modules(room.__path__)]
    kinds = {kind for module in rooms for kind in vars(module).values() if dataclasses.is_dataclass(kind)}
    parts = {kind for kind in kinds if isinstance(kind, type) and hasattr(kind, "warmup") and hasattr(kind, "names")}
    assert {kind.__name__ for kind in parts - set(FEATURES.values())} == wrappers | sets
    assert set(FEATURES.values()) <= parts


def test_a_hundred_features_of_ten_thousand_bars_take_no_time(hourly: Bars) -> None:
    features = FeatureSet((TalibFeatures(("SMA", "EMA", "RSI", "STDDEV"), windows=tuple(range(5, 30))),))
    features.compute(hourly)
    before = time.process_time()
    features.compute(hourly)
    assert time.process_time() - before < 0.2


def test_importing_the_room_loads_no_heavy_package() -> None:
    heavy = "('talib', 'pandas', 'scipy', 'backtrader')"
    code = f"import sys, itb.indicators.feature_set; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
