import random

import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.laws.reproducible import check_reproducible
from itb.strategies.base import Strategy


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=200).bars()["BTC/USDT"]


class Dice(Strategy):
    params = (("seed", None),)

    def __init__(self):
        super().__init__()
        self.random = random.Random(self.p.seed)

    def next(self):
        if self.random.random() < 0.1:
            self.send(0.01, "dice")


def made_by(settings, bars):
    def make():
        run = Backtest(Dice, settings).run(bars)
        return {"fills": run.fills, "equity": run.equity}

    return make


def test_a_seeded_strategy_passes(bars):
    assert str(check_reproducible(made_by({"seed": 1}, bars), subject="Dice")) == (
        "reproducible: Dice: ok: 2 runs gave the same bytes in fills, equity"
    )


def test_a_strategy_that_throws_dice_is_caught_at_its_first_other_fill(bars):
    found = check_reproducible(made_by({}, bars), times=3)
    assert not found
    assert found.evidence.startswith("fills differ at entry ")


def test_the_last_bit_counts():
    values = iter([np.array([0.1 + 0.2]), np.array([0.3])])
    found = check_reproducible(lambda: {"scores": next(values)})
    assert found.evidence == "scores differ at row 0: 0.30000000000000004 in run 1, 0.3 in run 2"


def test_nan_is_the_same_as_nan():
    assert check_reproducible(lambda: {"scores": np.array([np.nan, 1.0])})


def test_another_length_or_another_name_is_a_difference():
    lengths = iter([3, 2])
    assert (
        "their lengths: 3 in run 1, 2 in run 2" in check_reproducible(lambda: {"a": np.zeros(next(lengths))}).evidence
    )
    names = iter("ab")
    assert check_reproducible(lambda: {next(names): []}).evidence == "run 1 gave a, run 2 b"


def test_entries_without_a_bar_are_compared_as_they_are():
    trades = iter([["a", "b"], ["a"]])
    found = check_reproducible(lambda: {"trades": next(trades)})
    assert found.evidence == "trades differ at entry 1: 'b' in run 1, nothing more in run 2"
