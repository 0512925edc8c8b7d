from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from itb.optimize.effective_trials import clusters, correlations
from itb.optimize.effective_trials import effective_trials as count
from itb.optimize.sharpe_statistics import expected_maximum, sharpe

TRIALS = 120
PLACE = np.arange(TRIALS)
STRUCTURES = {
    "strangers": np.eye(TRIALS),
    "one factor, 0.5": 0.5 * np.eye(TRIALS) + 0.5,
    "one factor, 0.9": 0.1 * np.eye(TRIALS) + 0.9,
    "twelve groups, 0.7": np.kron(np.eye(12), 0.3 * np.eye(10) + 0.7),
    "twelve groups, 0.95": np.kron(np.eye(12), 0.05 * np.eye(10) + 0.95),
    "a chain, 0.7": 0.7 ** abs(PLACE[:, None] - PLACE),
    "a chain, 0.95": 0.95 ** abs(PLACE[:, None] - PLACE),
}


def effective_trials(table: npt.NDArray[np.float64]) -> float:
    return count(table).number


def returns(structure: npt.NDArray[Any], days: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    return rng.normal(size=(days, len(structure))) @ np.linalg.cholesky(structure + 1e-9 * np.eye(len(structure))).T


@pytest.mark.parametrize("name", STRUCTURES)
def test_effective_trials_promise_no_less_luck_than_there_is(name: str, rng: np.random.Generator) -> None:
    luck = returns(STRUCTURES[name], 4_000, rng).max(axis=1).mean()
    assert expected_maximum(effective_trials(returns(STRUCTURES[name], 1_000, rng))) >= 0.94 * luck


def test_strangers_count_as_nearly_all_and_copies_as_one(rng: np.random.Generator) -> None:
    strangers = rng.normal(size=(1_000, 60))
    assert 55 <= effective_trials(strangers) <= 60
    assert effective_trials(np.repeat(strangers[:, :1], 60, axis=1)) == pytest.approx(1.0)
    assert effective_trials(np.repeat(strangers[:, :6], 10, axis=1)) == pytest.approx(6.0, abs=0.5)


def test_opposite_trials_are_two(rng: np.random.Generator) -> None:
    trial = rng.normal(size=(500, 1))
    assert effective_trials(np.hstack([trial, -trial, trial, -trial])) == pytest.approx(2.0)


def test_trials_that_never_trade_count_as_one(rng: np.random.Generator) -> None:
    assert effective_trials(np.zeros((100, 7))) == 1.0
    one = rng.normal(size=(100, 1))
    assert effective_trials(one) == 1.0
    assert effective_trials(np.hstack([one, np.zeros((100, 5))])) == 2.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1_000))
def test_the_number_lies_between_one_and_all_in_any_order(trials: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(40, 3)) @ rng.normal(size=(3, trials)) + 0.3 * rng.normal(size=(40, trials))
    found = effective_trials(table)
    assert 1 <= found <= trials + 1e-9
    assert effective_trials(table[:, rng.permutation(trials)]) == pytest.approx(found)


def test_clusters_are_a_cut_of_scipys_tree_with_the_best_silhouettes(rng: np.random.Generator) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    table = returns(np.kron(np.eye(5), 0.3 * np.eye(6) + 0.7), 300, rng)
    correlation = correlations(table)
    distance = np.sqrt((1 - correlation) / 2)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    cuts = [fcluster(tree, number, "maxclust") for number in range(2, 30)]
    best = max(cuts, key=lambda cut: sklearn.silhouette_score(distance, cut, metric="precomputed"))
    expected = sorted(np.flatnonzero(best == label).tolist() for label in np.unique(best))
    assert sorted(members.tolist() for members in clusters(correlation)) == expected


def test_many_trials_are_sampled_and_scaled_up(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    strangers = rng.normal(size=(1_000, 90))
    whole = effective_trials(strangers)
    monkeypatch.setattr("itb.optimize.effective_trials.MOST_COLUMNS", 30)
    assert effective_trials(strangers) == pytest.approx(whole, rel=0.1)


def test_a_cluster_has_the_sharpe_ratio_of_its_members_held_together(rng: np.random.Generator) -> None:
    ideas = rng.normal([0.1, 0, 0, -0.1], 1, (600, 4))
    loud = np.repeat(ideas, 5, axis=1) * np.tile([1, 2, 3, 4, 5], 4)  # the same five times, louder each time
    assert sorted(count(loud).sharpes.tolist()) == pytest.approx(sorted(sharpe(ideas).tolist()))


def test_an_edge_that_half_of_the_trials_share_is_one_outlier(rng: np.random.Generator) -> None:
    strangers = rng.normal(0, 1, (1_000, 40))
    shared = rng.normal(0.2, 1, (1_000, 1)) + 0.3 * rng.normal(0, 1, (1_000, 40))
    table = np.hstack([strangers, shared])
    assert sharpe(table).var() > 0.009
    assert count(table).sharpes.var() < 0.004
