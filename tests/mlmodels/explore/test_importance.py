from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pytest

from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.by_class import ByClass
from itb.mlmodels.explore.importance import (
    Spoken,
    contributions,
    permutation_importance,
    spoken_rows,
)
from itb.mlmodels.linear import Linear, Logistic
from itb.mlmodels.result import WalkForwardResult
from itb.mlmodels.walkforward import WalkForward


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> WalkForwardResult:
    from tests.mlmodels.conftest import learnable

    walk = WalkForward(train_bars=300, refit_every=100, min_train_rows=50)
    algorithm = LightGbm(rounds=15, num_leaves=5, min_data_in_leaf=10, learning_rate=0.2)
    return walk.run(learnable(900), algorithm, tmp_path_factory.mktemp("walk"))


def test_rows_are_those_that_the_model_that_spoke_had_not_learned_from(result: WalkForwardResult) -> None:
    spoken = list(spoken_rows(result, limit=10_000))
    assert len(spoken) == len(result.folds)
    for one, fold in zip(spoken, result.folds, strict=True):
        assert not np.isin(one.rows, fold.learned_rows).any()
        told = result.table.features[one.rows]
        np.testing.assert_array_equal(one.model.predict(told), result.scores[one.rows])
    rows = np.concatenate([one.rows for one in spoken])
    graded = np.isfinite(result.scores) & np.isfinite(result.table.label.values)
    np.testing.assert_array_equal(rows, np.flatnonzero(graded))


def test_fewer_rows_are_taken_evenly_from_all_blocks(result: WalkForwardResult) -> None:
    rows = np.concatenate([one.rows for one in spoken_rows(result, limit=100)])
    assert 80 <= len(rows) <= 100
    assert set(np.diff(rows)) == {int(np.diff(rows)[0])}


def test_a_block_of_a_refused_refit_belongs_to_the_model_before_it(result: WalkForwardResult) -> None:
    refused = replace(result.folds[1], entry=replace(result.folds[1].entry, promoted=False, reason="worse"))
    spoken = list(spoken_rows(replace(result, folds=(result.folds[0], refused, *result.folds[2:])), limit=10_000))
    first = result.table.features[spoken[1].rows]
    np.testing.assert_array_equal(spoken[1].model.predict(first), spoken[0].model.predict(first))


def slow_permutation(spoken: list[Spoken], features: np.ndarray, labels: np.ndarray, repeats: int) -> np.ndarray:
    """Shuffle each feature in all rows, score row by row, and compare log losses."""
    rows = np.concatenate([one.rows for one in spoken])
    models = [one.model for one in spoken for _ in one.rows]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(rows)) for _ in range(repeats)]

    def loss(given: np.ndarray) -> float:
        total = 0.0
        for model, row, y in zip(models, given, labels[rows], strict=True):
            p = float(model.predict(row.reshape(1, -1))[0])
            total -= np.log(p if y > 0 else 1 - p)
        return total / len(rows)

    own = features[rows]
    share = labels[rows].mean()
    base = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    lost = []
    for place in range(features.shape[1]):
        shuffled = []
        for order in orders:
            spoiled = own.copy()
            spoiled[:, place] = own[order, place]
            shuffled.append(loss(spoiled))
        lost.append((np.mean(shuffled) - loss(own)) / base)
    return np.array(lost)


def test_permutation_importance_is_that_of_shuffling_by_hand(result: WalkForwardResult) -> None:
    spoken = list(spoken_rows(result, limit=60))
    table = result.table
    found = permutation_importance(spoken, table.features, table.label.values, is_classifier=True)
    expected = slow_permutation(spoken, table.features, table.label.values, repeats=2)
    np.testing.assert_allclose(found.lost, expected, atol=1e-12)
    assert (found.rows, found.repeats) == (sum(len(one.rows) for one in spoken), 2)


def test_the_feature_that_foretells_costs_most_and_the_interval_of_the_others_holds_0(
    result: WalkForwardResult,
) -> None:
    table = result.table
    spoken = list(spoken_rows(result, limit=10_000))
    found = permutation_importance(spoken, table.features, table.label.values, is_classifier=True, reach=4, repeats=5)
    assert found.lost.argmax() == 0
    assert found.lost[0] - found.margin[0] > 0
    assert (np.abs(found.lost[1:]) < found.lost[0] / 2).all()


def test_a_feature_that_no_model_looks_at_costs_nothing_and_the_same_seed_gives_the_same(
    result: WalkForwardResult,
) -> None:
    spoken = list(spoken_rows(result, limit=100))
    blind = np.array([0, 1, 1, 1, 1, 1.0])

    class Blind:
        importance = blind
        note = ""

        def predict(self, features: np.ndarray) -> np.ndarray:
            return np.asarray(1 / (1 + np.exp(-features[:, 1:].sum(axis=1).astype(float))))

    told = [Spoken(Blind(), one.rows) for one in spoken]  # type: ignore[arg-type]  # it is never saved
    given = result.table.features, result.table.label.values
    one, two = (permutation_importance(told, *given, is_classifier=True, seed=7) for _ in range(2))
    assert one.lost[0] == one.margin[0] == 0
    np.testing.assert_array_equal(one.lost, two.lost)
    assert (permutation_importance(told, *given, is_classifier=True, seed=8).lost != one.lost).any()


def test_no_row_gives_no_figure() -> None:
    found = permutation_importance([], np.zeros((3, 2), dtype=np.float32), np.zeros(3), is_classifier=False)
    assert np.isnan(found.lost).all()
    assert contributions([], np.zeros((3, 2), dtype=np.float32)) is None


def test_contributions_and_a_constant_add_up_to_the_log_odds(result: WalkForwardResult) -> None:
    spoken = list(spoken_rows(result, limit=200))
    found = contributions(spoken, result.table.features)
    assert found is not None
    start = 0
    for one in spoken:
        chance = one.model.predict(np.ascontiguousarray(result.table.features[one.rows]))
        rest = np.log(chance / (1 - chance)) - found.parts[start : start + len(one.rows)].sum(axis=1)
        assert np.ptp(rest) < 1e-9
        start += len(one.rows)
    assert found.mean_size.argmax() == 0


def test_contributions_of_one_tree_are_shapley_values_of_its_leaves() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(400, 3)).astype(np.float32)
    labels = np.array(2.0 * (features[:, 0] > 0) * (features[:, 1] > 0.5) + features[:, 2], dtype=np.float64)
    grower = LightGbmRegression(
        rounds=1,
        num_leaves=6,
        learning_rate=1,
        min_data_in_leaf=10,
        feature_fraction=1,
        bagging_fraction=1,
        lambda_l2=0,
    )
    model = grower.fit(features, labels, seed=1)
    import lightgbm

    tree = lightgbm.Booster(model_str=model.text).dump_model()["tree_info"][0]["tree_structure"]

    def value(node: dict, row: np.ndarray, known: frozenset[int]) -> float:
        """Walk down by the features that are known, and by the shares of training rows where they are not."""
        if "leaf_value" in node:
            return float(node["leaf_value"])
        left, right = node["left_child"], node["right_child"]
        if node["split_feature"] in known:
            side = left if row[node["split_feature"]] <= node["threshold"] else right
            return value(side, row, known)
        counts = [child.get("internal_count", child.get("leaf_count")) for child in (left, right)]
        parts = [value(child, row, known) for child in (left, right)]
        return float(np.average(parts, weights=counts))

    def shapley(row: np.ndarray, feature: int, width: int = 3) -> float:
        others = [place for place in range(width) if place != feature]
        total = 0.0
        for size in range(width):
            for known in map(frozenset, combinations(others, size)):
                weight = factorial(size) * factorial(width - size - 1) / factorial(width)
                total += weight * (value(tree, row, known | {feature}) - value(tree, row, known))
        return total

    found = contributions([Spoken(model, np.arange(12))], features)
    assert found is not None
    expected = [[shapley(features[row].astype(float), place) for place in range(3)] for row in range(12)]
    np.testing.assert_allclose(found.parts, expected, atol=1e-6)


def test_contributions_to_classes_are_those_to_buy_less_those_to_sell() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 3)).astype(np.float32)
    labels = np.clip(np.round(1.5 * features[:, 1]), -1, 1)
    model = ByClass(LightGbm(rounds=10, min_data_in_leaf=20)).fit(features, labels, seed=1)
    found = contributions([Spoken(model, np.arange(50))], features)
    assert found is not None
    chances = model.chances(features[:50])  # type: ignore[attr-defined]  # a model of classes has them
    rest = np.log(chances[:, 1] / chances[:, 2]) - found.parts.sum(axis=1)
    assert np.ptp(rest) < 1e-9


@pytest.mark.parametrize("algorithm", [Logistic(), Linear()])
def test_models_without_trees_are_not_taken_apart(algorithm: Logistic | Linear) -> None:
    features = np.random.default_rng(1).normal(size=(100, 2)).astype(np.float32)
    model = algorithm.fit(features, (features[:, 0] > 0).astype(float), seed=1)
    assert contributions([Spoken(model, np.arange(5))], features) is None
