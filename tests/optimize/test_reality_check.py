from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from itb.optimize.bootstrap import stationary_weights
from itb.optimize.reality_check import Superiority, superiority

WEIGHTS = stationary_weights(200, 10, 10_000, seed=11)


def waves(edge: float) -> npt.NDArray[np.float64]:
    """The test matrix of the oracles: six waves without a mean, and an edge on the last."""
    day, trial = np.arange(200)[:, None], np.arange(6)
    table = np.sin(0.37 * (trial + 1) * day) + 0.25 * np.cos(1.7 * day + trial)
    table -= table.mean(axis=0)
    table[:, -1] += edge
    return np.asarray(table)


@pytest.mark.parametrize(("edge", "expected"), [(0.0, 0.98), (0.05, 0.275)])
def test_the_p_value_of_the_waves_is_that_of_the_oracle(edge: float, expected: float) -> None:
    found = superiority(waves(edge), WEIGHTS, block=10, studentised=False)
    assert found.white == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("edge", [0.05, 0.1])
def test_arch_gives_the_same_three_p_values(edge: float, rng: np.random.Generator) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    table = waves(edge)
    table[:, 0] -= 0.4  # clearly poor: the three differ
    table[:, 1] -= 0.03
    theirs = arch.SPA(np.zeros(200), -table, block_size=10, reps=4_000, seed=1)
    theirs.compute()
    ours = superiority(table, WEIGHTS, block=10, studentised=False)
    expected = theirs.pvalues
    assert ours.lower == pytest.approx(expected["lower"], abs=0.025)
    assert ours.consistent == pytest.approx(expected["consistent"], abs=0.025)
    assert ours.upper == pytest.approx(expected["upper"], abs=0.025)


def test_arch_finds_the_same_superior_trials(rng: np.random.Generator) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    table = rng.normal(0, 1, (200, 12))
    table[:, [2, 5]] += 0.45
    table[:, 8] += 0.7
    theirs = arch.StepM(np.zeros(200), -table, block_size=10, reps=1_000, seed=3)
    theirs.compute()
    ours = superiority(table, WEIGHTS, block=10, studentised=False)
    assert np.flatnonzero(ours.superior).tolist() == list(theirs.superior_models) == [2, 5, 8]


def test_steps_find_what_one_step_misses(rng: np.random.Generator) -> None:
    # The wild trial's resamples raise the first hurdle; once it is rejected itself, the small edge is seen.
    table = rng.normal(0, 1, (200, 2))
    table[:, 0] = 6 * (table[:, 0] - table[:, 0].mean()) + 5
    table[:, 1] += 0.35 - table[:, 1].mean()
    found = superiority(table, WEIGHTS, block=10, studentised=False)
    alone = superiority(table[:, 1:], WEIGHTS, block=10, studentised=False)
    assert found.superior.tolist() == [True, True]
    assert alone.superior.tolist() == [True]
    assert np.quantile((WEIGHTS @ (table - table.mean(0))).max(axis=1), 0.95) > table[:, 1].mean()


def test_a_noisy_trial_does_not_hide_a_calm_one(rng: np.random.Generator) -> None:
    table = np.column_stack([rng.normal(0, 0.05, 200), rng.normal(0.003, 0.01, 200)])
    assert superiority(table, WEIGHTS, block=10).consistent < 0.01
    assert superiority(table, WEIGHTS, block=10, studentised=False).white > 0.05


def test_poor_trials_do_not_make_a_good_one_unlikely(rng: np.random.Generator) -> None:
    good = rng.normal(0.0022, 0.01, (200, 1))
    poor = rng.normal(-0.01, 0.01, (200, 60))
    found = superiority(np.hstack([good, poor]), WEIGHTS, block=10)
    assert found.lower <= found.consistent < found.upper / 2


def test_the_same_trial_many_times_is_one_trial(rng: np.random.Generator) -> None:
    trial = rng.normal(0.001, 0.01, (200, 1))
    one = superiority(trial, WEIGHTS, block=10)
    many = superiority(np.repeat(trial, 50, axis=1), WEIGHTS, block=10)
    assert many.consistent == pytest.approx(one.consistent)


def test_what_never_trades_takes_no_part(rng: np.random.Generator) -> None:
    trial = rng.normal(0.001, 0.01, (200, 1))
    found = superiority(np.hstack([np.zeros((200, 3)), trial]), WEIGHTS, block=10)
    assert found.consistent == superiority(trial, WEIGHTS, block=10).consistent
    assert len(found.superior) == 4
    nothing = superiority(np.zeros((200, 3)), WEIGHTS, block=10)
    assert (nothing.lower, nothing.consistent, nothing.upper, nothing.white) == (1.0, 1.0, 1.0, 1.0)


def test_no_p_value_is_nothing_and_none_is_certain_of_losers(rng: np.random.Generator) -> None:
    clear = superiority(rng.normal(0.1, 0.01, (200, 3)), WEIGHTS, block=10)
    assert clear.upper == 1 / 10_001
    losers = superiority(rng.normal(-0.1, 0.01, (200, 3)), WEIGHTS, block=10)
    assert losers.consistent == 1.0


def test_noise_is_rejected_about_as_often_as_the_size_says(rng: np.random.Generator) -> None:
    weights = stationary_weights(200, 6, 400, seed=2)
    found: list[Superiority] = [superiority(rng.normal(0, 0.02, (200, 30)), weights, block=6) for _ in range(300)]
    share = np.mean([each.consistent <= 0.05 for each in found])
    assert 0.02 < share < 0.08
    assert np.mean([each.superior.any() for each in found]) == pytest.approx(share, abs=0.02)
