from dataclasses import replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels import skops_file
from itb.mlmodels.forests import ExtraTrees, ExtraTreesRegression, RandomForest, RandomForestRegression
from itb.mlmodels.walkforward import WalkForward

KINDS = (RandomForest, RandomForestRegression, ExtraTrees, ExtraTreesRegression)
SMALL = [kind(trees=8, max_depth=5, min_rows_in_leaf=10) for kind in KINDS]
ALL = pytest.mark.parametrize("algorithm", SMALL, ids=lambda part: part.name)


@pytest.fixture
def rows():
    rng = np.random.default_rng(5)
    features = rng.normal(3, 2, size=(500, 4)).astype(np.float32)
    return features, (features[:, 2] + rng.normal(0, 2, 500) > 4) + 0.0


@ALL
def test_scores_equal_scikit_learns_own(algorithm, rows):
    from sklearn import ensemble

    grown = getattr(ensemble, algorithm.estimator)(
        n_estimators=8,
        max_depth=5,
        min_samples_leaf=10,
        max_features=algorithm.split_fraction,
        bootstrap=algorithm.bootstrap,
        random_state=3,
    ).fit(*rows)
    expected = grown.predict_proba(rows[0])[:, 1] if algorithm.is_classifier else grown.predict(rows[0])
    model = algorithm.fit(*rows, 3)
    np.testing.assert_allclose(model.predict(rows[0]), expected, rtol=1e-12)
    np.testing.assert_allclose(model.importance, grown.feature_importances_)


@ALL
def test_another_seed_grows_other_trees(algorithm, rows):
    assert not np.array_equal(algorithm.fit(*rows, 1).predict(rows[0]), algorithm.fit(*rows, 2).predict(rows[0]))


@ALL
def test_rows_that_do_not_count_are_as_good_as_absent(algorithm, rows):
    algorithm = replace(algorithm, split_fraction=1.0, max_depth=1)
    features, labels = rows
    noise = np.concatenate([labels, 1 - labels[:200]])
    weights = np.concatenate([np.ones(500), np.full(200, 1e-9)])
    counted = algorithm.fit(np.concatenate([features, features[:200]]), noise, 1, weights=weights)
    assert counted.importance.argmax() == 2
    assert counted.predict(features).mean() == pytest.approx(labels.mean(), abs=0.04)


@pytest.mark.parametrize("kind", [RandomForest, ExtraTrees])
def test_balancing_lifts_the_scores_of_the_rare_class(kind, rows):
    plain, even = (kind(trees=8, class_weight=how).fit(*rows, 1).predict(rows[0]) for how in ("none", "balanced"))
    assert plain.mean() == pytest.approx(rows[1].mean(), abs=0.05)
    assert even.mean() == pytest.approx(0.5, abs=0.06)


def test_trees_without_a_split_say_so(rows):
    model = RandomForest(trees=3, min_rows_in_leaf=400).fit(*rows, 1)
    assert model.note == "no tree has a split: all rows score the same; lower min_rows_in_leaf"
    assert len(set(model.predict(rows[0]))) == 1
    assert model.importance.tolist() == [0.0] * 4


def test_fewer_rows_are_drawn_for_each_tree_where_asked(rows):
    whole, part = (RandomForest(trees=8, row_fraction=share).fit(*rows, 1) for share in (1.0, 0.2))
    assert len(part.feature) < len(whole.feature)


def altered(model, **arrays):
    names = ("roots", "feature", "threshold", "left", "right", "value", "importance")
    return skops_file.dump_arrays(model.kind, {name: getattr(model, name) for name in names} | arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {"left": np.zeros_like(m.left)}, "does not lead to later ones"),
        (lambda m: {"right": m.right + len(m.right)}, "does not lead to later ones"),
        (lambda m: {"feature": m.feature + 4}, "asks for a feature that is none of 4"),
        (lambda m: {"feature": m.feature - 4}, "asks for a feature that is none of 4"),
        (lambda m: {"roots": m.roots + len(m.feature)}, "has no root"),
        (lambda m: {"value": m.value + 1}, "holds no probability"),
        (lambda m: {"value": m.value * np.nan}, "not finite"),
        (lambda m: {"value": m.value[:-1]}, "differ in length"),
        (lambda m: {"value": m.value[:, None]}, "are no columns"),
        (lambda m: {"value": m.value.astype(np.float32)}, "no array of numbers"),
        (lambda m: {"surplus": m.value}, "surplus, not roots"),
    ],
)
def test_a_tampered_forest_is_refused(change, message, rows):
    model = SMALL[0].fit(*rows, 1)
    with pytest.raises(ModelError, match=message):
        SMALL[0].load(altered(model, **change(model)))


def test_a_forest_of_another_kind_or_of_scikit_learn_itself_is_refused(rows):
    import skops.io
    from sklearn.ensemble import RandomForestClassifier

    with pytest.raises(ModelError, match="holds 'extra_trees', expected a model of 'random_forest'"):
        SMALL[0].load(SMALL[2].fit(*rows, 1).to_bytes())
    with pytest.raises(ModelError, match=r"refused to load a model that holds .*sklearn\.tree\._tree\.Tree"):
        SMALL[0].load(skops.io.dumps(RandomForestClassifier(n_estimators=2).fit(*rows)))


@ALL
def test_a_walk_forward_runs_and_later_rows_change_nothing(algorithm, table, tmp_path):
    walk = WalkForward(train_bars=200, refit_every=100, min_train_rows=50)
    scores = walk.run(table, algorithm, tmp_path).scores
    features = table.features.copy()
    features[400:] *= -3
    other = walk.run(replace(table, features=features), algorithm, tmp_path).scores
    np.testing.assert_array_equal(scores[:400], other[:400])
    assert np.isfinite(scores[210:]).all()
    assert not np.array_equal(scores[400:], other[400:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trees": 0}, "trees must be at least 1, was 0"),
        ({"max_depth": 0}, "max_depth must be at least 1"),
        ({"min_rows_in_leaf": 0}, "min_rows_in_leaf must be at least 1"),
        ({"split_fraction": 0.0}, "split_fraction must be above 0 and at most 1"),
        ({"row_fraction": 1.5}, "row_fraction must be above 0 and at most 1, was 1.5"),
        ({"class_weight": "even"}, "class_weight must be"),
    ],
)
def test_wrong_settings_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomForest(**settings)
