import numpy as np
import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars, FloatArray


@pytest.fixture(scope="module")
def bars() -> Bars:
    return SyntheticMarket(bars=1500).bars()["BTC/USDT"]


def exponential_mean(bars: Bars) -> FloatArray:
    values = bars.close.copy()
    for row in range(1, len(values)):
        values[row] = 0.9 * values[row - 1] + 0.1 * bars.close[row]
    return values


def volume_so_far(bars: Bars) -> FloatArray:
    return np.cumsum(bars.volume)


def mean_of_ten(bars: Bars) -> FloatArray:
    mean = np.convolve(bars.close, np.ones(10) / 10)[: len(bars)]
    mean[:9] = np.nan
    return mean


class Short:
    names = ("mean_of_ten",)
    warmup = 8

    def __call__(self, bars: Bars) -> FloatArray:
        return mean_of_ten(bars)


def test_a_recursion_settles_with_enough_bars(bars: Bars) -> None:
    result = check_warmup(exponential_mean, bars, warmup=220)
    assert result
    assert result.figures["worst"] < 1e-9
    assert "221 bars gave the values of 1500 at 9 bars" in result.evidence


def test_a_recursion_with_too_short_a_warmup_is_caught(bars: Bars) -> None:
    result = check_warmup(exponential_mean, bars, warmup=60, subject="mean")
    assert not result
    assert result.evidence.startswith("mean at row")
    assert "from 61 bars and" in result.evidence


def test_a_level_that_never_settles_is_caught(bars: Bars) -> None:
    assert not check_warmup(volume_so_far, bars, warmup=1000)


def test_one_bar_too_few_is_caught_although_it_gives_nan(bars: Bars) -> None:
    result = check_warmup(Short(), bars)
    assert not result
    assert "mean_of_ten at row" in result.evidence
    assert "is nan from 9 bars" in result.evidence


def test_exactly_enough_bars_pass(bars: Bars) -> None:
    result = check_warmup(mean_of_ten, bars, warmup=9)
    assert result
    assert result.figures["worst"] < 1e-12


def test_small_values_are_judged_by_the_scale_of_their_column(bars: Bars) -> None:
    def rounded_differently(bars: Bars) -> FloatArray:
        return np.where(bars.close > bars.open, 1.0, 1e-12 * len(bars) / 1500)

    assert check_warmup(rounded_differently, bars, warmup=10)


def test_infinite_and_missing_values_that_agree_pass(bars: Bars) -> None:
    def odd(bars: Bars) -> FloatArray:
        return np.where(bars.close > bars.open, np.inf, np.nan)

    assert check_warmup(odd, bars, warmup=0)


def test_a_part_that_does_not_know_its_warmup_is_asked_for_it(bars: Bars) -> None:
    with pytest.raises(ValueError, match="needs to know the warmup"):
        check_warmup(mean_of_ten, bars)


def test_too_few_bars_are_refused(bars: Bars) -> None:
    with pytest.raises(ValueError, match="more than 10 bars, got 10"):
        check_warmup(mean_of_ten, bars.head(10), warmup=9)
