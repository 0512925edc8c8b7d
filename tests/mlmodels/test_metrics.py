import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from itb.mlmodels import metrics

ORACLES = {
    metrics.auc: sk.roc_auc_score,
    metrics.average_precision: sk.average_precision_score,
    metrics.log_loss: sk.log_loss,
    metrics.brier: sk.brier_score_loss,
}


@st.composite
def graded(draw):
    """Labels of both classes and probabilities on a coarse grid, so that ties are common."""
    n = draw(st.integers(4, 60))
    labels = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n).filter(lambda y: 0 < sum(y) < len(y)))
    scores = draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))
    return np.array(labels), np.array(scores) / 10


@pytest.mark.parametrize("figure", ORACLES, ids=lambda figure: figure.__name__)
@given(rows=graded())
def test_figures_of_probabilities_equal_those_of_scikit_learn(figure, rows):
    assert figure(*rows) == pytest.approx(ORACLES[figure](*rows), rel=1e-9)


@given(rows=graded())
def test_precision_recall_and_f1_equal_those_of_scikit_learn(rows):
    labels, scores = rows
    said = (scores >= 0.5).astype(float)
    expected = sk.precision_recall_fscore_support(labels, said, average="binary", zero_division=0)[:3]
    assert metrics.precision_recall_f1(labels, scores) == pytest.approx(expected)


@given(rows=graded())
def test_calibration_equals_that_of_scikit_learn(rows):
    labels, scores = rows
    observed, predicted = calibration_curve(labels, scores, n_bins=7)
    table = metrics.calibration(labels, scores, bins=7)
    np.testing.assert_allclose(table.observed, observed)
    np.testing.assert_allclose(table.predicted, predicted)
    assert table.counts.sum() == len(labels)


def test_brier_parts_give_the_published_decomposition():
    scores = np.array([0.1, 0.1, 0.4, 0.4, 0.8, 0.8, 0.8, 0.8])
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 1.0])
    table = metrics.calibration(labels, scores)
    assert metrics.brier(labels, scores) == pytest.approx(0.1625)
    assert (table.reliability, table.resolution, table.uncertainty) == pytest.approx((0.00625, 0.09375, 0.25))


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_estimates_equal_those_of_scikit_learn_and_scipy(seed):
    from scipy import stats

    rng = np.random.default_rng(seed)
    labels = rng.normal(size=200).round(1)
    scores = 0.3 * labels + rng.normal(size=200).round(1)
    assert metrics.r2(labels, scores) == pytest.approx(sk.r2_score(labels, scores))
    assert metrics.mean_absolute_error(labels, scores) == pytest.approx(sk.mean_absolute_error(labels, scores))
    assert metrics.pearson(labels, scores) == pytest.approx(stats.pearsonr(labels, scores).statistic)
    assert metrics.spearman(labels, scores) == pytest.approx(stats.spearmanr(labels, scores).statistic)


def test_figures_that_the_data_cannot_give_are_nan():
    ones, scores = np.ones(4), np.array([0.1, 0.2, 0.3, 0.4])
    assert np.isnan([metrics.auc(ones, scores), metrics.r2(ones, scores), metrics.pearson(scores, ones)]).all()
    assert np.isnan(metrics.average_precision(1 - ones, scores))
    assert metrics.precision_recall_f1(1 - ones, scores) == (0.0, 0.0, 0.0)


def test_a_certain_and_wrong_score_costs_a_finite_log_loss():
    assert metrics.log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx(-np.log(np.finfo(float).eps))
