"""The rank of a coin's move among those of other coins."""

import numpy as np
import pytest
from scipy.stats import rankdata

from itb.errors import BarsError
from itb.market.bars import Bars
from itb.mlmodels.labels import CrossSectionalRank


@pytest.fixture
def tape():
    """Bars of a coin with the closes of others beside them; NaN where one is not there."""

    def make(close, **others):
        columns = {f"{coin}_close": np.asarray(values, dtype=float) for coin, values in others.items()}
        times = np.arange(len(close)) * 3_600_000
        return Bars.of("BTC/USDT", "1h", times, open=close, high=close, low=close, close=close, volume=close, **columns)

    return make


def test_ranks_are_those_of_scipy_among_all_coins_that_are_there(tape):
    rng = np.random.default_rng(4)
    closes = np.exp(rng.normal(0, 0.02, (6, 300)).round(2).cumsum(axis=1))  # rounded, so that moves tie
    closes[3:, ::9] = np.nan
    bars = tape(closes[0], **{f"c{i}": closes[i] for i in range(1, 6)})
    found = CrossSectionalRank(5, tuple(f"c{i}" for i in range(1, 6)))(bars).values
    for row in range(295):
        moves = closes[:, row + 5] / closes[:, row] - 1
        moves = moves[np.isfinite(moves)]
        assert found[row] == pytest.approx((rankdata(moves)[0] - 1) / (len(moves) - 1))
    assert np.isnan(found[295:]).all()


def test_centred_ranks_have_their_middle_at_zero(tape):
    bars = tape([1.0, 2.0, 2.0], a=[1, 1, 2], b=[1, 3, 3])
    assert CrossSectionalRank(1, ("a", "b"), centred=True)(bars).values[:2].tolist() == [0.0, -0.5]


def test_a_threshold_makes_classes(tape):
    bars = tape([1.0, 2.0, 2.0], a=[1, 1, 2], b=[1, 1.5, 3])
    label = CrossSectionalRank(1, ("a", "b"), threshold=0.5)
    assert label(bars).values[:2].tolist() == [1.0, 0.0]
    assert (label.name, label.is_binary) == ("rank_1_above_0.5", True)


def test_too_few_other_coins_make_no_rank(tape):
    bars = tape([1.0, 2.0, 3.0, 4.0], a=[1, 1, 1, 1], b=[np.nan, 1, 1, 1])
    assert np.isnan(CrossSectionalRank(1, ("a", "b"), least_coins=2)(bars).values).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_a_coin_that_is_not_in_the_bars_is_named(tape):
    with pytest.raises(BarsError, match=r"needs columns eth_close, which the bars of BTC/USDT do not have; add a \[\["):
        CrossSectionalRank(1, ("a", "eth"))(tape([1.0, 2.0], a=[1, 2]))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"coins": ()}, "none is named"),
        ({"coins": ("a", "a")}, "'a' is there twice"),
        ({"least_coins": 3}, "from 1 to 2"),
        ({"horizon": 0}, "horizon must be at least 1 bar"),
        ({"threshold": 1.0}, "threshold must be a rank from 0"),
        ({"threshold": -1.5, "centred": True}, "threshold must be a rank from -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        CrossSectionalRank(**{"horizon": 2, "coins": ("a", "b"), **wrong})
