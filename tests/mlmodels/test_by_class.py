from dataclasses import replace

import numpy as np
import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ModelError
from itb.mlmodels.algorithms import check_can_learn
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.by_class import CLASS_NAMES, ByClass, StepwiseByClass, for_label
from itb.mlmodels.forests import ExtraTrees, RandomForest
from itb.mlmodels.judges import TradingResult
from itb.mlmodels.labels import FirstHit, LabelColumn
from itb.mlmodels.linear import Linear, Logistic, LogisticElasticNet
from itb.mlmodels.perceptron import Mlp
from itb.mlmodels.quality import grade_result
from itb.mlmodels.stopping import EarlyStopping
from itb.mlmodels.svm import Svc
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.thresholds.class_rule import Probabilities
from itb.mlmodels.training import Training
from itb.mlmodels.walkforward import WalkForward

WALK = WalkForward(train_bars=300, refit_every=150, min_train_rows=50)
ABLE = [
    LightGbm(rounds=15, min_data_in_leaf=20),
    Logistic(),
    LogisticElasticNet(),
    RandomForest(trees=8, min_rows_in_leaf=20, split_fraction=1.0),
    ExtraTrees(trees=8, min_rows_in_leaf=20),
    Mlp(step=0.02, epochs=15),
]
EACH = pytest.mark.parametrize("algorithm", ABLE, ids=lambda part: part.name)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    features = rng.normal(2, 3, size=(900, 4)).astype(np.float32)
    push = features[:, 1] - 2 + rng.normal(0, 1, 900)
    return features, np.where(push > 2, 1.0, np.where(push < -2, -1.0, 0.0))


@pytest.fixture
def table(make_table):
    plain = make_table(900)
    push = plain.features[:, 0] + np.random.default_rng(1).normal(0, 1, 900)
    labels = np.where(push > 0.8, 1.0, np.where(push < -0.8, -1.0, 0.0))
    close = 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, 900)))
    return replace(plain, label=LabelColumn.after(labels, 4), is_binary=False, has_classes=True, close=close)


@EACH
def test_chances_of_the_classes_sum_up_and_a_row_alone_has_the_same(algorithm, rows):
    model = ByClass(algorithm).fit(*rows, 1)
    chances = model.chances(rows[0])
    assert chances.shape == (900, 3)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
    for row in (0, 100, 899):
        np.testing.assert_array_equal(model.chances(rows[0][row : row + 1])[0], chances[row])
    np.testing.assert_array_equal(model.predict(rows[0]), chances[:, 1] - chances[:, 2])
    assert np.corrcoef(model.predict(rows[0]), rows[1])[0, 1] > 0.6
    assert model.importance.argmax() == 1


@EACH
def test_a_class_model_is_the_same_again_and_from_its_file(algorithm, rows):
    taught = ByClass(algorithm)
    first, second = (taught.fit(*rows, 1).to_bytes() for _ in range(2))
    assert first == second
    model = taught.load(first)
    np.testing.assert_array_equal(model.chances(rows[0]), taught.fit(*rows, 1).chances(rows[0]))
    with pytest.raises(ModelError, match="expected hold, buy and sell"):
        taught.load(algorithm.fit(rows[0], (rows[1] > 0) + 0.0, 1).to_bytes())


def places(labels):
    return np.where(labels < 0, 2, labels)


@EACH
def test_chances_are_those_of_the_library_itself(algorithm, rows):
    import lightgbm
    from sklearn import ensemble, linear_model, neural_network
    from sklearn.preprocessing import StandardScaler

    features, labels = rows[0].astype(float), places(rows[1])
    scaled = StandardScaler().fit_transform(features)
    if isinstance(algorithm, LightGbm):
        params = algorithm._params(1) | {"objective": "multiclass", "num_class": 3}
        bare = lightgbm.train(params, lightgbm.Dataset(rows[0], labels, params=params), num_boost_round=15)
        expected = bare.predict(rows[0])
    elif isinstance(algorithm, Logistic):
        expected = linear_model.LogisticRegression(C=1, max_iter=200).fit(scaled, labels).predict_proba(scaled)
    elif isinstance(algorithm, LogisticElasticNet):
        model = linear_model.LogisticRegression(
            C=0.1, l1_ratio=0.5, solver="saga", max_iter=500, tol=1e-3, random_state=1
        )
        expected = model.fit(scaled, labels).predict_proba(scaled)
    elif isinstance(algorithm, Mlp):
        model = neural_network.MLPClassifier(
            (16,), alpha=0.01, learning_rate_init=0.02, batch_size=128, max_iter=15, n_iter_no_change=15, random_state=1
        )
        with pytest.warns(match="Maximum iterations"):
            expected = model.fit(scaled, labels).predict_proba(scaled)
    else:
        kind = ensemble.RandomForestClassifier if isinstance(algorithm, RandomForest) else ensemble.ExtraTreesClassifier
        forest = kind(8, max_depth=8, min_samples_leaf=20, max_features=algorithm.split_fraction, random_state=1)
        expected = forest.fit(rows[0], labels).predict_proba(rows[0])
    np.testing.assert_allclose(ByClass(algorithm).fit(*rows, 1).chances(rows[0]), expected, atol=1e-9)


@pytest.mark.parametrize("algorithm", [ABLE[0], ABLE[-1]], ids=["lightgbm", "mlp"])
def test_stages_of_classes_are_models_of_that_many_steps(algorithm, rows):
    taught = for_label(algorithm, has_classes=True)
    assert isinstance(taught, StepwiseByClass)
    stages = list(taught.with_steps(4).learn(*rows, 1, None, rows[0][:50]))
    assert [stage.steps for stage in stages] == [1, 2, 3, 4]
    for stage in stages:
        np.testing.assert_allclose(stage.model().chances(rows[0][:50]), stage.scores, rtol=1e-12)


@EACH
def test_a_walk_forward_gives_a_difference_and_a_column_for_each_class(algorithm, table, tmp_path):
    result = WALK.run(table, algorithm, tmp_path)
    hold, buy, sell = result.class_sources
    assert [source.column for source in result.class_sources] == [f"up_{algorithm.name}_{name}" for name in CLASS_NAMES]
    np.testing.assert_array_equal(result.scores, buy.scores - sell.scores)
    assert (result.low, result.high, result.is_classifier) == (-1, 1, False)
    told = np.isfinite(result.scores)
    said = Probabilities(hold.scores[told], buy.scores[told], sell.scores[told]).classes
    labels = places(table.label.values[told])
    known = np.isfinite(labels)
    assert (said[known] == labels[known]).mean() > max(np.mean(labels[known] == value) for value in (0, 1, 2))
    assert grade_result(result).pooled.skill > 0.1
    row = int(np.flatnonzero(told)[-1])
    model = result.timeline.model_at(int(table.open_time[row]), result.folder)
    assert model is not None
    assert model.scores(table.features[row : row + 1])[0] == result.scores[row]


def test_a_label_without_classes_has_no_class_columns(make_table, tmp_path):
    assert WALK.run(make_table(600), Logistic(), tmp_path).class_sources == ()


def test_classes_are_stopped_by_what_trading_them_earns(table, tmp_path):
    stopping = EarlyStopping(TradingResult(fee=0.001), patience=3)
    walk = replace(WALK, training=Training(early_stopping=stopping, class_balance="rows"))
    first, second = (walk.run(table, ABLE[0], tmp_path / str(workers), workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(first.scores, second.scores)
    assert not np.array_equal(first.scores, WALK.run(table, ABLE[0], tmp_path).scores, equal_nan=True)


def test_a_window_that_lacks_a_class_trains_nothing(table, tmp_path):
    labels = np.where(np.arange(900) < 600, np.abs(table.label.values), table.label.values)
    result = WALK.run(replace(table, label=LabelColumn.after(labels[:900], 4)), Logistic(), tmp_path)
    assert result.folds[0].entry.reason == "the 295 labels are only 0 and 1"
    assert result.folds[-1].entry.promoted
    assert np.isnan(result.class_sources[0].scores[:300]).all()


def test_a_class_without_rows_is_named():
    with pytest.raises(ModelError, match="no row to learn from is labelled sell"):
        ByClass(Logistic()).fit(np.zeros((2, 1), dtype=np.float32), np.array([0.0, 1.0]), 1)


def test_only_algorithms_that_can_learn_classes_are_given_them():
    with pytest.raises(ValueError, match=r"tells two classes apart.*view = .buy.*\"lightgbm\", \"logistic\""):
        check_can_learn(Svc(), "first_hit", is_binary=False, has_classes=True)
    check_can_learn(Linear(), "first_hit", is_binary=False, has_classes=True)
    assert for_label(Linear(), has_classes=True) == Linear()
    assert for_label(Logistic(), has_classes=False) == Logistic()
    with pytest.raises(TypeError, match="tells two apart"):
        ByClass(Svc())


def test_the_table_signs_the_classes_of_a_label():
    bars = SyntheticMarket(bars=400).bars()["BTC/USDT"]
    label = FirstHit(up=0.01, low=0.005)
    table = TrainingTable.of(bars, np.zeros((400, 1), dtype=np.float32), ("a",), label)
    own = label(bars).values
    assert table.has_classes
    np.testing.assert_array_equal(table.label.values == -1, own == 2)
    np.testing.assert_array_equal(table.label.values == 1, own == 1)
    buys = TrainingTable.of(bars, table.features, ("a",), replace(label, view="buy"))
    assert (buys.has_classes, buys.is_binary) == (False, True)
