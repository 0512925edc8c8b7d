import warnings
from dataclasses import replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels import skops_file
from itb.mlmodels.perceptron import Mlp, MlpRegression
from itb.mlmodels.scaling import scale_rows
from itb.mlmodels.walkforward import WalkForward

ALL = pytest.mark.parametrize(
    "algorithm",
    [Mlp(epochs=5, step=0.01), MlpRegression(epochs=5, step=0.01, layers=(9, 1, 4), activation="tanh")],
    ids=lambda part: part.name,
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(5)
    features = rng.normal(3, 2, size=(400, 4)).astype(np.float32)
    return features, (features[:, 2] + rng.normal(0, 2, 400) > 4) + 0.0


@ALL
@pytest.mark.parametrize("scaling", ["standard", "robust"])
def test_scores_equal_scikit_learns_own(algorithm, scaling, rows):
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    algorithm = replace(algorithm, scaling=scaling)
    scaled = scale_rows(rows[0], scaling)[0]
    settings = {
        "hidden_layer_sizes": algorithm.layers,
        "activation": algorithm.activation,
        "alpha": 0.01,
        "learning_rate_init": 0.01,
        "batch_size": 128,
        "max_iter": 5,
        "random_state": 3,
    }
    mean, unit = (0, 1) if algorithm.is_classifier else (rows[1].mean(), rows[1].std())
    own = (MLPClassifier if algorithm.is_classifier else MLPRegressor)(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own.fit(scaled, (rows[1] - mean) / unit)
    expected = own.predict_proba(scaled)[:, 1] if algorithm.is_classifier else own.predict(scaled) * unit + mean
    np.testing.assert_allclose(algorithm.fit(*rows, 3).predict(rows[0]), expected, rtol=1e-9)


@ALL
def test_the_seed_decides_and_nothing_else(algorithm, rows):
    first, again, other = (algorithm.fit(*rows, seed) for seed in (1, 1, 2))
    assert first.to_bytes() == again.to_bytes()
    assert not np.array_equal(first.predict(rows[0]), other.predict(rows[0]))


@ALL
def test_a_loaded_network_scores_bit_for_bit_like_the_trained_one_however_many_rows_come(algorithm, rows):
    model = algorithm.fit(*rows, 1)
    loaded = type(algorithm)().load(model.to_bytes())  # a file says what its layers are, whatever the settings are now
    scores = model.predict(rows[0])
    for stop in (1, 2, 3, 5, 8, 13, 400):
        np.testing.assert_array_equal(loaded.predict(rows[0][:stop]), scores[:stop])
    np.testing.assert_array_equal(np.concatenate([loaded.predict(row[None, :]) for row in rows[0]]), scores)
    assert loaded.predict(rows[0][:0]).shape == (0,)
    np.testing.assert_array_equal(loaded.importance, model.importance)


def test_many_rows_are_scored_in_parts(rows, monkeypatch):
    model = Mlp(epochs=2).fit(*rows, 1)
    whole = model.predict(rows[0])
    monkeypatch.setattr("itb.mlmodels.perceptron._CELLS", 1000)
    np.testing.assert_array_equal(model.predict(rows[0]), whole)


def test_it_learns_what_no_line_can_tell(rows):
    features = rows[0] - 3
    labels = (features[:, 0] * features[:, 1] > 0) + 0.0
    scores = Mlp(step=0.02, epochs=60).fit(features, labels, 1).predict(features)
    assert scores[labels == 1].mean() > scores[labels == 0].mean() + 0.5


def test_estimates_follow_the_unit_of_the_label(rows):
    labels = rows[0][:, 2] / 1000.0
    small, large = (MlpRegression(step=0.02).fit(rows[0], labels * unit, 1).predict(rows[0]) for unit in (1, 1024))
    np.testing.assert_array_equal(large, small * 1024)
    assert np.corrcoef(small, labels)[0, 1] > 0.95


@ALL
def test_importance_is_the_mean_slope_at_the_training_rows(algorithm, rows):
    features, labels = rows[0][:150], rows[1][:150]
    model = replace(algorithm, scaling="none", activation="tanh").fit(features, labels, 1)
    straight = replace(model, is_classifier=False, output=np.array([1.0, 0.0]))
    step, slopes = 1e-5, np.zeros(4)
    for k in range(4):
        aside = np.zeros(4)
        aside[k] = step
        slopes[k] = np.abs(straight.predict(features + aside) - straight.predict(features - aside)).mean() / 2 / step
    np.testing.assert_allclose(model.importance, slopes, rtol=1e-4)


@ALL
def test_importance_finds_what_decides(algorithm, rows):
    assert replace(algorithm, layers=(8,), epochs=40).fit(*rows, 1).importance.argmax() == 2


def test_balancing_lifts_the_scores_of_the_rare_class(rows):
    plain, even = (Mlp(step=0.01, class_weight=how).fit(*rows, 1).predict(rows[0]) for how in ("none", "balanced"))
    assert plain.mean() == pytest.approx(rows[1].mean(), abs=0.05)
    assert even.mean() > plain.mean() + 0.05


@ALL
def test_rows_that_do_not_count_teach_nothing(algorithm, rows):
    features, labels = rows
    weights = np.where(np.arange(400) < 200, 0.0, 2.0)
    noise = labels.copy()
    noise[:200] = 1 - noise[:200]
    algorithm = replace(algorithm, layers=(8,), epochs=60)
    scores = algorithm.fit(features, noise, 1, weights=weights).predict(features)
    assert np.corrcoef(scores, features[:, 2])[0, 1] > 0.6


def arrays(model, **changed):
    found = skops_file.load_arrays(model.to_bytes(), model.kind, NAMES)
    return skops_file.dump_arrays(model.kind, found | changed)


NAMES = ("centre", "scale", "widths", "weights", "offsets", "bent", "output", "importance")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"widths": np.array([16, 2])}, r"layers of \[16, 2\] on 4 features do not fit"),
        ({"widths": np.array([-16, 1])}, "do not fit"),
        ({"widths": np.zeros(0, dtype=np.int64)}, "do not fit"),
        ({"weights": np.zeros(3)}, "do not fit"),
        ({"offsets": np.zeros(3)}, "do not fit"),
        ({"centre": np.zeros(5)}, "not of 5 features"),
        ({"scale": np.ones(5)}, "not of 4 features"),
        ({"importance": np.ones(5)}, "not of 4 features"),
        ({"scale": np.zeros(4)}, "scale or activation is none"),
        ({"bent": np.array([7])}, "scale or activation is none"),
        ({"output": np.ones(3)}, "no columns of the right length"),
        ({"weights": np.ones((8, 10))}, "no columns of the right length"),
        ({"output": np.array([np.nan, 0])}, "not finite"),
    ],
)
def test_a_tampered_network_is_refused(changed, message, rows):
    with pytest.raises(ModelError, match=message):
        Mlp().load(arrays(Mlp(epochs=1).fit(*rows, 1), **changed))


def test_a_network_of_another_kind_or_of_scikit_learn_itself_is_refused(rows):
    import skops.io
    from sklearn.neural_network import MLPClassifier

    with pytest.raises(ModelError, match="holds 'mlp_regression', expected a model of 'mlp'"):
        Mlp().load(MlpRegression(epochs=1).fit(*rows, 1).to_bytes())
    with pytest.raises(ModelError, match=r"refused to load a model that holds .*MLPClassifier"):
        Mlp().load(skops.io.dumps(MLPClassifier()))


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
        ({"layers": ()}, "layers must name at least one layer"),
        ({"layers": (8, 0)}, r"at least 1 neuron, was \[8, 0\]"),
        ({"activation": "logistic"}, 'activation must be "relu" or "tanh"'),
        ({"l2": -1.0}, "l2 must be at least 0"),
        ({"step": 0.0}, "step must be above 0"),
        ({"batch_rows": 0}, "batch_rows must be at least 1"),
        ({"epochs": 0}, "epochs must be at least 1, was 0"),
        ({"scaling": "minmax"}, "scaling must be"),
        ({"class_weight": "even"}, "class_weight must be"),
    ],
)
def test_wrong_settings_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        Mlp(**settings)
