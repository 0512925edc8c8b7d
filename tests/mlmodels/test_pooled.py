"""One model for several coins: whose rows it learns from, and that no coin tells another's future."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ModelError
from itb.indicators.bar_features import BarSeries
from itb.indicators.feature_set import FeatureSet
from itb.laws.leak import check_walk_forward
from itb.mlmodels.labels import FutureReturn, TripleBarrier
from itb.mlmodels.latest import fit_latest
from itb.mlmodels.linear import Linear, Logistic
from itb.mlmodels.pooled import Pool
from itb.mlmodels.promotion import SkillGate
from itb.mlmodels.quality import grade_result
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.walkforward import WalkForward

COINS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
FEATURES = FeatureSet((BarSeries(inputs=("log_return", "range"), lags=(0, 1)),))
LABEL = FutureReturn(4, 0.0)
WALK = WalkForward(train_bars=120, refit_every=40, embargo_bars=3, refit_delay_bars=2, min_train_rows=30)


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(symbols=COINS, bars=420, seed=5).bars()


def table_of(bars, label=LABEL):
    return TrainingTable.of(bars, FEATURES.compute(bars), FEATURES.names, label)


def uneven(market):
    """Give coins of different histories, one with holes."""
    btc, eth, sol = (market[coin] for coin in COINS)
    kept = np.ones(len(eth), dtype=bool)
    kept[150:170] = kept[300] = False
    columns = {name: values[kept] for name, values in eth.columns.items()}
    holed = dataclasses.replace(eth, open_time=eth.open_time[kept], columns=columns)
    return {COINS[0]: btc, COINS[1]: holed, COINS[2]: sol.slice(90, 400)}


def run(pool, folder, walk=WALK, algorithm=None, **more):
    return pool.apart(pool.walk(walk).run(pool.table, algorithm or Logistic(), folder, **more))


def test_a_pool_of_one_coin_is_no_pool(market, tmp_path):
    table = table_of(market[COINS[0]])
    plain = WALK.run(table, Logistic(), tmp_path / "plain")
    (pooled,) = run(Pool({COINS[0]: table}), tmp_path / "pool").values()
    np.testing.assert_array_equal(pooled.scores, plain.scores)
    assert [fold.block for fold in pooled.folds] == [fold.block for fold in plain.folds]
    assert [fold.entry for fold in pooled.folds] == [fold.entry for fold in plain.folds]
    for ours, theirs in zip(pooled.folds, plain.folds, strict=True):
        np.testing.assert_array_equal(ours.learned_rows, theirs.learned_rows)
        assert (ours.first_row, ours.last_row, ours.last_known) == (
            theirs.first_row,
            theirs.last_row,
            theirs.last_known,
        )


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    train=st.integers(60, 200),
    every=st.integers(15, 90),
    embargo=st.integers(0, 6),
    delay=st.integers(1, 5),
    mode=st.sampled_from(["sliding", "expanding"]),
)
def test_each_refit_learns_from_every_coins_rows_that_were_known_then(
    market, tmp_path_factory, train, every, embargo, delay, mode
):
    coins = uneven(market)
    tables = {
        coin: table_of(bars, TripleBarrier(horizon=6, up=1.0, down=1.0, volatility_window=20))
        for coin, bars in coins.items()
    }
    walk = WalkForward(mode, train, every, embargo, delay, min_train_rows=2)
    pool = Pool(tables)
    raster = np.unique(np.concatenate([bars.open_time for bars in coins.values()]))
    first = min(table.open_time[table.first_complete] for table in tables.values())
    begin = int(np.flatnonzero(raster == first)[0])
    blocks = pool.walk(walk).blocks(pool.table)
    for number, block in enumerate(blocks):
        fit = begin + train - 1 + number * every
        expected = set()
        for coin, table in tables.items():
            for row, time in enumerate(table.open_time):
                place, known = int(np.flatnonzero(raster == time)[0]), int(table.label.known_at[row])
                start = fit - train + 1 if mode == "sliding" else begin
                if known >= 0 and place >= start and table.open_time[known] <= raster[fit - embargo]:
                    expected.add((coin, int(time)))
        found = block.training_rows(pool.table.label.known_at)
        names = sorted(tables)
        assert {(names[row % 3], int(pool.table.open_time[row])) for row in found} == expected
        assert pool.table.open_time[block.test_start] == raster[fit + delay]
        assert (block.test_start % 3, block.test_stop % 3) == (0, 0)
    assert len(blocks) == len(range(begin + train - 1, len(raster) - delay, every))


def test_noise_after_a_bar_in_any_coin_changes_nothing_before_it_in_any_coin(market, tmp_path):
    coins = uneven(market)

    def scores(bars_of):
        pool = Pool({coin: table_of(bars, FutureReturn(4)) for coin, bars in bars_of.items()})
        return {coin: result.scores for coin, result in run(pool, tmp_path, algorithm=Linear()).items()}

    clean, rng, reached = scores(coins), np.random.default_rng(3), 0
    for noisy in COINS:
        for cut in (170, 291):
            time = market[COINS[0]].open_time[cut]
            again = scores(coins | {noisy: poisoned(coins[noisy], time, rng)})
            for coin, bars in coins.items():
                before = bars.open_time <= time
                np.testing.assert_array_equal(again[coin][before], clean[coin][before])
                reached += coin != noisy and not np.array_equal(again[coin], clean[coin], equal_nan=True)
    assert reached == 12  # later on each coin's noise is learned from by the others: this is a pool


def poisoned(bars, time, rng):
    later = bars.open_time > time
    factor = np.where(later, np.exp(rng.normal(0, 0.05, len(bars)).cumsum()), 1.0)
    columns = {name: values * (factor if name != "volume" else 1) for name, values in bars.columns.items()}
    return dataclasses.replace(bars, columns=columns)


def test_the_order_in_which_coins_are_named_does_not_matter(market, tmp_path):
    tables = {coin: table_of(bars) for coin, bars in uneven(market).items()}
    one = run(Pool(tables), tmp_path / "one")
    other = run(Pool(dict(reversed(tables.items()))), tmp_path / "other")
    for coin in COINS:
        np.testing.assert_array_equal(one[coin].scores, other[coin].scores)
        assert one[coin].fingerprint == other[coin].fingerprint


def test_each_coins_own_blocks_keep_the_law_and_can_be_graded(market, tmp_path):
    coins = uneven(market)
    found = run(Pool({coin: table_of(bars) for coin, bars in coins.items()}), tmp_path)
    for coin, result in found.items():
        assert len(result.scores) == len(coins[coin])
        assert check_walk_forward(result)  # the embargo is counted in time, not in the bars of a coin that lacks some
        quality = grade_result(result)
        assert quality.pooled.rows == sum(fold.rows for fold in quality.folds) > 100


def test_the_skill_gate_holds_back_as_many_bars_of_every_coin(market, tmp_path):
    walk = dataclasses.replace(WALK, promotion=SkillGate(bars=30))
    pool = Pool({coin: table_of(market[coin]) for coin in COINS})
    blocks = pool.walk(walk).blocks(pool.table)
    alone = walk.blocks(table_of(market[COINS[0]]))
    assert [block.known_until for block in blocks] == [3 * block.known_until + 2 for block in alone]
    found = run(pool, tmp_path, walk)
    assert "rows that neither learned from" in found[COINS[0]].timeline.entries[1].reason


def test_the_latest_model_learns_from_all_coins(market, tmp_path):
    pool = Pool({coin: table_of(market[coin]) for coin in COINS})
    latest = fit_latest(pool.walk(WALK), pool.table, Logistic(), tmp_path)
    assert latest.manifest.rows == 3 * (120 - 3 - 4)
    assert latest.manifest.known_at == market[COINS[0]].open_time[-1]


def test_coins_with_different_features_are_refused(market):
    other = FeatureSet((BarSeries(inputs=("body",)),))
    bars = market[COINS[1]]
    strange = TrainingTable.of(bars, other.compute(bars), other.names, LABEL)
    with pytest.raises(
        ModelError, match=r"the same features of every coin: .* is a feature of only one of BTC/USDT, ETH"
    ):
        Pool({COINS[0]: table_of(market[COINS[0]]), COINS[1]: strange})


def test_too_few_bars_are_told_in_bars(market, tmp_path):
    pool = Pool({coin: table_of(market[coin].head(100)) for coin in COINS})
    with pytest.raises(
        ModelError, match="100 bars of 3 coins are too few: features warm up for 2, and the first refit"
    ):
        run(pool, tmp_path)
