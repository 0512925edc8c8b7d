import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.indicators.derivatives import Derivatives
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars

HOUR = 3_600_000
EVERY = ("funding", "funding_age", "funding_sum", "funding_annual", "basis", "premium")


@pytest.fixture(scope="module")
def settlements(hourly: Bars) -> list[tuple[int, float]]:
    """Settlements with their rates: every 8 hours, later every 4, one minute late, the first after two days."""
    rng = np.random.default_rng(4)
    start = int(hourly.open_time[0])
    hours = [*range(48, 3000, 8), *range(3000, 6000, 4)]
    return [(start + hour * HOUR + 60_000, round(float(rng.normal(1e-4, 1e-4)), 6)) for hour in hours]


@pytest.fixture(scope="module")
def bars(hourly: Bars, settlements: list[tuple[int, float]]) -> Bars:
    """Bars with funding as of each close; the perpetual is not known for a while."""
    rng = np.random.default_rng(3)
    rate, time = np.full(len(hourly), np.nan), np.full(len(hourly), np.nan)
    for row, close in enumerate(hourly.close_time.tolist()):
        known = [one for one in settlements if one[0] <= close]
        if known:
            time[row], rate[row] = known[-1]
    perp, mark = (hourly.close * np.exp(rng.normal(1e-3, 1e-3, len(hourly))) for _ in range(2))
    perp[700:720] = np.nan
    return hourly.with_columns(funding_rate=rate, funding_time=time, perp_close=perp, mark_close=mark)


def test_basis_and_premium_are_over_spot(bars: Bars) -> None:
    basis, premium = Derivatives(("basis", "premium"))(bars).T
    np.testing.assert_allclose(basis, bars["perp_close"] / bars.close - 1, rtol=1e-12)
    np.testing.assert_allclose(premium, bars["mark_close"] / bars.close - 1, rtol=1e-12)
    assert np.isnan(basis[700:720]).all()


def test_columns_may_have_other_names(bars: Bars) -> None:
    swapped = Derivatives(("basis",), perp="close", spot="perp_close")(bars)[:, 0]
    np.testing.assert_allclose(swapped, bars.close / bars["perp_close"] - 1, rtol=1e-12)


def test_each_settlement_is_counted_once_whatever_the_interval(
    bars: Bars, settlements: list[tuple[int, float]]
) -> None:
    total, yearly = Derivatives(("funding_sum", "funding_annual"), windows=(24,))(bars).T
    for row in [72, 73, 100, 2995, 3010, 3024, 5999]:
        end = int(bars.close_time[row])
        seen = [rate for time, rate in settlements if end - 24 * HOUR < time <= end]
        np.testing.assert_allclose(total[row], sum(seen), rtol=1e-12)
        np.testing.assert_allclose(yearly[row], sum(seen) * 365, rtol=1e-12)
    assert np.flatnonzero(np.isfinite(total))[0] == 48 + 23


def test_the_age_is_the_time_since_the_settlement(bars: Bars) -> None:
    age = Derivatives(("funding_age",))(bars)[:, 0]
    assert np.isnan(age[:48]).all()
    np.testing.assert_allclose(age[48:57], [1 - 1 / 60 + hour for hour in (*range(8), 0)], rtol=1e-12)


def test_zscores_are_those_of_the_definition(bars: Bars) -> None:
    found = Derivatives(("funding", "basis"), zscores=(50,))(bars)
    for place, values in ((1, bars["funding_rate"]), (3, bars["perp_close"] / bars.close - 1)):
        for row in (30, 97, 98, 699, 760, 769, 2000):
            window = values[max(row - 49, 0) : row + 1]
            expected = (window[-1] - window.mean()) / window.std(ddof=1) if len(window) == 50 else np.nan
            np.testing.assert_allclose(found[row, place], expected, rtol=1e-7, err_msg=f"row {row}")


@given(
    functions=st.lists(st.sampled_from(EVERY), min_size=1, unique=True),
    window=st.integers(1, 60),
    zscore=st.integers(2, 60),
    start=st.integers(0, 700),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_it_obeys_the_laws(bars: Bars, functions: list[str], window: int, zscore: int, start: int, seed: int) -> None:
    sums, levels = {"funding_sum", "funding_annual"}, {"funding", "basis", "premium"}
    feature = Derivatives(
        tuple(functions),
        windows=(window,) if sums & set(functions) else (),
        zscores=(zscore,) if levels & set(functions) else (),
    )
    part = bars.slice(start, start + 400)
    assert check_causal(feature, part, cuts=2, seed=seed)
    assert check_warmup(feature, part, points=20, seed=seed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Derivatives(("rate",)), "functions: no function 'rate'; there are funding, funding_age"),
        (lambda: Derivatives(("funding_sum",)), "windows must name at least one, was empty"),
        (lambda: Derivatives(("basis",), windows=(3,)), "windows: none of basis uses it; funding_sum, funding_annual"),
        (lambda: Derivatives(("funding_age",), zscores=(3,)), "zscores: none of funding_age uses it"),
        (lambda: Derivatives(("basis",), zscores=(1,)), "zscores must be at least 2 bars, was 1"),
    ],
)
def test_wrong_parameters_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_column_that_is_not_there_is_named(hourly: Bars) -> None:
    with pytest.raises(BarsError, match="no column 'funding_time'"):
        Derivatives(("funding_age",))(hourly)
