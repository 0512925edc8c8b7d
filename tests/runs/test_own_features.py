"""Features in a person's own file: named in the config, checked by their signature and by the laws."""

from __future__ import annotations

import numpy as np
import pytest

from itb.config import parts
from itb.config.schema import schema
from itb.errors import ConfigError, FeatureError
from itb.runs.laws import check
from itb.runs.market import load_bars
from itb.runs.project import check_config
from itb.runs.steps import write_features

SOURCE = '''
from dataclasses import dataclass

import numpy as np
import pandas as pd

from itb.indicators.user_feature import user_feature


@user_feature(warmup=lambda window: window)
def momentum(bars, window: int = 20):
    """Change of the close over some bars."""
    return pd.Series(bars.close).pct_change(window)


@user_feature(warmup=lambda window, **_: window - 1, names=("low", "high"))
def channel(bars, window: int, scale: float = 1.0):
    low = pd.Series(bars.low).rolling(window).min()
    high = pd.Series(bars.high).rolling(window).max()
    return np.column_stack([bars.close / low, bars.close / high]) * scale


@user_feature(warmup=0)
def centred(bars, window: int = 5):
    return np.convolve(bars.close, np.ones(window) / window, mode="same") / bars.close - 1


@user_feature(warmup=0)
def broken(bars, by: float = 0.0):
    return bars.close / (1 / by)


@user_feature(warmup=0)
def short(bars):
    return bars.close[1:]


def bare(bars):
    return bars.close


@dataclass(frozen=True)
class Momentum:
    """The same as a class."""

    windows: tuple[int, ...] = (20,)

    def __post_init__(self):
        if min(self.windows) < 1:
            raise ValueError(f"windows must be at least 1 bar, was {min(self.windows)}")

    @property
    def names(self):
        return tuple(f"own_momentum_{window}" for window in self.windows)

    @property
    def warmup(self):
        return max(self.windows)

    def __call__(self, bars):
        close = pd.Series(bars.close)
        return np.column_stack([close.pct_change(window) for window in self.windows])


class Careless:
    names = ("careless",)

    def __init__(self):
        self.warmup = 1 / 0
'''


@pytest.fixture
def project(workspace, tmp_path):
    """Write the file and give a workspace whose only features are the given tables."""

    def make(*tables: str, files: str = "['mine.py']"):
        (tmp_path / "mine.py").write_text(SOURCE)
        return workspace(f"plugins.files={files}", f"features=[{', '.join(tables)}]")

    return make


def computed(place):
    bars = load_bars(place, "BTC/USDT")
    features = parts.feature_set(place.config, bars.columns)
    return features, features.compute(bars), bars


def test_a_function_is_a_family_whose_parameters_are_keys(project):
    features, matrix, bars = computed(
        project("{family='mine:momentum', window=7}", "{family='mine:channel', window=9, prefix='x'}")
    )
    assert features.names == ("momentum_7", "x_channel_9_1.0_low", "x_channel_9_1.0_high")
    assert features.warmup == 8
    expected = np.full(len(bars), np.nan)
    expected[7:] = bars.close[7:] / bars.close[:-7] - 1
    np.testing.assert_allclose(matrix[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(matrix[20, 1], bars.close[20] / bars.low[12:21].min(), rtol=1e-6)


def test_a_class_is_a_family_whose_fields_are_keys(project):
    features, matrix, _ = computed(project("{family='mine:Momentum', windows=[3, 20]}", "{family='mine:momentum'}"))
    assert features.names == ("own_momentum_3", "own_momentum_20", "momentum_20")
    assert np.array_equal(matrix[:, 1], matrix[:, 2], equal_nan=True)


def test_own_features_are_expanded_like_all_others(project):
    features, matrix, _ = computed(project("{family='mine:momentum', timeframes=['4h'], shifts=[1]}"))
    assert features.names == ("momentum_20", "momentum_20_shift_1", "4h_momentum_20", "4h_momentum_20_shift_1")
    assert np.isfinite(matrix[features.warmup :]).all()


def test_the_laws_hold_for_an_honest_one_and_catch_one_that_peeks(project):
    place = project("{family='mine:momentum'}", "{family='mine:Momentum'}", "{family='mine:centred'}")
    said = check(place)
    assert said.found
    verdicts = {(one["law"], one["subject"]): one["verdict"] for one in said.data["checks"]}
    assert verdicts["causal", "centred_5"] == "BROKEN"
    for honest in ("momentum_20", "own_momentum_20"):
        assert verdicts["causal", honest] == verdicts["warmup", honest] == "holds"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("{family='mine:momentum', windw=3}", 'features[1].windw: unknown key; did you mean "window"?'),
        ("{family='mine:momentum', window='3'}", 'features[1].window: expected a whole number, was "3"'),
        ("{family='mine:channel'}", "features[1].window: missing; this key has no default"),
        ("{family='mine:Momentum', windows=[0]}", "features[1].windows: must be at least 1 bar, was 0"),
        ("{family='mine:momentun'}", "features[1].family: no feature 'momentun' in mine.py; did you mean"),
        ("{family='mine:xyz'}", "features[1].family: no feature 'xyz' in mine.py; its features are momentum, channel"),
        ("{family='mine:bare'}", "features[1].family: bare is a plain function; put @user_feature(warmup=...) above"),
        ("{family='yours:momentum'}", "features[1].family: no yours.py in plugins.files; add it: files = "),
        ("{family='mine:Careless'}", "features[1]: mine:Careless: ZeroDivisionError: division by zero (in __init__, "),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(project, table, expected):
    with pytest.raises(ConfigError) as caught:
        check_config(project(table))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_feature_that_fails_is_one_line_with_the_place_in_its_file(project):
    with pytest.raises(FeatureError, match=r"mine:broken: ZeroDivisionError: .* \(in broken, mine\.py line \d+\)"):
        write_features(project("{family='mine:broken'}"))


def test_a_feature_of_the_wrong_shape_is_told(project):
    with pytest.raises(FeatureError, match=r"mine:short: .* must come as an array of shape \(600, 1\).*\(599, 1\)"):
        write_features(project("{family='mine:short'}"))
    said = check(project("{family='mine:short'}"))
    assert "it fails on some of the bars: mine:short" in str(said.data)


def test_an_editor_takes_a_family_of_one_s_own():
    choice = schema()["properties"]["features"]["items"]["anyOf"][-1]
    assert choice["properties"]["family"]["pattern"] == ":"
