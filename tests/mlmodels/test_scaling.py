from dataclasses import replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.linear import ElasticNet, Linear, Logistic, LogisticElasticNet
from itb.mlmodels.row_weights import row_weights
from itb.mlmodels.scaling import scale_rows
from itb.mlmodels.walkforward import WalkForward

ALL = pytest.mark.parametrize(
    "algorithm", [Logistic(), LogisticElasticNet(), Linear(), ElasticNet()], ids=lambda part: part.name
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(11)
    features = rng.normal(3, 2, size=(600, 4)).astype(np.float32)
    return features, (features[:, 1] + rng.normal(0, 2, 600) > 5) + 0.0


def test_robust_scaling_takes_the_median_and_the_range_between_the_5_and_95_percent_quantiles(rows):
    scaled, centre, scale = scale_rows(rows[0], "robust")
    low, middle, high = np.quantile(rows[0].astype(float), [0.05, 0.5, 0.95], axis=0)
    np.testing.assert_allclose(centre, middle)
    np.testing.assert_allclose(scale, high - low)
    np.testing.assert_allclose(scaled, (rows[0] - middle) / (high - low))


def test_an_outlier_moves_standard_scaling_but_not_robust_scaling(rows):
    wild = rows[0].copy()
    wild[0, 0] = 1e6
    assert scale_rows(wild, "robust")[2][0] == pytest.approx(scale_rows(rows[0], "robust")[2][0], rel=0.02)
    assert scale_rows(wild, "standard")[2][0] > 1000 * scale_rows(rows[0], "standard")[2][0]


def test_a_feature_that_never_moves_is_divided_by_one():
    for scaling in ("standard", "robust", "none"):
        scaled, _, scale = scale_rows(np.full((9, 1), 4, dtype=np.float32), scaling)
        assert scale.tolist() == [1.0]
        assert np.isfinite(scaled).all()


@ALL
@pytest.mark.parametrize("scaling", ["standard", "robust", "none"])
def test_the_scaler_is_kept_with_the_model(algorithm, scaling, rows):
    algorithm = replace(algorithm, scaling=scaling)
    model = algorithm.fit(*rows, 1)
    loaded = type(algorithm)().load(model.to_bytes())  # a file says how it was scaled, whatever the settings are now
    np.testing.assert_array_equal(loaded.predict(rows[0]), model.predict(rows[0]))
    pipeline = model.pipeline
    expected = (
        pipeline.predict_proba(rows[0].astype(float))[:, 1]
        if algorithm.is_classifier
        else pipeline.predict(rows[0].astype(float))
    )
    np.testing.assert_allclose(model.predict(rows[0]), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("algorithm", [Logistic(scaling="none"), LogisticElasticNet(scaling="none")], ids=repr)
def test_a_model_of_three_classes_comes_back_without_a_scaler_too(algorithm, rows):
    model = algorithm.fit_classes(rows[0], np.arange(600) % 3 + 0.0, 1)
    np.testing.assert_array_equal(algorithm.load(model.to_bytes()).predict(rows[0]), model.predict(rows[0]))


@ALL
def test_rows_that_count_twice_are_as_good_as_rows_that_are_there_twice(algorithm, rows):
    algorithm = (
        replace(algorithm, scaling="none", max_iter=5000) if hasattr(algorithm, "max_iter") else Linear(scaling="none")
    )
    features, labels = rows
    weights = np.where(np.arange(600) < 200, 2.0, 1.0)
    twice = np.concatenate([np.arange(200), np.arange(600)])
    counted = algorithm.fit(features, labels, 1, weights=weights)
    repeated = algorithm.fit(features[twice], labels[twice], 1)
    np.testing.assert_allclose(counted.predict(features), repeated.predict(features), atol=2e-2)


def test_balanced_classes_weigh_the_same_and_given_weights_are_kept_in_sum(rows):
    given = np.random.default_rng(1).uniform(0.1, 1, 600)
    found = row_weights(rows[1], given, "balanced")
    assert found.sum() == pytest.approx(given.sum())
    assert found[rows[1] == 1].sum() == pytest.approx(found[rows[1] == 0].sum())
    np.testing.assert_allclose(
        found[rows[1] == 1] / given[rows[1] == 1], found[rows[1] == 1][0] / given[rows[1] == 1][0]
    )


def test_balanced_equals_scikit_learns_own(rows):
    from sklearn.linear_model import LogisticRegression

    model = Logistic(scaling="none", class_weight="balanced", max_iter=2000).fit(*rows, 1)
    other = LogisticRegression(class_weight="balanced", max_iter=2000).fit(rows[0].astype(float), rows[1])
    np.testing.assert_allclose(model.importance, np.abs(other.coef_[0]), rtol=1e-6)


def test_balancing_lifts_the_scores_of_the_rare_class(rows):
    for algorithm in (Logistic(), LogisticElasticNet()):
        plain, even = (replace(algorithm, class_weight=how).fit(*rows, 1) for how in ("none", "balanced"))
        assert plain.predict(rows[0]).mean() == pytest.approx(rows[1].mean(), abs=0.02)
        assert even.predict(rows[0]).mean() > plain.predict(rows[0]).mean() + 0.1


def test_weights_of_another_length_are_refused(rows):
    with pytest.raises(ValueError, match="600 rows have 3 weights"):
        Logistic().fit(*rows, 1, weights=np.ones(3))


def test_an_elastic_net_leaves_out_what_says_nothing(rows):
    labels = rows[0][:, 1] / 1000.0
    importance = ElasticNet(alpha=0.3).fit(rows[0], labels, 1).importance
    assert np.flatnonzero(importance).tolist() == [1]
    scaled_up = ElasticNet(alpha=0.3).fit(rows[0], labels * 1e6, 1).importance
    np.testing.assert_allclose(scaled_up, importance * 1e6)


def test_a_penalty_that_leaves_nothing_says_so(rows):
    model = ElasticNet(alpha=3.0).fit(*rows, 1)
    assert model.note == "every coefficient is zero: all rows score the same; weaken the penalty"
    np.testing.assert_allclose(model.predict(rows[0]), rows[1].mean())


def test_a_file_of_another_linear_model_is_refused(rows):
    with pytest.raises(ModelError, match="Ridge"):
        ElasticNet().load(Linear().fit(*rows, 1).to_bytes())
    with pytest.raises(ModelError, match="ElasticNet"):
        LogisticElasticNet().load(ElasticNet().fit(*rows, 1).to_bytes())


@pytest.mark.parametrize("algorithm", [LogisticElasticNet(scaling="robust"), ElasticNet()], ids=lambda part: part.name)
def test_a_walk_forward_runs_and_later_rows_change_nothing(algorithm, table, tmp_path):
    walk = WalkForward(train_bars=200, refit_every=60, min_train_rows=50)
    scores = walk.run(table, algorithm, tmp_path).scores
    features = table.features.copy()
    features[400:] *= -3
    other = walk.run(replace(table, features=features), algorithm, tmp_path).scores
    np.testing.assert_array_equal(scores[:400], other[:400])
    assert np.isfinite(scores[210:]).all()
    assert not np.array_equal(scores[400:], other[400:])
