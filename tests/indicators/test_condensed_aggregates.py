import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.condensed_aggregates import CondensedAggregates
from itb.indicators.rolling_lags import rolling_known_mean
from itb.indicators.volume_ratio import Average, volume_ratio
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars

SLOPES = (5, 15, 30, 60, 120, 240, 720, 1440, 4320, 12_960)
VOLUMES = np.array([np.nan, 2, 3, 4, 5, 0, 0])


@pytest.fixture(scope="module")
def minutes() -> Bars:
    return SyntheticMarket(bars=15_000, timeframe="1m", seed=8).bars()["BTC/USDT"]


class TestVolumeRatio:
    def test_ratio_of_means_is_known(self) -> None:
        short, long = rolling_known_mean(VOLUMES, 2), rolling_known_mean(VOLUMES, 5)
        assert (short / long)[1:] == pytest.approx([1, 1, 1.1667, 1.2857, 0.8929, 0], abs=5e-5)
        whole = volume_ratio(VOLUMES[1:], 2, 5, otherwise=1.0, average="mean")
        assert whole[4:] == pytest.approx([0.8929, 0], abs=5e-5)

    def test_ratio_of_medians_is_known(self) -> None:
        whole = volume_ratio(VOLUMES[1:], 2, 5, otherwise=1.0, average="median")
        assert whole[4:] == pytest.approx([0.8333, 0], abs=5e-5)

    @pytest.mark.parametrize("average", ["mean", "median"])
    def test_ratio_over_nothing_is_what_it_is_told_to_be(self, average: Average) -> None:
        volume = np.concatenate([np.random.default_rng(0).lognormal(size=100), np.zeros(20)])
        assert volume_ratio(volume, 3, 10, otherwise=1.0, average=average)[-5:].tolist() == [1] * 5


@pytest.mark.parametrize("row", [12_959, 14_999])
@pytest.mark.parametrize("average", ["mean", "median"])
def test_columns_are_those_of_the_definition(row: int, average: Average, minutes: Bars) -> None:
    pivot = (minutes.open + minutes.high + minutes.low + minutes.close) / 4
    means = [pivot[row - 5 * k - 4 : row - 5 * k + 1].mean() for k in range(1, 14)]
    steps = -np.diff(means)
    slopes = [np.polyfit(np.arange(n), pivot[row - n + 1 : row + 1] - pivot[row], 1)[0] for n in SLOPES]
    middle = np.mean if average == "mean" else np.median
    ratio = middle(minutes.volume[row - 4 : row + 1]) / middle(minutes.volume[row - 59 : row + 1])
    expected = [*(steps / pivot[row]), *(np.array(slopes) / pivot[row]), ratio]
    values = CondensedAggregates(average)(minutes)[row]
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-12)


def test_there_are_23_columns_and_9_days_of_warm_up() -> None:
    family = CondensedAggregates()
    assert len(family.names) == len(set(family.names)) == 23
    assert family.names[-4:] == ("grad24h", "grad3d", "grad9d", "vol5m1h")
    assert family.warmup == 12_959


@settings(max_examples=4, deadline=None)
@given(average=st.sampled_from(["mean", "median"]), seed=st.integers(0, 99))
def test_both_versions_obey_the_laws(average: Average, seed: int, minutes: Bars) -> None:
    family = CondensedAggregates(average)
    assert check_causal(family, minutes, cuts=1, seed=seed)
    result = check_warmup(family, minutes, points=3, seed=seed)
    assert result, str(result)


def test_bars_too_few_for_it_give_nan(minutes: Bars) -> None:
    assert np.isnan(CondensedAggregates()(minutes.head(3))).all()


def test_another_average_is_refused() -> None:
    with pytest.raises(ValueError, match="volume_average must be mean or median, was 'mode'"):
        CondensedAggregates("mode")  # type: ignore[arg-type]  # what a config may hold
