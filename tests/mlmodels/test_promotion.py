from dataclasses import replace

import numpy as np
import pytest

from itb.market.bars import FloatArray
from itb.mlmodels.promotion import Evidence, Sane, SkillGate, bootstrap_interval

RNG = np.random.default_rng(5)
LABELS: FloatArray = (RNG.random(400) < 0.5).astype(np.float64)
GOOD = np.clip(0.5 + 0.2 * (LABELS - 0.5) + RNG.normal(0, 0.02, 400), 0, 1)
GUESS = 0.5 + RNG.normal(0, 0.02, 400)


@pytest.fixture
def evidence():
    return Evidence(
        feature_names=("a", "b"),
        expected_names=("a", "b"),
        is_classifier=True,
        recent=GOOD[:50],
        labels=LABELS,
        candidate=GOOD,
        incumbent=GUESS,
        horizon=5,
        seed=1,
    )


@pytest.mark.parametrize("rule", [Sane(), SkillGate(bars=400)])
def test_a_sane_model_may_speak(rule, evidence):
    assert rule.decide(evidence).promoted


@pytest.mark.parametrize("rule", [Sane(), SkillGate(bars=400)])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"expected_names": ("b", "a")}, "its features are not the ones computed now"),
        ({"recent": np.array([0.5, np.nan, np.inf])}, "2 of its 3 newest scores are not numbers"),
        ({"recent": np.full(9, 0.25)}, "it says 0.25 whatever it sees"),
    ],
)
def test_a_model_that_is_not_sane_may_not_speak(rule, evidence, change, reason):
    verdict = rule.decide(replace(evidence, **change))
    assert (verdict.promoted, verdict.reason) == (False, reason)


def test_a_constant_model_may_speak_if_the_rule_says_so(evidence):
    assert Sane(refuse_constant=False).decide(replace(evidence, recent=np.full(9, 0.25))).promoted


def test_the_gate_refuses_a_model_that_is_worse_than_the_one_that_speaks(evidence):
    verdict = SkillGate(bars=400).decide(replace(evidence, candidate=GUESS, incumbent=GOOD))
    assert not verdict.promoted
    assert verdict.reason.startswith("worse than the earlier model: gain in log loss -0.")


@pytest.mark.parametrize(("demand", "promoted"), [("not_worse", True), ("better", False)])
def test_the_gate_treats_an_equal_model_as_demanded(evidence, demand, promoted):
    other = 0.5 + np.random.default_rng(9).normal(0, 0.02, 400)
    assert SkillGate(400, demand).decide(replace(evidence, candidate=other, incumbent=GUESS)).promoted is promoted


def test_the_gate_lets_a_better_model_through(evidence):
    verdict = SkillGate(bars=400, demand="better").decide(evidence)
    assert verdict.promoted
    assert verdict.reason.startswith("better than the earlier model")


def test_the_first_model_has_nobody_to_beat(evidence):
    assert SkillGate(bars=400, demand="better").decide(replace(evidence, incumbent=None)).reason == "sane"


def test_the_gate_grades_estimates_by_squared_error(evidence):
    verdict = SkillGate(bars=400).decide(replace(evidence, is_classifier=False))
    assert "squared error" in verdict.reason


def test_the_gate_refuses_when_there_is_nothing_to_grade_on(evidence):
    verdict = SkillGate(bars=400).decide(replace(evidence, labels=np.full(400, np.nan)))
    assert verdict.reason == "no held-back row to compare it with the earlier model on"


def test_bootstrap_interval_covers_the_mean_of_dependent_values():
    covered = 0
    for seed in range(100):
        noise = np.cumsum(np.random.default_rng(seed).normal(size=1020))
        values = noise[20:] - noise[:-20]
        low, high = bootstrap_interval(values, block=40, confidence=0.9, resamples=300, seed=seed)
        covered += low <= 0 <= high
    assert covered >= 78  # block bootstrap intervals are a little narrow; independent ones would cover about 30


def test_bootstrap_interval_is_the_same_for_the_same_seed():
    values = np.sin(np.arange(50.0))
    assert bootstrap_interval(values, 5, 0.9, 200, seed=3) == bootstrap_interval(values, 5, 0.9, 200, seed=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bars": 1}, "bars must be at least 2"),
        ({"demand": "best"}, "demand must be"),
        ({"confidence": 1.0}, "confidence must lie"),
        ({"resamples": 5}, "resamples must be at least 100"),
    ],
)
def test_wrong_settings_are_refused_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        SkillGate(**arguments)
