import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.datafeeds.synthetic import SyntheticMarket
from itb.datafeeds.waves import triangle
from itb.indicators.regression_condensed import Regression, RegressionCondensed
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars, FloatArray

CLOSES = np.array([1.0, 2, 4, 3, 5])


@pytest.fixture(scope="module")
def minutes() -> Bars:
    return SyntheticMarket(bars=17_000, timeframe="1m", seed=8).bars()["BTC/USDT"]


def last(window: int, close: FloatArray, *, normalised: bool, offset: int = 0) -> dict[str, float]:
    one = Regression("", window, offset)
    columns = one.columns(close, normalised=normalised)
    return dict(zip(one.names(normalised=normalised), (float(column[-1]) for column in columns), strict=True))


class TestKnownValues:
    def test_gain_chance_and_risk_of_five_closes(self) -> None:
        values = last(5, CLOSES, normalised=False)
        assert values["price"] == pytest.approx(4.8)
        assert values["gain"] == pytest.approx(54)
        assert values["chance"] == pytest.approx(2.962278, abs=5e-7)
        assert values["risk"] == pytest.approx(2.781989, abs=5e-7)

    def test_normalised_by_the_present_close(self) -> None:
        values = last(5, CLOSES, normalised=True)
        assert values["gain"] == pytest.approx(10.8)
        assert values["chance"] == pytest.approx(0.592456, abs=5e-7)
        assert values["risk"] == pytest.approx(2.781989 / 5, abs=5e-7)  # 0.556398
        normalised_end = last(5, CLOSES / CLOSES[-1], normalised=False)["price"]
        assert normalised_end == pytest.approx(0.96)

    def test_an_offset_line_ends_that_many_bars_ago(self) -> None:
        later = np.concatenate([CLOSES, [9.0, 1.0, 7.0]])
        assert last(5, later, normalised=False, offset=3) == pytest.approx(last(5, CLOSES, normalised=False))


def by_hand(bars: Bars, row: int) -> list[float]:
    """The definition, window by window, with numpy's own line."""
    values = []
    for with_spread, offset, window in ((0, 0, 5), (0, 5, 5), (1, 0, 30), (1, 0, 240), (1, 0, 720), (0, 0, 14_400)):
        close = bars.close[row - offset - window + 1 : row - offset + 1]
        place = np.arange(window)
        line = np.polyval(np.polyfit(place, close - close[0], 1), place) + close[0]
        values += [line[-1], (line[-1] - line[0]) * 60 / (window - 1)]
        if with_spread:
            above, below = (
                np.sqrt(((close[side] - close.mean()) ** 2).mean()) for side in (close > line, close < line)
            )
            height = close[-1] - line[-1]
            values += [2 * above - height, 2 * below + height]
    recent = bars.volume[row - 4 : row + 1].mean()
    return [*values, *(recent / bars.volume[row - long + 1 : row + 1].mean() for long in (60, 720))]


@pytest.mark.parametrize("row", [14_399, 15_000, 16_999])
def test_columns_are_those_of_the_definition(row: int, minutes: Bars) -> None:
    family = RegressionCondensed()
    values = family(minutes)
    expected = by_hand(minutes, row)
    np.testing.assert_allclose(values[row], expected, rtol=1e-7, atol=1e-7)
    without_price = [value for name, value in zip(family.names, expected, strict=True) if "price" not in name]
    divisors = [minutes.close[row]] * 12 + [1, 1]
    condensed = RegressionCondensed(normalised=True)(minutes)[row]
    np.testing.assert_allclose(condensed, np.divide(without_price, divisors), rtol=1e-7, atol=1e-12)


def test_columns_are_named_as_followupward_names_them() -> None:
    assert RegressionCondensed().names == (
        *("price5m_0", "gain5m_0", "price5m_5", "gain5m_5"),
        *("price30m", "gain30m", "chance30m", "risk30m"),
        *("price4h", "gain4h", "chance4h", "risk4h"),
        *("price12h", "gain12h", "chance12h", "risk12h"),
        *("price10d", "gain10d", "vol5m1h", "vol5m12h"),
    )
    assert len(RegressionCondensed(normalised=True).names) == 14
    assert RegressionCondensed().warmup == 14_399


@settings(max_examples=2, deadline=None)
@given(normalised=st.booleans(), seed=st.integers(0, 99))
def test_both_versions_obey_the_laws(normalised: bool, seed: int, minutes: Bars) -> None:
    family = RegressionCondensed(normalised)
    assert check_causal(family, minutes, cuts=1, seed=seed)
    result = check_warmup(family, minutes, points=2, seed=seed)
    assert result, str(result)


def test_straight_price_lines_obey_the_warm_up_law() -> None:
    result = check_warmup(RegressionCondensed(), triangle(bars=15_000), points=3)
    assert result, str(result)


@settings(max_examples=25, deadline=None)
@given(window=st.integers(2, 200), offset=st.integers(0, 50), normalised=st.booleans(), seed=st.integers(0, 99))
def test_lines_of_any_window_and_offset_obey_the_laws(
    window: int, offset: int, normalised: bool, seed: int, minutes: Bars
) -> None:
    one = Regression("", window, offset)

    def compute(bars: Bars) -> object:
        return np.column_stack(list(one.columns(bars.close, normalised=normalised)))

    bars = minutes.head(800)
    assert check_causal(compute, bars, cuts=1, seed=seed)
    result = check_warmup(compute, bars, warmup=window + offset - 1, points=3, seed=seed)
    assert result, str(result)


def test_flat_prices_without_volume_have_no_gain_chance_risk_or_ratio() -> None:
    ones = np.ones(14_405)
    bars = Bars.of(
        "X/USDT", "1m", np.arange(14_405) * 60_000, open=ones, high=ones, low=ones, close=ones, volume=0 * ones
    )
    assert (RegressionCondensed(normalised=True)(bars)[14_399:] == 0).all()
