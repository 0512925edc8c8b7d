import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.indicators.cross import Cross
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars, FloatArray


@pytest.fixture(scope="module")
def bars(hourly: Bars) -> Bars:
    """Bars beside a coin that they follow by half, one that is not always known, and one that stands still."""
    rng = np.random.default_rng(2)
    market = np.diff(np.log(hourly.close), prepend=np.log(hourly.close[0]))
    eth = 3000 * np.exp(np.cumsum(2 * market + rng.normal(0, 0.005, len(market))))
    sol = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, len(market))))
    sol[:50] = sol[300:310] = np.nan
    return hourly.with_columns(eth_close=eth, sol_close=sol, usdc_close=np.ones(len(market)))


def by_hand(function: str, close: FloatArray, other: FloatArray, row: int, window: int) -> float:
    if row < window:
        return float("nan")
    ours, theirs = (np.log(x[row - window + 1 : row + 1] / x[row - window : row]) for x in (close, other))
    growth = close[row] / close[row - window], other[row] / other[row - window]
    if function == "return":
        return float(growth[1] - 1)
    if function == "strength":
        return float(growth[0] / growth[1] - 1)
    if function == "beta":
        return float(np.cov(ours, theirs)[0, 1] / theirs.var(ddof=1))
    return float(np.corrcoef(ours, theirs)[0, 1])


@pytest.mark.parametrize("coin", ["eth", "sol"])
@pytest.mark.parametrize("function", ["return", "strength", "beta", "correlation"])
def test_every_number_is_that_of_the_definition(bars: Bars, coin: str, function: str) -> None:
    ours = Cross((coin,), (3, 24), (function,))(bars)
    for row in [0, 2, 3, 24, 49, 51, 53, 100, 299, 302, 311, 333, 334, 2000, len(bars) - 1]:
        expected = [by_hand(function, bars.close, bars[f"{coin}_close"], row, window) for window in (3, 24)]
        np.testing.assert_allclose(ours[row], expected, rtol=1e-9, atol=1e-12, err_msg=f"row {row}")


def test_a_market_follows_itself(bars: Bars) -> None:
    same = Cross(("own",), (30,), ("strength", "beta", "correlation"))(bars.with_columns(own_close=bars.close))
    np.testing.assert_allclose(same[30:], np.tile([0.0, 1.0, 1.0], (len(bars) - 30, 1)), rtol=1e-12)


def test_a_coin_that_stands_still_has_no_beta(bars: Bars) -> None:
    assert np.isnan(Cross(("usdc",), (30,), ("beta", "correlation"))(bars)).all()


@given(
    windows=st.lists(st.integers(2, 60), min_size=1, max_size=3, unique=True),
    coins=st.sampled_from([("eth",), ("sol",), ("eth", "sol")]),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_it_obeys_the_laws(bars: Bars, windows: list[int], coins: tuple[str, ...], seed: int) -> None:
    feature = Cross(coins, tuple(windows))
    assert check_causal(feature, bars.head(500), cuts=2, seed=seed)
    assert check_warmup(feature, bars.head(500), points=20, seed=seed)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="functions: no function 'alpha'; there are return, strength"):
        Cross(("eth",), (5,), ("alpha",))
    with pytest.raises(ValueError, match="windows of beta must be at least 2 bars, was 1"):
        Cross(("eth",), (1, 5))
    with pytest.raises(ValueError, match="coins must name at least one"):
        Cross((), (5,))


def test_a_coin_that_is_not_there_is_named(hourly: Bars) -> None:
    with pytest.raises(BarsError, match="no column 'ada_close'"):
        Cross(("ada",), (5,))(hourly)
