import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.algorithm import Algorithm, complete_rows, score_rows, settings_of
from itb.mlmodels.algorithms import ALGORITHMS, check_can_learn, column_name
from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.forests import ExtraTrees, ExtraTreesRegression, RandomForest, RandomForestRegression
from itb.mlmodels.linear import ElasticNet, Linear, Logistic, LogisticElasticNet
from itb.mlmodels.one_row import one_row
from itb.mlmodels.perceptron import Mlp, MlpRegression
from itb.mlmodels.svm import Svc, Svr

SMALL: dict[str, Algorithm] = {
    "lightgbm": LightGbm(rounds=20, num_leaves=7),
    "lightgbm_regression": LightGbmRegression(rounds=20, num_leaves=7),
    "logistic": Logistic(),
    "logistic_elastic_net": LogisticElasticNet(),
    "linear": Linear(),
    "elastic_net": ElasticNet(),
    "random_forest": RandomForest(trees=10, split_fraction=1.0),
    "random_forest_regression": RandomForestRegression(trees=10, split_fraction=1.0),
    "extra_trees": ExtraTrees(trees=10),
    "extra_trees_regression": ExtraTreesRegression(trees=10),
    "svc": Svc(),
    "svr": Svr(),
    "mlp": Mlp(step=0.01),
    "mlp_regression": MlpRegression(step=0.01),
}
ALL = pytest.mark.parametrize("algorithm", SMALL.values(), ids=SMALL)


@pytest.fixture
def rows():
    rng = np.random.default_rng(7)
    features = rng.normal(3, 2, size=(800, 5)).astype(np.float32)
    return features, (features[:, 2] + rng.normal(0, 2, 800) > 3) + 0.0


def test_table_lists_every_algorithm_under_its_own_name():
    assert {name: part().name for name, part in ALGORITHMS.items()} == {name: name for name in SMALL}


@ALL
def test_the_same_rows_give_the_same_model_file(algorithm, rows):
    assert algorithm.fit(rows[0], rows[1], 3).to_bytes() == algorithm.fit(rows[0], rows[1], 3).to_bytes()


@ALL
def test_a_loaded_model_scores_bit_for_bit_like_the_fitted_one(algorithm, rows):
    model = algorithm.fit(rows[0], rows[1], 3)
    np.testing.assert_array_equal(algorithm.load(model.to_bytes()).predict(rows[0]), model.predict(rows[0]))


@ALL
def test_a_row_scores_the_same_alone_and_among_others(algorithm, rows):
    model = algorithm.fit(rows[0], rows[1], 3)
    alone = [model.predict(rows[0][i : i + 1])[0] for i in range(0, 800, 50)]
    np.testing.assert_array_equal(model.predict(rows[0])[::50], alone)
    np.testing.assert_array_equal(model.predict(rows[0][100:133])[:1], model.predict(rows[0])[100:101])


@pytest.mark.parametrize("algorithm", [LightGbm(rounds=30), LightGbmRegression(rounds=30)], ids=lambda part: part.name)
def test_one_row_through_the_c_interface_scores_bit_for_bit_like_the_booster(algorithm, rows):
    model = algorithm.fit(rows[0], rows[1], 3)
    expected = model._booster.predict(rows[0])
    assert [model.predict_one(rows[0][i : i + 1]) for i in range(800)] == expected.tolist()
    np.testing.assert_array_equal(score_rows(model, rows[0][7:8]), expected[7:8])
    assert np.isnan(score_rows(model, np.array([[1, np.nan, 1, 1, 1]], dtype=np.float32))).all()


def test_threads_do_not_share_the_buffers_of_one_row(rows):
    model = LightGbm(rounds=30).fit(rows[0], rows[1], 3)
    expected = model.predict(rows[0])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: model.predict_one(rows[0][i % 800 : i % 800 + 1]), range(8_000)))
    np.testing.assert_array_equal(found, np.tile(expected, 10))


def test_a_library_without_the_fast_way_scores_the_same(rows, monkeypatch):
    model = LightGbm(rounds=5).fit(rows[0], rows[1], 3)
    expected = model.predict(rows[0][:1])[0]
    booster = model._booster
    monkeypatch.setattr("lightgbm.basic._LIB", object())
    assert one_row(booster) is None
    monkeypatch.undo()
    model._threads.one_row = None
    assert model.predict_one(rows[0][:1]) == expected


def test_a_row_of_another_width_is_refused_as_by_the_booster(rows):
    model = LightGbm(rounds=5).fit(rows[0], rows[1], 3)
    with pytest.raises(Exception, match="number of features"):
        model.predict_one(rows[0][:1, :4])


@ALL
def test_scores_are_float64_within_the_declared_range(algorithm, rows):
    scores = algorithm.fit(rows[0], rows[1], 3).predict(rows[0] * 1000)
    low, high = algorithm.score_range
    assert scores.dtype == np.float64
    assert ((scores >= low) & (scores <= high)).all()


@ALL
def test_the_feature_that_decides_is_the_most_important(algorithm, rows):
    importance = algorithm.fit(rows[0], rows[1], 3).importance
    assert importance.shape == (5,)
    assert importance.argmax() == 2


@ALL
def test_a_file_that_is_no_model_is_refused(algorithm):
    for content in (b"", b"tree\nnonsense", b"\x80\x04K\x01.", b"PK\x03\x04"):
        with pytest.raises(ModelError, match=r"[Tt]rain"):
            algorithm.load(content)


def test_logistic_equals_scikit_learn(rows):
    model = Logistic().fit(rows[0], rows[1], 1)
    expected = model.pipeline.predict_proba(rows[0].astype(float))[:, 1]
    np.testing.assert_allclose(model.predict(rows[0]), expected, rtol=1e-12)


def test_linear_equals_scikit_learn(rows):
    model = Linear().fit(rows[0], rows[1], 1)
    np.testing.assert_allclose(model.predict(rows[0]), model.pipeline.predict(rows[0].astype(float)), rtol=1e-12)


def test_a_fit_that_does_not_converge_says_so(rows):
    assert Logistic(max_iter=1).fit(rows[0], rows[1], 1).note == "did not converge; raise max_iter"


def test_a_skops_file_with_an_unexpected_type_is_not_built(rows):
    import skops.io
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(n_estimators=2).fit(*rows)
    with pytest.raises(ModelError, match=r"refused to load a model that holds .*RandomForestClassifier"):
        Logistic().load(skops.io.dumps(forest))


def test_a_skops_file_of_another_algorithm_is_refused(rows):
    with pytest.raises(ModelError, match="Ridge"):
        Logistic().load(Linear().fit(rows[0], rows[1], 1).to_bytes())


def test_rows_with_a_missing_or_infinite_feature_have_no_score(rows):
    features = rows[0].copy()
    features[3, 1], features[5, 0] = np.nan, np.inf
    model = Linear().fit(rows[0], rows[1], 1)
    scores = score_rows(model, features)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3, 5]
    np.testing.assert_array_equal(scores[complete_rows(features)], model.predict(features[complete_rows(features)]))


def test_a_classifier_for_a_number_is_refused_with_a_way_out():
    with pytest.raises(
        ValueError, match=r"threshold = 0\.0, or learn the number itself with algorithm = \"lightgbm_regression\""
    ):
        check_can_learn(LightGbm(), "return_24", is_binary=False)
    check_can_learn(Linear(), "return_24", is_binary=False)
    assert column_name("return_24", Linear()) == "return_24_linear"


def test_a_part_whose_settings_cannot_be_seen_is_refused():
    with pytest.raises(TypeError, match="object must be a frozen dataclass"):
        settings_of(object())
    assert settings_of(Linear(alpha=2.0)) == {
        "class": "itb.mlmodels.linear.Linear",
        "alpha": 2.0,
        "scaling": "standard",
    }


def test_importing_the_room_loads_no_heavy_library():
    heavy = ("pandas", "sklearn", "lightgbm", "skops", "scipy", "pyarrow")
    code = "import sys, itb.mlmodels.walkforward, itb.mlmodels.labels, itb.mlmodels.quality; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not set(heavy) & set(loaded)


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (LightGbm, {"rounds": 0}, "rounds must be at least 1, was 0"),
        (LightGbm, {"learning_rate": 0.0}, "learning_rate must be above 0"),
        (LightGbm, {"lambda_l2": -1.0}, "lambda_l2 must be at least 0"),
        (LightGbmRegression, {"loss": "l3"}, "loss must be"),
        (Logistic, {"c": 0.0}, "c must be above 0"),
        (Logistic, {"max_iter": 0}, "max_iter must be at least 1"),
        (Logistic, {"class_weight": "even"}, "class_weight must be"),
        (Linear, {"alpha": 0.0}, "alpha must be above 0"),
        (Linear, {"scaling": "minmax"}, 'scaling must be "standard", "robust" or "none", was .minmax.'),
        (LogisticElasticNet, {"c": float("nan")}, "c must be above 0, was nan"),
        (LogisticElasticNet, {"l1_ratio": 1.5}, "l1_ratio must be between 0 and 1, was 1.5"),
        (ElasticNet, {"alpha": -1.0}, "alpha must be above 0"),
        (ElasticNet, {"max_iter": 0}, "max_iter must be at least 1"),
    ],
)
def test_wrong_settings_are_refused_in_words(part, arguments, message):
    with pytest.raises(ValueError, match=message):
        part(**arguments)
