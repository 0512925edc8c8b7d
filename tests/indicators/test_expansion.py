import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.indicators.bar_features import BarSeries, TimeOfClose
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.expansion import Named, Shifted, SideBySide
from itb.indicators.feature import Feature
from itb.indicators.feature_set import FeatureSet
from itb.indicators.itb_stats import ItbStats
from itb.indicators.on_source import OnSource
from itb.indicators.on_timeframe import OnTimeframe
from itb.indicators.rolling_stats import RollingStats
from itb.indicators.talib_features import TalibFeatures
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.aggregate import aggregate
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

HOUR, FOUR = Timeframe.parse("1h"), Timeframe.parse("4h")
FAMILIES = st.one_of(
    st.builds(lambda w: TalibFeatures(("EMA", "ATR"), (w,)), st.integers(2, 5)),
    st.builds(lambda w: RollingStats(("zscore", "max"), (w,), ("close", "log_return")), st.integers(2, 30)),
    st.builds(lambda w: ItbStats(("area", "slope"), (w,)), st.integers(2, 30)),
    st.builds(lambda lag: BarSeries(("body", "return"), (lag,)), st.integers(0, 9)),
    st.just(TimeOfClose(("day", "week"))),
)


def with_source(bars: Bars, gaps: list[tuple[int, int]] | None = None, prefix: str = "eth") -> Bars:
    """Put another market beside the bars, with rows that are not known."""
    rng = np.random.default_rng(8)
    level = np.exp(np.cumsum(rng.normal(0, 0.01, len(bars))))
    columns = {name: values * level for name, values in bars.columns.items()}
    for start, stop in gaps or []:
        for values in columns.values():
            values[start:stop] = np.nan
    return bars.with_columns(**{f"{prefix}_{name}": values for name, values in columns.items()})


class TestOnTimeframe:
    def test_a_value_is_that_of_the_newest_long_bar_that_has_closed(self, hourly: Bars) -> None:
        bars = hourly.slice(2, 400)
        longer = aggregate(hourly.head(400), "4h")
        ours = OnTimeframe(BarSeries(("close", "volume")), FOUR, HOUR)(bars)
        for row in range(len(bars)):
            closed = [
                place
                for place in range(len(longer))
                if longer.close_time[place] <= bars.close_time[row] and longer.open_time[place] >= bars.open_time[0]
            ]
            expected = [longer.close[closed[-1]], longer.volume[closed[-1]]] if closed else [np.nan, np.nan]
            assert np.array_equal(ours[row], expected, equal_nan=True)

    def test_a_running_bar_is_never_seen(self, hourly: Bars) -> None:
        feature = OnTimeframe(BarSeries(("close",)), FOUR, HOUR)
        for end in range(8, 16):
            assert feature(hourly.head(end))[-1, 0] == hourly.close[end // 4 * 4 - 1]

    @given(family=FAMILIES, hours=st.sampled_from([2, 3, 4, 12, 24]), start=st.integers(0, 30), seed=st.integers(0, 99))
    @settings(max_examples=25)
    def test_it_obeys_the_laws(self, hourly: Bars, family: Feature, hours: int, start: int, seed: int) -> None:
        feature = OnTimeframe(family, Timeframe.parse(f"{hours}h"), HOUR)
        bars = hourly.slice(start, start + feature.warmup + 300)
        assert check_causal(feature, bars, cuts=2, seed=seed)
        assert check_warmup(feature, bars, seed=seed)

    @given(missing=st.sets(st.integers(0, 499), max_size=200), seed=st.integers(0, 99))
    @settings(max_examples=25)
    def test_it_obeys_the_laws_where_bars_are_missing(self, hourly: Bars, missing: set[int], seed: int) -> None:
        kept = np.array([row for row in range(500) if row not in missing])
        bars = Bars("A/B", HOUR, hourly.open_time[kept], {n: v[kept] for n, v in hourly.columns.items()})
        feature = OnTimeframe(RollingStats(("zscore",), (7,)), FOUR, HOUR)
        assert check_causal(feature, bars, cuts=2, seed=seed)
        assert check_warmup(feature, bars, points=20, seed=seed)

    def test_one_bar_less_than_its_warmup_is_too_few(self, hourly: Bars) -> None:
        feature = OnTimeframe(RollingStats(("mean",), (5,)), FOUR, HOUR)
        bars = hourly.head(203)  # the newest long bar closed three bars ago
        assert np.isfinite(feature(bars.tail(feature.warmup + 1))[-1, 0])
        assert np.isnan(feature(bars.tail(feature.warmup))[-1, 0])

    def test_timeframes_that_do_not_fit_are_refused(self) -> None:
        for wrong in ("1h", "30m", "90m"):
            with pytest.raises(ValueError, match="timeframes must be made of whole bars of 1h, was"):
                OnTimeframe(TimeOfClose(), Timeframe.parse(wrong), HOUR)

    def test_other_bars_than_those_it_was_made_for_are_refused(self, hourly: Bars) -> None:
        with pytest.raises(ValueError, match="the bars must be of 1h"):
            OnTimeframe(TimeOfClose(), FOUR, HOUR)(aggregate(hourly, "2h"))


class TestOnSource:
    def test_it_computes_what_the_family_says_of_the_other_bars(self, hourly: Bars) -> None:
        bars = with_source(hourly.head(900))
        other = Bars.of("ETH", "1h", bars.open_time, **{name: bars[f"eth_{name}"] for name in hourly.columns})
        family = DefaultFeatures(flow=True)
        assert np.array_equal(OnSource(family, "eth")(bars), family(other), equal_nan=True)

    @given(
        family=FAMILIES,
        gaps=st.lists(st.tuples(st.integers(0, 500), st.integers(1, 60)), max_size=4),
        coarse=st.booleans(),
        seed=st.integers(0, 99),
    )
    @settings(max_examples=30)
    def test_it_obeys_the_laws_whatever_is_missing(
        self, hourly: Bars, family: Feature, gaps: list[tuple[int, int]], coarse: bool, seed: int
    ) -> None:
        feature = OnSource(OnTimeframe(family, FOUR, HOUR) if coarse else family, "eth")
        bars = with_source(hourly.head(feature.warmup + 300), [(start, start + length) for start, length in gaps])
        assert check_causal(feature, bars, cuts=2, seed=seed)
        assert check_warmup(feature, bars, points=20, seed=seed)

    def test_a_gap_is_nan_and_what_follows_warms_up_again(self, hourly: Bars) -> None:
        bars = with_source(hourly.head(100), [(0, 10), (50, 51)])
        values = OnSource(RollingStats(("mean",), (5,), ("close",)), "eth")(bars)[:, 0]
        assert np.flatnonzero(np.isfinite(values)).tolist() == [*range(14, 50), *range(55, 100)]

    def test_a_source_that_is_not_there_names_the_column(self, hourly: Bars) -> None:
        with pytest.raises(
            BarsError, match="no column 'sol_open', so there are no bars of 'sol'; the columns are open"
        ):
            OnSource(TimeOfClose(), "sol")(hourly)


class TestShifted:
    @given(family=FAMILIES, shifts=st.lists(st.integers(0, 20), min_size=1, max_size=3, unique=True))
    @settings(max_examples=20)
    def test_it_gives_earlier_rows_and_obeys_the_laws(self, hourly: Bars, family: Feature, shifts: list[int]) -> None:
        feature = Shifted(family, tuple(shifts))
        bars = hourly.head(feature.warmup + 100)
        now, shifted = family(bars), feature(bars).reshape(len(bars), len(family.names), len(shifts))
        for place, shift in enumerate(shifts):
            assert np.array_equal(shifted[shift:, :, place], now[: len(bars) - shift], equal_nan=True)
            assert np.isnan(shifted[:shift, :, place]).all()
        assert check_causal(feature, bars, cuts=2)
        assert check_warmup(feature, bars)

    def test_the_future_is_refused(self) -> None:
        with pytest.raises(ValueError, match="-1 would look ahead"):
            Shifted(TimeOfClose(), (-1,))


def test_features_that_are_wrapped_live_are_those_of_the_batch(hourly: Bars) -> None:
    day = OnTimeframe(Shifted(RollingStats(("zscore",), (9,)), (0, 1)), Timeframe.parse("1d"), HOUR)
    features = FeatureSet((SideBySide((Named(OnSource(day, "eth"), "eth"), TimeOfClose())),))
    bars = with_source(hourly.head(2000), [(300, 310)])
    assert features.names[:2] == ("eth_log_return_zscore_9", "eth_log_return_zscore_9_shift_1")
    batch = features.compute(bars)
    for end in range(1200, 1230):
        np.testing.assert_allclose(features.tail(bars.head(end))[0], batch[end - 1], rtol=2e-7)
