"""Any family with any parameters, expanded in any way, as a config names it, obeys the laws and is live what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from itb.config import load_config
from itb.config.parts import feature_set
from itb.config.toml import value
from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.depth import Depth
from itb.indicators.feature_set import FEATURES
from itb.laws.causal import check_causal
from itb.laws.columns import differ, scales
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars

Keys = dict[str, Any]
WINDOWS = st.lists(st.integers(5, 40), min_size=1, max_size=3, unique=True)


DRAWN: set[str] = set()  # filled where a family's parameters are described


def some(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True)


def family(name: str, **keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Keys]:
    DRAWN.add(name)
    return st.fixed_dictionaries({"family": st.just(name), **keys})


RELATIVE = {
    "rel_base": st.sampled_from(["next", "last", "prev", "first"]),
    "rel_func": st.sampled_from(["rel", "diff", "rel_diff"]),
    "percentage": st.booleans(),
    "log": st.booleans(),
}
SERIES = some("close", "log_return", "range", "volume", "close_location", "taker_share")
FAMILIES = (
    family("talib", functions=some("SMA", "STDDEV", "LINEARREG", "MAX", "ROC"), windows=WINDOWS, **RELATIVE),
    family("talib", functions=some("EMA", "RSI", "ATR", "CCI"), windows=st.lists(st.integers(2, 9), min_size=1)),
    family(
        "stats", functions=some("mean", "std", "skew", "zscore", "rank", "position"), windows=WINDOWS, inputs=SERIES
    ),
    family("ratio", pairs=st.lists(st.tuples(st.integers(1, 9), st.integers(10, 40)), min_size=1, unique=True)),
    family("series", inputs=SERIES, lags=st.lists(st.integers(0, 30), min_size=1, unique=True)),
    family("time", cycles=some("day", "week", "session", "month")),
    family(
        "itbstats", functions=some("scipy_skew", "pandas_kurtosis", "lsbm", "fmax", "area"), windows=WINDOWS, **RELATIVE
    ),
    family("klines", windows=WINDOWS, base_window=st.integers(1, 60), use_differences=st.booleans()),
    family("depth", windows=WINDOWS, base_window=st.integers(1, 60)),
    family("fracdiff", orders=st.just([0.4]), window=st.integers(2, 60), log=st.booleans()),
    family("shape", functions=some("energy", "peaks", "curvature", "autocorrelation"), windows=WINDOWS, inputs=SERIES),
    family(
        "cross", coins=st.just(["eth"]), windows=WINDOWS, functions=some("return", "strength", "beta", "correlation")
    ),
    family("derivatives", functions=st.just(["basis"]), perp=st.just("eth_close"), zscores=WINDOWS),
)
FIXED: list[Keys] = [
    {"family": "default"},
    {"family": "regression_condensed", "normalised": False},
    {"family": "regression_condensed", "normalised": True},
    {"family": "condensed_aggregates", "volume_average": "mean"},
    {"family": "condensed_aggregates", "volume_average": "median"},
    {"family": "aggregates"},
]
OPTIONAL = {"tsfresh"}  # not installed everywhere: its laws are in tests/indicators/test_tsfresh_features.py
EXPANSIONS = st.fixed_dictionaries(
    {},
    optional={
        "timeframes": st.lists(st.sampled_from(["2h", "3h", "12h"]), min_size=1, max_size=2, unique=True),
        "shifts": st.lists(st.integers(1, 20), min_size=1, max_size=2, unique=True),
        "coins": st.just(["eth"]),
        "prefix": st.sampled_from(["a", "b_c"]),
        "source": st.just("eth"),
    },
)


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Bars with an order book, beside another coin that begins late and has a hole."""
    main, other = SyntheticMarket(bars=2500, symbols=("BTC/USDT", "ETH/USDT"), seed=5).bars().values()
    rng = np.random.default_rng(1)
    book = {name: rng.lognormal(size=len(main)) for name in Depth().inputs}
    eth = {f"eth_{name}": values.copy() for name, values in {**other.columns, **book}.items()}
    for values in eth.values():
        values[:40] = values[2100:2120] = np.nan
    return main.with_columns(**book, **eth)


@given(chosen=st.one_of(FAMILIES), expansion=EXPANSIONS, start=st.integers(0, 60), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_every_family_obeys_the_laws_with_any_parameters_and_expansion(
    bars: Bars, chosen: Keys, expansion: Keys, start: int, seed: int
) -> None:
    reads_others = chosen["family"] in {"cross", "derivatives"}
    assume(not (reads_others and {"coins", "source"} & set(expansion)))
    assume(not ("source" in expansion and "coins" in expansion))
    config = load_config(overrides=[f"features=[{value({**chosen, **expansion})}]"], environ={})
    features = feature_set(config, bars.columns)
    (feature,) = features.features
    assume(feature.warmup < 2000)
    part = bars.slice(start, None).tail(feature.warmup + 250)
    assert check_causal(feature, part, cuts=1, seed=seed)
    result = check_warmup(feature, part, points=6, seed=seed)
    assert result, str(result)
    batch = features.compute(part).astype(np.float64)
    live = features.tail(part, 3).astype(np.float64)
    assert not differ(live, batch[-3:], 3e-7, scales(batch)).any()


@pytest.fixture(scope="module")
def minutes() -> Bars:
    """More bars than the longest window of FollowUpward's families, ten days of minutes, reaches back."""
    return SyntheticMarket(bars=14_600, timeframe="1m", seed=5).bars()["BTC/USDT"]


@pytest.mark.parametrize("chosen", FIXED, ids=lambda keys: "-".join(map(str, keys.values())))
def test_families_of_fixed_windows_obey_the_laws(minutes: Bars, chosen: Keys) -> None:
    config = load_config(overrides=[f"features=[{value(chosen)}]"], environ={})
    (feature,) = feature_set(config, minutes.columns).features
    assert check_causal(feature, minutes, cuts=2, seed=1)
    result = check_warmup(feature, minutes, points=2, seed=1)
    assert result, str(result)


def test_no_family_is_left_out_of_the_laws() -> None:
    assert {keys["family"] for keys in FIXED} | DRAWN | OPTIONAL == set(FEATURES)
