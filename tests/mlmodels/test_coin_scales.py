"""A pool scaled coin by coin: by each coin's own training rows, in the refit, from files, and never by the future."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ModelError
from itb.indicators.bar_features import BarSeries
from itb.indicators.feature_set import FeatureSet
from itb.live.episodes import Episodes
from itb.live.scores.speaking import ColumnFiles, SpeakingColumn
from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.coin_scales import LEAST_ROWS, CoinScales
from itb.mlmodels.explore.importance import permutation_importance, spoken_rows
from itb.mlmodels.labels import FirstHit, FutureReturn
from itb.mlmodels.latest import fit_latest
from itb.mlmodels.linear import Linear, Logistic
from itb.mlmodels.pooled import Pool
from itb.mlmodels.promotion import SkillGate
from itb.mlmodels.registry import check_model, load_model
from itb.mlmodels.speakers import find_speakers, speak
from itb.mlmodels.stages.files import ScoreFiles
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.training import Training
from itb.mlmodels.walkforward import WalkForward

COINS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
FEATURES = FeatureSet((BarSeries(inputs=("log_return", "range"), lags=(0, 1)),))
TREES = LightGbmRegression(rounds=3, min_data_in_leaf=5)
LISTED = 230  # the bar at which the last coin begins


def walk_of(scaling="standard", **more):
    training = Training(coin_scaling=scaling)
    return WalkForward(train_bars=120, refit_every=40, embargo_bars=3, min_train_rows=30, training=training, **more)


@pytest.fixture(scope="module")
def tables():
    """Three coins of different sizes of feature, one of them listed late."""
    bars = SyntheticMarket(symbols=COINS, bars=420, seed=5).bars()
    bars[COINS[2]] = bars[COINS[2]].slice(LISTED, 420)
    found = {}
    for size, (coin, own) in zip((1, 20, 300), bars.items(), strict=True):
        features = FEATURES.compute(own) * np.float32(size) + np.float32(size)
        found[coin] = TrainingTable.of(own, features, FEATURES.names, FutureReturn(4))
    return found


def walked(tables, folder, algorithm=None, walk=None):
    pool, walk = Pool(tables), walk or walk_of()
    return pool.apart(pool.walk(walk).run(pool.table, algorithm or Linear(scaling="none"), folder))


@pytest.mark.parametrize("scaling", ["standard", "robust"])
def test_each_refit_scales_each_coin_by_the_rows_of_that_coin_that_it_learned_from(tables, tmp_path, scaling):
    found = walked(tables, tmp_path, walk=walk_of(scaling))
    for number in range(len(found[COINS[0]].folds)):
        for coin, result in found.items():
            fold = result.folds[number]
            scales = load_model(result.folder / fold.entry.file).scales
            own = [tables[coin].features[row].astype(float).tolist() for row in fold.learned_rows]
            if not own:
                assert np.isnan(scales.centre[COINS.index(coin)]).all()
                continue
            for place, values in enumerate(zip(*own, strict=True)):
                centre, size = slowly(sorted(values), scaling)
                assert scales.centre[COINS.index(coin), place] == pytest.approx(centre, rel=1e-9)
                assert scales.size[COINS.index(coin), place] == pytest.approx(size, rel=1e-9)


def slowly(values, scaling):
    if scaling == "standard":
        mean = math.fsum(values) / len(values)
        return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))

    def quantile(share):
        place = share * (len(values) - 1)
        low = math.floor(place)
        return values[low] + (place - low) * (values[min(low + 1, len(values) - 1)] - values[low])

    return quantile(0.5), quantile(0.95) - quantile(0.05)


def test_scores_are_those_of_a_ridge_regression_on_rows_that_were_scaled_by_hand(tables, tmp_path):
    found = walked(tables, tmp_path)
    number = len(found[COINS[0]].folds) - 1
    scaled, labels, tests = [], [], {}
    for coin, result in found.items():
        fold, table = result.folds[number], tables[coin]
        own = table.features[fold.learned_rows].astype(float)
        centre, size = own.mean(axis=0), own.std(axis=0)
        scaled.append((own - centre) / size)
        labels.append(table.label.values[fold.learned_rows])
        block = slice(fold.block.test_start, fold.block.test_stop)
        tests[coin] = (table.features[block].astype(float) - centre) / size, result.scores[block]
    x, y = np.concatenate(scaled), np.concatenate(labels)
    middle = x.mean(axis=0)
    weights = np.linalg.solve((x - middle).T @ (x - middle) + np.eye(x.shape[1]), (x - middle).T @ (y - y.mean()))
    for rows, scores in tests.values():
        np.testing.assert_allclose(scores, y.mean() + (rows - middle) @ weights, rtol=1e-4, atol=1e-8)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(powers=st.tuples(*[st.integers(-20, 20)] * 3), scaling=st.sampled_from(["standard", "robust"]))
def test_the_unit_of_a_coins_features_does_not_matter(tables, tmp_path_factory, powers, scaling):
    other = {
        coin: dataclasses.replace(table, features=table.features * np.float32(2.0**power))
        for (coin, table), power in zip(tables.items(), powers, strict=True)
    }
    one, two = (walked(each, tmp_path_factory.mktemp("unit"), TREES, walk_of(scaling)) for each in (tables, other))
    for coin in COINS:
        np.testing.assert_array_equal(one[coin].scores, two[coin].scores)


def test_unscaled_the_unit_does_matter(tables, tmp_path):
    other = {
        coin: dataclasses.replace(table, features=table.features * np.float32(place + 1))
        for place, (coin, table) in enumerate(tables.items())
    }
    one, two = (walked(each, tmp_path, Linear(), walk_of("none")) for each in (tables, other))
    assert not np.array_equal(one[COINS[0]].scores, two[COINS[0]].scores, equal_nan=True)


@pytest.mark.parametrize("cut", [170, 290, 291])
def test_noise_after_a_bar_in_any_coin_changes_nothing_before_it_in_any_coin(tables, tmp_path, cut):
    clean, rng = walked(tables, tmp_path), np.random.default_rng(3)
    time = tables[COINS[0]].open_time[cut]
    for noisy in COINS:
        table = tables[noisy]
        later, features = table.open_time > time, table.features.copy()
        features[later] *= rng.normal(0, 9, features[later].shape).astype(np.float32)
        found = walked(tables | {noisy: dataclasses.replace(table, features=features)}, tmp_path)
        for coin, result in found.items():
            before = tables[coin].open_time <= time
            np.testing.assert_array_equal(result.scores[before], clean[coin].scores[before])
        assert not np.array_equal(found[noisy].scores, clean[noisy].scores, equal_nan=True)


def test_a_coin_listed_late_has_no_score_before_a_model_has_learned_enough_rows_of_it(tables, tmp_path):
    late = walked(tables, tmp_path)[COINS[2]]
    learned = [fold.rows for fold in late.folds]
    assert 0 in learned
    assert min(rows for rows in learned if rows) >= LEAST_ROWS
    for fold in late.folds:
        block = slice(fold.block.test_start, fold.block.test_stop)
        assert np.isfinite(late.scores[block]).all() if fold.rows else np.isnan(late.scores[block]).all()


@pytest.mark.parametrize("algorithm", [Logistic(), LightGbm(rounds=5, min_data_in_leaf=5)], ids=lambda one: one.name)
def test_stored_models_say_bar_by_bar_and_in_one_go_what_the_walk_forward_said(tables, tmp_path, algorithm):
    tables = {coin: with_label(table, FutureReturn(4, 0.0)) for coin, table in tables.items()}
    for coin, result in walked(tables, tmp_path, algorithm).items():
        files = ScoreFiles(result.folder, coin=coin)
        times, features = tables[coin].open_time, tables[coin].features
        live = [files.score(int(time), features[row : row + 1])[0] for row, time in enumerate(times)]
        np.testing.assert_array_equal(live, result.scores)
        (speakers,) = find_speakers([result.folder], 1).values()
        spoken = speak(speakers, features, FEATURES.names, times, coin=coin)
        np.testing.assert_array_equal(spoken.scores, result.scores)
        column = SpeakingColumn(ColumnFiles(result.folder, coin=coin), FEATURES.names, Episodes(print))
        column.check()
        np.testing.assert_array_equal(column.batch(times, features), result.scores)


def with_label(table, label):
    bars = SyntheticMarket(symbols=COINS, bars=420, seed=5).bars()
    own = next(bar for bar in bars.values() if np.array_equal(bar.close[-len(table) :], table.close))
    return TrainingTable.of(own.tail(len(table)), table.features, table.feature_names, label)


def test_a_coin_that_is_not_of_the_pool_is_refused_wherever_a_model_is_asked(tables, tmp_path):
    result = walked(tables, tmp_path)[COINS[0]]
    told = "DOGE/USDT: the model scales features coin by coin and has learned from BTC/USDT, ETH/USDT, SOL/USDT only"
    (speakers,) = find_speakers([result.folder], 1).values()
    with pytest.raises(ModelError, match=told):
        speak(speakers, tables[COINS[0]].features, FEATURES.names, tables[COINS[0]].open_time, coin="DOGE/USDT")
    with pytest.raises(ModelError, match=told):
        SpeakingColumn(ColumnFiles(result.folder, coin="DOGE/USDT"), FEATURES.names, Episodes(print)).check()
    with pytest.raises(ModelError, match="an unnamed coin: the model scales"):
        ScoreFiles(result.folder).score(int(result.table.open_time[-1]), result.table.features[-1:])


def test_the_earlier_models_scales_speak_where_a_new_model_is_not_promoted(tables, tmp_path):
    gate = SkillGate(bars=30, demand="better", confidence=0.99)
    found = walked(tables, tmp_path, walk=walk_of(promotion=gate))
    assert {fold.entry.promoted for fold in found[COINS[0]].folds} == {True, False}
    for coin, result in found.items():
        files = ScoreFiles(result.folder, coin=coin)
        times, features = tables[coin].open_time, tables[coin].features
        live = [files.score(int(time), features[row : row + 1])[0] for row, time in enumerate(times)]
        np.testing.assert_array_equal(live, result.scores)


def test_chances_of_classes_and_importance_are_taken_on_scaled_rows(tables, tmp_path):
    classes = {coin: with_label(table, FirstHit(window=8, up=0.004, low=0.002)) for coin, table in tables.items()}
    found = walked(classes, tmp_path, Logistic(scaling="none"), walk_of(scaling="standard"))
    for result in found.values():
        _, buy, sell = (source.batch() for source in result.class_sources)
        np.testing.assert_array_equal(buy - sell, result.scores)
    result = found[COINS[1]]
    spoken = list(spoken_rows(result, 200))
    for one in spoken:
        rows = one.read(result.table.features[one.rows])
        np.testing.assert_array_equal(one.model.predict(rows), result.scores[one.rows])
    arguments = (result.table.features, result.table.label.values)
    lost = permutation_importance(spoken, *arguments, is_classifier=False).lost
    raw = [dataclasses.replace(one, read=lambda features: features) for one in spoken]
    assert not np.array_equal(lost, permutation_importance(raw, *arguments, is_classifier=False).lost)


def test_the_latest_model_is_that_of_a_refit_at_the_last_bar_scales_included(tables, tmp_path):
    pool, walk = Pool(tables), walk_of()
    latest = fit_latest(pool.walk(walk), pool.table, Linear(), tmp_path)
    scales = load_model(latest.path).scales
    for place, table in enumerate(tables.values()):
        rows = table.features[len(table) - 120 : len(table) - 3 - 4]
        np.testing.assert_allclose(scales.centre[place], rows.mean(axis=0, dtype=float), rtol=1e-9)


def test_scales_come_back_bit_for_bit_and_altered_ones_are_refused(tables, tmp_path):
    result = walked(tables, tmp_path)[COINS[0]]
    path = result.folder / result.folds[-1].entry.file
    stored = load_model(path)
    file = path.with_name(stored.manifest.scales)
    again = CoinScales.load(stored.scales.to_bytes(), COINS, len(FEATURES.names))
    assert stored.scales.to_bytes() == again.to_bytes() == file.read_bytes()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    for read in (check_model, load_model):
        with pytest.raises(ModelError, match=r"scales\.npz: the model was altered"):
            read(path)
    again = walked(tables, tmp_path)[COINS[0]]  # the refit is done anew
    assert again.fitted == 1
    np.testing.assert_array_equal(again.scores, result.scores)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_what_are_no_scales_are_refused(content):
    with pytest.raises(ModelError, match=r"not the scales of coins .* Train again"):
        CoinScales.load(content, COINS, 2)


def test_scales_of_other_coins_are_refused():
    content = CoinScales(COINS[:1], np.zeros((1, 2)), np.ones((1, 2))).to_bytes()
    with pytest.raises(ModelError, match=r"scales of shape \(1, 2\) and \(1, 2\), expected \(3, 2\)"):
        CoinScales.load(content, COINS, 2)


def test_reused_bins_are_those_of_scaled_rows(tables, tmp_path):
    training, rng = Training(coin_scaling="standard", reuse_bins=True), np.random.default_rng(1)
    walk = dataclasses.replace(walk_of(), training=training, train_bars=240)
    drawn = {coin: rng.normal(size=tables[coin].features.shape).astype(np.float32) for coin in COINS[:2]}
    found = [
        walked(
            {coin: dataclasses.replace(tables[coin], features=rows * unit) for coin, rows in drawn.items()},
            tmp_path / str(unit),
            TREES,
            walk,
        )
        for unit in (np.float32(1), np.float32(2**20))
    ]
    for coin in drawn:
        np.testing.assert_array_equal(found[0][coin].scores, found[1][coin].scores)


def test_the_same_rows_of_coins_with_other_names_are_another_walk_forward(tables):
    names = dict(zip(("ADA/USDT", "BNB/USDT", "DOT/USDT"), tables.values(), strict=True))
    assert Pool(names).table.fingerprint != Pool(tables).table.fingerprint
