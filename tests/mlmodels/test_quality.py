import numpy as np
import pytest

from itb.mlmodels.quality import ClassifierQuality, RegressionQuality, grade


def overlapping(n, horizon, seed):
    """Labels and scores that have nothing to do with each other, each a moving sum over ``horizon`` rows."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, n + horizon))
    sums = np.cumsum(noise, axis=1)
    return sums[:, horizon:] - sums[:, :-horizon]


def test_rows_without_label_or_score_are_left_out():
    labels = np.array([0, 1, np.nan, 1, 0])
    scores = np.array([0.2, np.nan, 0.5, 0.7, 0.1])
    assert grade(labels, scores, is_classifier=True, horizon=1).rows == 3


@pytest.mark.parametrize("is_classifier", [True, False])
def test_margin_covers_no_skill_although_labels_overlap(is_classifier):
    covered = 0
    for seed in range(60):
        moved, scores = overlapping(3000, horizon=24, seed=seed)
        labels = (moved > 0) + 0.0 if is_classifier else moved
        chances = 1 / (1 + np.exp(-scores / 5)) if is_classifier else scores
        _, figure, guess = (quality := grade(labels, chances, is_classifier=is_classifier, horizon=24)).headline
        covered += abs(figure - guess) <= quality.margin
    assert covered >= 52  # 95 % of 60 is 57; an interval for independent rows would cover about 20


def test_the_base_rate_has_no_skill():
    labels = np.arange(500) % 4 == 0
    quality = grade(labels + 0.0, np.full(500, 0.25), is_classifier=True, horizon=1)
    assert isinstance(quality, ClassifierQuality)
    assert quality.skill == pytest.approx(0, abs=1e-12)
    assert quality.auc == 0.5


@pytest.mark.parametrize(
    ("auc", "margin", "words"),
    [
        (0.51, 0.02, "not to be told from guessing"),
        (0.52, 0.01, "barely better than guessing"),
        (0.56, 0.01, "a little better than guessing"),
        (0.65, 0.01, "clearly better than guessing"),
        (0.90, 0.01, "a leak should be ruled out first"),
        (0.45, 0.01, "worse than guessing"),
        (0.60, float("nan"), "too few independent rows"),
    ],
)
def test_skill_is_said_in_honest_words(auc, margin, words):
    quality = ClassifierQuality(rows=1000, base_rate=0.5, auc=auc, margin=margin, log_loss=0.7, base_log_loss=0.69)
    assert words in quality.sentence


def test_probabilities_worse_than_the_base_rate_are_said_to_be_worse():
    quality = ClassifierQuality(rows=9, base_rate=0.4, auc=0.6, margin=0.01, log_loss=0.77, base_log_loss=0.7)
    assert "10.0% worse than always saying 0.400" in quality.sentence


def test_estimates_are_graded_against_mean_and_median():
    rng = np.random.default_rng(1)
    labels = rng.normal(size=2000)
    quality = grade(labels, 0.1 * labels + rng.normal(size=2000) * 0.1, is_classifier=False, horizon=1)
    assert isinstance(quality, RegressionQuality)
    assert quality.ic > 0.6
    assert quality.mae < quality.base_mae
    assert "better than always saying the mean" in quality.sentence


@pytest.mark.parametrize("is_classifier", [True, False])
def test_nothing_to_grade_is_said(is_classifier):
    empty = grade(np.full(3, np.nan), np.ones(3), is_classifier=is_classifier, horizon=1)
    assert empty.rows == 0
    assert "nothing can be said" in empty.sentence
    alike = grade(np.ones(30), np.linspace(0, 1, 30), is_classifier=is_classifier, horizon=1)
    assert "nothing can be said" in alike.sentence
