from typing import Any, get_args

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.indicators.talib_features import TalibFeatures
from itb.indicators.window_relative import RelBase, RelFunc, WindowRelative
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars

SERIES = [np.array([12.0, 3.0]), np.array([10.0, 2.0]), np.array([8.0, 1.0])]


def related(*fields: Any, **more: Any) -> list[list[float]]:
    return [series.round(6).tolist() for series in WindowRelative(*fields, **more)(SERIES)]


class TestBase:
    def test_next_is_the_window_after_in_the_list(self) -> None:
        assert related("next", "diff") == [[2, 1], [2, 1], [8, 1]]

    def test_last_is_the_last_window(self) -> None:
        assert related("last", "diff") == [[4, 2], [2, 1], [8, 1]]

    def test_prev_is_the_window_before_in_the_list(self) -> None:
        assert related("prev", "diff") == [[12, 3], [-2, -1], [-2, -1]]

    def test_first_is_the_first_window_and_not_the_last(self) -> None:
        assert related("first", "diff") == [[12, 3], [-2, -1], [-4, -2]]

    def test_a_single_window_has_no_base_and_stays(self) -> None:
        assert WindowRelative("next", "rel")(SERIES[:1])[0].tolist() == [12, 3]


class TestFunction:
    def test_rel_divides_and_rel_diff_divides_the_difference(self) -> None:
        assert related("last", "rel")[0] == [1.5, 3.0]
        assert related("last", "rel_diff")[0] == [0.5, 2.0]

    def test_percentage_multiplies_every_series(self) -> None:
        assert related("last", "rel_diff", percentage=True) == [[50, 200], [25, 100], [800, 100]]

    def test_log_comes_last_and_is_nan_where_there_is_none(self) -> None:
        np.testing.assert_allclose(WindowRelative("last", "rel", log=True)(SERIES)[0], np.log([1.5, 3.0]))
        assert np.isnan(WindowRelative(log=True)([np.array([-1.0, 0.0])])[0]).all()

    def test_a_base_of_0_gives_nan(self) -> None:
        assert np.isnan(WindowRelative("next", "rel")([np.ones(1), np.zeros(1)])[0]).all()


class TestTalib:
    def test_columns_keep_the_names_that_intelligent_trading_bot_gives_them(self, hourly: Bars) -> None:
        family = TalibFeatures(
            ("SMA", "LINEARREG_SLOPE"), (2, 5, 20), rel_base="next", rel_func="rel_diff", percentage=True
        )
        assert family.names[:4] == ("close_SMA_2", "close_SMA_5", "close_SMA_20", "close_LINEARREG_SLOPE_2")
        values = family(hourly)
        averages = [talib.SMA(hourly.close, window) for window in (2, 5, 20)]
        np.testing.assert_allclose(values[19:, 0], (100 * (averages[0] - averages[1]) / averages[1])[19:], atol=1e-9)
        np.testing.assert_allclose(values[19:, 2], 100 * averages[2][19:])

    def test_window_1_of_a_level_is_the_series_itself(self, hourly: Bars) -> None:
        values = TalibFeatures(("MAX", "LINEARREG"), (1, 4))(hourly)
        np.testing.assert_array_equal(values[:, 0], hourly.close)
        np.testing.assert_array_equal(values[:, 2], hourly.close)
        change = TalibFeatures(("ROCP",), (1,))(hourly)[1:, 0]
        np.testing.assert_allclose(change, np.diff(hourly.close) / hourly.close[:-1], atol=1e-15)

    def test_each_output_is_related_to_the_same_output_of_another_window(self, hourly: Bars) -> None:
        absolute = TalibFeatures(("AROON", "SMA"), (5, 10))
        related = TalibFeatures(("AROON", "SMA"), (5, 10), rel_base="first", rel_func="diff")
        assert related.names == absolute.names
        plain, values = absolute(hourly), related(hourly)
        np.testing.assert_allclose(values[:, 2], plain[:, 2] - plain[:, 0])
        np.testing.assert_allclose(values[:, 3], plain[:, 3] - plain[:, 1])
        np.testing.assert_allclose(values[:, 5], plain[:, 5] - plain[:, 4])

    @pytest.mark.parametrize("name", ["LINEARREG", "LINEARREG_INTERCEPT", "TSF"])
    def test_lines_that_are_fitted_here_are_those_of_talib(self, name: str, hourly: Bars) -> None:
        values = TalibFeatures((name,), (2, 14, 100), rel_base="first", rel_func="diff")(hourly)
        first, second, third = (getattr(talib, name)(hourly.close, window) for window in (2, 14, 100))
        for column, expected in enumerate((first, second - first, third - first)):
            np.testing.assert_allclose(values[:, column], expected, rtol=1e-9, atol=1e-9 * hourly.close.max())

    @settings(max_examples=30, deadline=None)
    @given(
        name=st.sampled_from(["SMA", "EMA", "STDDEV", "LINEARREG", "RSI", "ATR", "BBANDS"]),
        windows=st.lists(st.integers(2, 60), min_size=1, max_size=4, unique=True),
        base=st.sampled_from(get_args(RelBase)[1:]),
        how=st.sampled_from(get_args(RelFunc)[1:]),
        is_log=st.booleans(),
    )
    def test_any_relation_obeys_the_laws(
        self, name: str, windows: list[int], base: RelBase, how: RelFunc, is_log: bool, hourly: Bars
    ) -> None:
        family = TalibFeatures((name,), tuple(windows), rel_base=base, rel_func=how, log=is_log)
        bars = hourly.tail(max(3 * family.warmup, 600))
        assert check_causal(family, bars, cuts=2)
        result = check_warmup(family, bars, points=3)
        assert result, str(result)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rel_base": "middle", "rel_func": "rel"}, "rel_base must be one of next, last, prev, first, was 'middle'"),
        ({"rel_base": "next", "rel_func": "ratio"}, "rel_func must be one of rel, diff, rel_diff"),
        ({"rel_base": "next"}, "rel_base needs rel_func beside it"),
        ({"rel_func": "rel"}, "rel_func needs rel_base beside it"),
        ({"percentage": True, "relative": "close"}, "use one of the two"),
    ],
)
def test_impossible_relations_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TalibFeatures(("SMA",), (5,), **fields)
