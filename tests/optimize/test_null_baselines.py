from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from itb.optimize.null_baselines import p_value, permuted, permuted_blocks, permuted_positions, random_entries

NONE = np.empty(0, dtype=np.int64)


def test_every_arrangement_of_the_trades_is_equally_likely() -> None:
    # Two trades of 1 and 2 bars among 6 prices: the free bars are 2, the arrangements 2! * C(4, 2) = 12.
    prices = np.array([1.0, 2.0, 4.1, 8.3, 16.9, 35.0])
    expected: Counter[float] = Counter()
    for order in permutations([(1, 1), (2, -1)]):
        lengths, sides = zip(*order, strict=True)
        for first in range(3):
            for gap in range(3 - first):
                begins = (first, first + lengths[0] + gap)
                pairs = zip(begins, lengths, sides, strict=True)
                gained = sum(side * (prices[at + length] / prices[at] - 1) for at, length, side in pairs)
                expected[round(float(gained), 9)] += 1
    found = random_entries(
        prices, np.array([0, 2]), np.array([1, 4]), np.array([1, -1]), one_way_cost=0, times=24_000, seed=4
    )
    drawn = Counter(found.random.round(9).tolist())
    assert drawn.keys() == expected.keys()
    assert [drawn[key] / 24_000 for key in sorted(expected)] == pytest.approx(
        [expected[key] / 12 for key in sorted(expected)], abs=0.01
    )


def test_the_claim_is_what_the_trades_gained_after_cost() -> None:
    prices = np.array([100.0, 110.0, 99.0, 99.0])
    found = random_entries(prices, np.array([0, 1]), np.array([1, 2]), np.array([1, -1]), one_way_cost=0.01, times=5)
    assert found.claimed == pytest.approx(0.1 + 0.1 - 0.04)


def test_random_entries_earn_minus_their_cost(rng: np.random.Generator) -> None:
    prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, 5_000)) - np.arange(5_000) * 0.0000005)
    entries = np.arange(0, 4_900, 50)
    sides = np.where(np.arange(98) % 2 == 0, 1, -1)
    found = random_entries(prices, entries, entries + 20, sides, one_way_cost=0.002, times=2_000)
    assert found.random.mean() == pytest.approx(-98 * 0.004, abs=0.01)


def test_chance_trades_have_no_small_p_value_more_often_than_chance(rng: np.random.Generator) -> None:
    found = []
    for seed in range(200):
        prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
        entries = np.arange(10, 350, 20)
        found.append(
            random_entries(
                prices, entries, entries + 9, np.ones(17, dtype=np.int64), one_way_cost=0.001, times=99, seed=seed
            ).p_value
        )
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.06)


@pytest.mark.parametrize(
    ("entries", "exits"), [([0, 1], [2, 3]), ([3, 0], [4, 1]), ([0], [0]), ([0], [6]), ([-1], [2])]
)
def test_trades_that_overlap_or_leave_the_prices_are_refused(entries: list[int], exits: list[int]) -> None:
    with pytest.raises(ValueError, match="trades must be in order"):
        random_entries(
            np.ones(6), np.array(entries), np.array(exits), np.ones(len(entries), dtype=np.int64), one_way_cost=0
        )


def test_no_trade_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="positive number of entries"):
        random_entries(np.ones(6), NONE, NONE, NONE, one_way_cost=0)


def test_permuted_positions_keep_exposure_and_cost(rng: np.random.Generator) -> None:
    positions = np.repeat(rng.integers(-1, 2, 40), 10).astype(float)
    found = permuted_positions(positions, np.full(400, 0.001), one_way_cost=0.0, block=10, times=50)
    assert found.random == pytest.approx(np.full(50, found.claimed))  # a constant return pays exposure only
    costly = permuted_positions(positions, np.zeros(400), one_way_cost=0.01, block=10, times=200)
    assert costly.claimed == pytest.approx(-0.01 * np.abs(np.diff(positions, prepend=0.0)).sum())
    assert costly.random == pytest.approx(np.full(200, costly.claimed))


def test_permuted_positions_see_a_seer_and_no_other(rng: np.random.Generator) -> None:
    returns = rng.normal(0, 0.01, 997)  # not a multiple of the block
    seer = permuted_positions(np.where(returns > 0.012, 1.0, 0.0), returns, one_way_cost=0.001, block=7, times=199)
    assert seer.p_value == 1 / 200
    found = [
        permuted_positions(
            np.repeat(rng.integers(0, 2, 50), 6).astype(np.float64),
            rng.normal(0, 1, 300),
            one_way_cost=0,
            block=6,
            times=99,
            seed=i,
        ).p_value
        for i in range(200)
    ]
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.06)


def test_positions_of_several_symbols_are_permuted_together() -> None:
    """Against every order of three blocks and every beginning of the circle, by hand."""
    rng = np.random.default_rng(5)
    held, moves = rng.normal(0, 1, (6, 2)), rng.normal(0, 1, (6, 2))
    expected: set[float] = set()
    for order in permutations(range(3)):
        for begin in range(6):
            rows = [(2 * block + within + begin) % 6 for block in order for within in range(2)]
            gained = sum(held[row][k] * moves[bar][k] for bar, row in enumerate(rows) for k in range(2))
            expected.add(round(gained, 9))
    found = permuted_positions(held, moves, one_way_cost=0.0, block=2, times=2_000, seed=1)
    assert set(found.random.round(9).tolist()) == expected
    assert found.claimed == pytest.approx(sum(h * m for h, m in zip(held.ravel(), moves.ravel(), strict=True)))
    costly = permuted_positions(held, moves, one_way_cost=0.1, block=2, times=5)
    paid = sum(abs(held[0])) + sum(abs(held[t][k] - held[t - 1][k]) for t in range(1, 6) for k in range(2))
    assert costly.claimed == pytest.approx(found.claimed - 0.1 * paid)


def test_permuted_positions_refuse_a_block_longer_than_the_bars() -> None:
    with pytest.raises(ValueError, match="a block in them"):
        permuted_positions(np.ones(5), np.ones(5), one_way_cost=0, block=6)


def test_a_refit_on_permuted_rows_is_repeated_by_its_seed() -> None:
    def evaluate(rng: np.random.Generator) -> float:
        return float(permuted_blocks(10, 2, rng)[0])

    first, again = permuted(20.0, evaluate, times=19, seed=3), permuted(20.0, evaluate, times=19, seed=3)
    assert first.random.tolist() == again.random.tolist()
    assert first.p_value == 1 / 20
    assert permuted(20.0, evaluate, times=5, seed=3).random.tolist() == first.random[:5].tolist()


def test_permuted_blocks_are_all_rows_once_and_stay_together(rng: np.random.Generator) -> None:
    rows = permuted_blocks(23, 5, rng)
    assert sorted(rows.tolist()) == list(range(23))
    assert np.count_nonzero(np.diff(rows) == 1) >= 23 - 5


def test_a_result_that_does_not_exist_counts_for_chance() -> None:
    assert p_value(1.0, np.array([np.nan, 0.0, 0.0])) == 0.5
    assert p_value(float("nan"), np.zeros(9)) == 1.0
