import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.aggregates import Aggregates
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars


@pytest.fixture(scope="module")
def minutes() -> Bars:
    return SyntheticMarket(bars=15_500, timeframe="1m", seed=8).bars()["BTC/USDT"]


def by_pandas(bars: Bars) -> pd.DataFrame:
    frame = bars.to_frame()
    usual = frame["volume"].rolling("1D").mean()
    excess = (frame["volume"] / usual - 1).fillna(1e-6)
    body = frame[["open", "close"]]
    single = {
        "H": (frame["high"] - frame["low"]) / frame["close"] * 1000,
        "T": (frame["high"] - body.max(axis=1)) / frame["close"] * 1000,
        "B": (body.min(axis=1) - frame["low"]) / frame["close"] * 1000,
        "V": excess,
        "DV": excess * frame["close"].pct_change(),
    }
    columns = {}
    for span in (1, 5, 15, 60, 240, 1440):
        for k in range(10):
            columns[f"{span}T_{k}_D"] = frame["close"].pct_change(span).shift(k * span)
            if span == 1:
                columns |= {f"1T_{k}_{kind}": values.shift(k) for kind, values in single.items()}
    return pd.DataFrame(columns)


def test_columns_are_those_of_pandas(minutes: Bars) -> None:
    family = Aggregates()
    expected = by_pandas(minutes)
    assert family.names == tuple(expected.columns)
    values = family(minutes)[family.warmup :]
    np.testing.assert_allclose(values, expected.to_numpy()[family.warmup :], rtol=1e-9, atol=1e-9)


def test_there_are_110_columns_and_10_days_of_warm_up() -> None:
    assert len(set(Aggregates().names)) == 110
    assert Aggregates().warmup == 14_400


def test_bars_without_any_volume_have_almost_no_excess(minutes: Bars) -> None:
    silent = minutes.with_columns(volume=np.zeros(len(minutes)))
    values = Aggregates()(silent)[14_400:]
    assert (values[:, Aggregates().names.index("1T_0_V")] == 1e-6).all()


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 99))
def test_it_obeys_the_laws(seed: int, minutes: Bars) -> None:
    assert check_causal(Aggregates(), minutes, cuts=1, seed=seed)
    result = check_warmup(Aggregates(), minutes, points=3, seed=seed)
    assert result, str(result)


def test_bars_too_few_for_it_give_nan(minutes: Bars) -> None:
    assert np.isnan(Aggregates()(minutes.head(3))[:, 10:]).sum() > 0
    assert np.isnan(Aggregates()(minutes.head(1000))[:, -10:]).all()
