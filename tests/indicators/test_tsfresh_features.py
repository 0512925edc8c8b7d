import builtins
import importlib.util
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from itb.errors import FeatureError
from itb.indicators.itb_stats import ItbStats
from itb.indicators.series_shape import SeriesShape
from itb.indicators.tsfresh_features import TsfreshFeatures
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars

needs_tsfresh = pytest.mark.skipif(importlib.util.find_spec("tsfresh") is None, reason="tsfresh is not installed")


def test_without_the_package_one_line_says_how_to_get_it(hourly: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "tsfresh":
            raise ImportError(name)
        return real(name, *more, **named)

    feature = TsfreshFeatures(("skewness",), (30,))
    assert feature.warmup == 29
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FeatureError, match=r'which is not installed; pip install "itb\[tsfresh\]"'):
        feature(hourly)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'os\.system' is no name of a calculator"):
        TsfreshFeatures(("os.system",), (30,))
    with pytest.raises(ValueError, match="windows must be at least 1 bar, was 0"):
        TsfreshFeatures(("skewness",), (0,))


def test_a_calculator_that_fails_is_told_in_one_line(hourly: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    def share(window: Any, parts: float) -> float:
        return float(len(window) // parts)

    calculators = SimpleNamespace(share=share)
    vars(share)["fctype"] = "simple"
    monkeypatch.setitem(sys.modules, "tsfresh", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "tsfresh.feature_extraction", SimpleNamespace(feature_calculators=calculators))
    assert TsfreshFeatures(("share",), (4,), parameters={"parts": 2})(hourly)[-1, 0] == 2
    with pytest.raises(FeatureError, match="tsfresh's share: ZeroDivisionError: "):
        TsfreshFeatures(("share",), (4,), parameters={"parts": 0})(hourly)


@needs_tsfresh
def test_calculators_agree_with_the_fast_families_and_keep_the_laws(hourly: Bars) -> None:
    bars = hourly.head(150)
    names = ("skewness", "kurtosis", "longest_strike_below_mean", "abs_energy", "mean_second_derivative_central")
    slow = TsfreshFeatures((*names, "autocorrelation", "c3"), (20,), parameters={"lag": 2})
    fast = np.hstack(
        [
            ItbStats(("pandas_skew", "pandas_kurtosis", "lsbm"), (20,))(bars),
            SeriesShape(("energy", "curvature", "autocorrelation", "c3"), (20,), ("close",), 2)(bars),
        ]
    )
    np.testing.assert_allclose(slow(bars), fast, rtol=1e-6, atol=1e-9)
    assert check_causal(slow, bars, cuts=2)
    assert check_warmup(slow, bars)


@needs_tsfresh
def test_calculators_that_are_not_there_or_give_more_than_a_number_are_named(hourly: Bars) -> None:
    with pytest.raises(FeatureError, match="no calculator 'fft_coefficient' that gives one number"):
        TsfreshFeatures(("fft_coefficient",), (20,))(hourly)
    with pytest.raises(FeatureError, match="c3 needs parameters: lag"):
        TsfreshFeatures(("c3",), (20,))(hourly)
