from dataclasses import replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels import skops_file
from itb.mlmodels.calibrators import Platt
from itb.mlmodels.scaling import scale_rows
from itb.mlmodels.svm import Svc, Svr
from itb.mlmodels.walkforward import WalkForward

ALL = pytest.mark.parametrize(
    "algorithm",
    [Svc(purge_rows=5), Svc(purge_rows=5, kernel="linear"), Svr(), Svr(kernel="linear")],
    ids=["svc", "svc-linear", "svr", "svr-linear"],
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(5)
    features = rng.normal(3, 2, size=(400, 4)).astype(np.float32)
    return features, (features[:, 2] + rng.normal(0, 2, 400) > 4) + 0.0


@ALL
@pytest.mark.parametrize("scaling", ["standard", "robust"])
def test_decision_values_equal_scikit_learns_own(algorithm, scaling, rows):
    from sklearn.svm import SVC, SVR

    algorithm = replace(algorithm, scaling=scaling, gamma=0.07)
    model = algorithm.fit(*rows, 1)
    scaled = scale_rows(rows[0], scaling)[0]
    if algorithm.is_classifier:
        own = SVC(C=1, kernel=algorithm.kernel, gamma=0.07).fit(scaled, rows[1])
        np.testing.assert_allclose(model.values(rows[0]), own.decision_function(scaled), rtol=1e-9, atol=1e-9)
    else:
        mean, unit = rows[1].mean(), rows[1].std()
        own = SVR(C=1, kernel=algorithm.kernel, gamma=0.07, epsilon=0.1).fit(scaled, (rows[1] - mean) / unit)
        np.testing.assert_allclose(model.predict(rows[0]), own.predict(scaled) * unit + mean, rtol=1e-9, atol=1e-9)


def test_the_width_of_the_kernel_is_scikit_learns_scale_where_not_set(rows):
    from sklearn.svm import SVC

    scaled = scale_rows(rows[0], "robust")[0]
    own = SVC(gamma="scale").fit(scaled, rows[1]).decision_function(scaled)
    np.testing.assert_allclose(Svc(scaling="robust").fit(*rows, 1).values(rows[0]), own, atol=1e-9)


@ALL
def test_a_loaded_machine_scores_bit_for_bit_like_the_fitted_one(algorithm, rows):
    model = algorithm.fit(*rows, 1)
    loaded = type(algorithm)().load(model.to_bytes())  # a file says what its kernel is, whatever the settings are now
    np.testing.assert_array_equal(loaded.predict(rows[0]), model.predict(rows[0]))
    np.testing.assert_array_equal(loaded.predict(rows[0][7:8]), model.predict(rows[0])[7:8])
    assert model.to_bytes() == algorithm.fit(*rows, 2).to_bytes()


@ALL
def test_importance_finds_what_decides(algorithm, rows):
    assert algorithm.fit(*rows, 1).importance.argmax() == 2


def test_importance_is_the_mean_slope_of_the_decision_value(rows):
    model = Svc(scaling="none", gamma=0.05, c=0.001).fit(rows[0][:150], rows[1][:150], 1)
    step, slopes = 1e-5, np.zeros(4)
    assert len(model.support) <= 200
    for k in range(4):
        aside = np.zeros(4)
        aside[k] = step
        slopes[k] = np.abs(model.values(model.support + aside) - model.values(model.support - aside)).mean() / 2 / step
    np.testing.assert_allclose(model.importance, slopes, rtol=1e-4)


def test_the_sigmoid_never_saw_the_rows_that_taught_its_machine(rows):
    """The sigmoid of a fit is that of the older rows' machine on the newest rows, with the purged ones left out."""
    features, labels = rows
    older = Svc(purge_rows=0).fit(features[:250], labels[:250], 1)
    fitted = Platt().fit(older.values(features[300:]), labels[300:])
    assert Svc(purge_rows=50).fit(features, labels, 1).output.tolist() == [fitted.slope, fitted.intercept]


def test_probabilities_are_calibrated(rows):
    rng = np.random.default_rng(9)
    features = rng.normal(3, 2, size=(3000, 4)).astype(np.float32)
    labels = (features[:, 2] + rng.normal(0, 2, 3000) > 4) + 0.0
    scores = Svc(purge_rows=5).fit(features[:1500], labels[:1500], 1).predict(features[1500:])
    high = scores > np.median(scores)
    assert scores[high].mean() == pytest.approx(labels[1500:][high].mean(), abs=0.05)
    assert scores[~high].mean() == pytest.approx(labels[1500:][~high].mean(), abs=0.05)


def test_without_skill_on_the_newest_rows_all_score_their_base_rate(rows):
    labels = rows[1].copy()
    labels[300:] = 1 - labels[300:]
    model = Svc(purge_rows=5).fit(rows[0], labels, 1)
    assert model.note == "the newest rows show no skill: all score their base rate"
    np.testing.assert_allclose(model.predict(rows[0]), labels[300:].mean(), atol=0.01)


@pytest.mark.parametrize("purge", [5, 300])
def test_too_few_rows_to_calibrate_score_the_base_rate(purge, rows):
    labels = rows[1].copy()
    labels[300:] = 1.0 if purge == 5 else labels[300:]
    model = Svc(purge_rows=purge).fit(rows[0], labels, 1)
    assert model.note.startswith("too few rows to calibrate (")
    np.testing.assert_allclose(model.predict(rows[0]), labels.mean(), atol=0.01)


def test_a_machine_stopped_early_says_so(rows):
    assert "did not converge" in Svr(max_iter=2).fit(*rows, 1).note


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_labels_that_all_lie_within_epsilon_say_so(kernel, rows):
    model = Svr(epsilon=5.0, kernel=kernel).fit(*rows, 1)
    assert model.note == "no feature counts: all rows score the same"
    assert model.importance.tolist() == [0.0] * 4
    loaded = Svr().load(model.to_bytes())
    assert len(set(loaded.predict(rows[0]))) == 1


def test_estimates_follow_the_unit_of_the_label(rows):
    labels = rows[0][:, 2] / 1000.0
    small, large = (Svr().fit(rows[0], labels * unit, 1).predict(rows[0]) for unit in (1, 1024))
    np.testing.assert_array_equal(large, small * 1024)
    assert np.corrcoef(small, labels)[0, 1] > 0.95


@ALL
def test_rows_that_do_not_count_are_as_good_as_absent(algorithm, rows):
    features, labels = rows
    algorithm = replace(algorithm, scaling="none", gamma=0.05)
    weights = np.where(np.arange(400) < 100, 1e-9, 1.0)
    if algorithm.is_classifier:
        counted = algorithm.fit(features, labels, 1, weights=weights).values(features)
        absent = algorithm.fit(features[100:], labels[100:], 1).values(features)
    else:
        counted = algorithm.fit(features, labels, 1, weights=weights).predict(features)
        mean, unit = labels.mean(), labels.std()
        shifted = (labels[100:] - mean) / unit
        again = algorithm.fit(features[100:], shifted, 1)
        absent = again.predict(features) * unit + mean
    assert np.corrcoef(counted, absent)[0, 1] > 0.999


def test_balancing_leans_to_the_rare_class(rows):
    plain, even = (Svc(class_weight=how).fit(*rows, 1).values(rows[0]) for how in ("none", "balanced"))
    assert even.mean() > plain.mean() + 0.1


def altered(model, **arrays):
    names = ("centre", "scale", "support", "dual", "gamma", "intercept", "output", "importance")
    return skops_file.dump_arrays(model.kind, {name: getattr(model, name) for name in names} | arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {"support": m.support[:, :3]}, "'centre' has the shape"),
        (lambda m: {"support": m.support[:-1]}, "'dual' has the shape"),
        (lambda m: {"support": m.support.ravel()}, "are no matrix"),
        (lambda m: {"gamma": np.zeros(0)}, "are no matrix"),
        (lambda m: {"gamma": np.ones(2)}, "'gamma' has the shape"),
        (lambda m: {"gamma": np.ones((1, 1))}, "'gamma' is no column"),
        (lambda m: {"output": np.ones(3)}, "'output' has the shape"),
        (lambda m: {"scale": m.scale * 0}, "nothing can be divided by"),
        (lambda m: {"dual": m.dual * np.inf}, "not finite"),
    ],
)
def test_a_tampered_machine_is_refused(change, message, rows):
    model = Svc(purge_rows=5).fit(*rows, 1)
    with pytest.raises(ModelError, match=message):
        Svc().load(altered(model, **change(model)))


def test_a_machine_of_another_kind_or_of_scikit_learn_itself_is_refused(rows):
    import skops.io
    from sklearn.svm import SVC

    with pytest.raises(ModelError, match="holds 'svr', expected a model of 'svc'"):
        Svc().load(Svr().fit(*rows, 1).to_bytes())
    with pytest.raises(ModelError, match=r"refused to load a model that holds .*sklearn\.svm\._classes\.SVC"):
        Svc().load(skops.io.dumps(SVC().fit(*rows)))
    with pytest.raises(ModelError, match="the skops file holds 'list', expected"):
        Svc().load(skops.io.dumps([1, 2]))


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
    ("part", "settings", "message"),
    [
        (Svc, {"c": 0.0}, "c must be above 0"),
        (Svc, {"kernel": "poly"}, 'kernel must be "rbf" or "linear", was .poly.'),
        (Svc, {"gamma": 0.0}, "gamma must be above 0, or not set"),
        (Svc, {"max_iter": -1}, "max_iter must be at least 1"),
        (Svc, {"calibration_fraction": 1.0}, "calibration_fraction must be between 0 and 1"),
        (Svc, {"purge_rows": -1}, "purge_rows must be at least 0"),
        (Svc, {"class_weight": "even"}, "class_weight must be"),
        (Svr, {"epsilon": -0.1}, "epsilon must be at least 0"),
        (Svr, {"scaling": "minmax"}, "scaling must be"),
    ],
)
def test_wrong_settings_are_refused_in_words(part, settings, message):
    with pytest.raises(ValueError, match=message):
        part(**settings)
