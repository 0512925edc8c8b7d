import numpy as np
import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.laws.causal import check_causal, poison_after
from itb.laws.columns import Compute
from itb.market.bars import Bars, FloatArray


@pytest.fixture(scope="module")
def bars() -> Bars:
    return SyntheticMarket(bars=400).bars()["BTC/USDT"]


def trailing_mean(bars: Bars) -> FloatArray:
    return np.convolve(bars.close, np.ones(5) / 5)[: len(bars)]


def centred_mean(bars: Bars) -> FloatArray:
    return np.convolve(bars.close, np.ones(5) / 5, mode="same")


def zscore_of_everything(bars: Bars) -> FloatArray:
    return np.asarray((bars.close - bars.close.mean()) / bars.close.std())


def next_close(bars: Bars) -> FloatArray:
    return np.append(bars.close[1:], bars.close[-1])


def filled_backwards(bars: Bars) -> FloatArray:
    values = np.where(bars.close > bars.open, bars.close, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    following = np.minimum(np.searchsorted(known, np.arange(len(values))), len(known) - 1)
    return np.asarray(values[known[following]])


def rank_in_the_whole_history(bars: Bars) -> FloatArray:
    return np.asarray(bars.volume.argsort().argsort() / len(bars))


def distance_from_the_end(bars: Bars) -> FloatArray:
    return np.arange(len(bars))[::-1].astype(np.float64)


def slightly_ahead(bars: Bars) -> FloatArray:
    return np.asarray(trailing_mean(bars) * (1 + 1e-9 * np.sign(next_close(bars) - bars.close)))


@pytest.mark.parametrize(
    "leak",
    [
        centred_mean,
        zscore_of_everything,
        next_close,
        filled_backwards,
        rank_in_the_whole_history,
        distance_from_the_end,
        slightly_ahead,
    ],
)
def test_planted_leaks_are_caught(leak: Compute, bars: Bars) -> None:
    result = check_causal(leak, bars)
    assert not result
    assert "changes from" in result.evidence


def test_a_trailing_mean_passes(bars: Bars) -> None:
    result = check_causal(trailing_mean, bars)
    assert result
    assert result.subject == "trailing_mean"
    assert "12 changes of later bars changed none of" in result.evidence


def test_evidence_names_the_column_the_row_and_how_far_it_looked(bars: Bars) -> None:
    def two_columns(bars: Bars) -> object:
        return np.column_stack([trailing_mean(bars), centred_mean(bars)])

    result = check_causal(two_columns, bars, names=("trailing", "centred"), subject="means")
    assert str(result).startswith("causal: means: BROKEN: centred at row")
    assert result.figures["looks_ahead_at_least"] == 2


def test_columns_without_names_are_counted(bars: Bars) -> None:
    result = check_causal(lambda bars: np.column_stack([bars.close, next_close(bars)]), bars, subject="pair")
    assert "column 1 at row" in result.evidence


def test_a_value_that_vanishes_is_a_change(bars: Bars) -> None:
    def last_is_unknown(bars: Bars) -> FloatArray:
        values = bars.close.copy()
        values[-1] = np.nan
        return values

    assert not check_causal(last_is_unknown, bars)


def test_flags_can_be_checked_like_numbers(bars: Bars) -> None:
    assert check_causal(lambda bars: bars.close > bars.open, bars)
    assert not check_causal(lambda bars: bars.close > np.median(bars.close), bars)


def test_another_future_is_valid_and_leaves_the_past_alone(bars: Bars) -> None:
    poisoned = poison_after(bars, 150, np.random.default_rng(1))
    assert poisoned.head(151).equals(bars.head(151))
    assert not np.isclose(poisoned.close[151:], bars.close[151:]).any()
    assert list(poisoned.columns) == list(bars.columns)


def test_an_extra_column_without_values_gets_another_future_too(bars: Bars) -> None:
    poisoned = poison_after(bars.with_columns(funding=np.full(len(bars), np.nan)), 150, np.random.default_rng(1))
    assert np.isfinite(poisoned["funding"][151:]).all()


def test_one_row_per_bar_is_asked_for(bars: Bars) -> None:
    with pytest.raises(ValueError, match=r"closes must give one row per bar, gave shape \(399,\) for 400 bars"):
        check_causal(lambda bars: bars.close[1:], bars, subject="closes")


def test_two_bars_are_too_few(bars: Bars) -> None:
    with pytest.raises(ValueError, match="needs at least 3 bars, got 2"):
        check_causal(trailing_mean, bars.head(2))
