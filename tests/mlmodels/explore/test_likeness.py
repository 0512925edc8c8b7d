from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from itb.mlmodels.explore.likeness import likeness, rank_correlation


def slow_clusters(correlation: np.ndarray, alike: float) -> set[frozenset[int]]:
    """Merge the two closest clusters, by mean distance of pairs, until none are close enough."""
    clusters = [{place} for place in range(len(correlation))]
    while len(clusters) > 1:
        apart = {
            (a, b): np.mean([1 - abs(correlation[i, j]) for i in clusters[a] for j in clusters[b]])
            for a in range(len(clusters))
            for b in range(a)
        }
        (a, b), least = min(apart.items(), key=lambda one: one[1])
        if least > 1 - alike:
            break
        clusters[b] |= clusters.pop(a)
    return {frozenset(one) for one in clusters}


def related(seed: int, width: int = 9, rows: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(rows, 3))
    return (causes @ rng.normal(size=(3, width)) + 0.5 * rng.normal(size=(rows, width))).astype(np.float32)


@given(arrays(np.float32, (12, 3), elements=st.integers(0, 6).map(np.float32)))
def test_rank_correlation_is_that_of_scipy_and_0_beside_a_constant(features: np.ndarray) -> None:
    found = rank_correlation(features)
    for i in range(3):
        for j in range(3):
            moves = np.ptp(features[:, i]) > 0 and np.ptp(features[:, j]) > 0
            expected = spearmanr(features[:, i], features[:, j]).statistic if moves else float(i == j)
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_those_of_merging_by_hand(seed: int) -> None:
    features = related(seed)
    names = tuple(f"f{place}" for place in range(features.shape[1]))
    found = likeness(names, features)
    expected = slow_clusters(rank_correlation(features), 0.7)
    assert {frozenset(int(name[1:]) for name in cluster) for cluster in found.clusters} == expected


def test_ordered_correlations_are_those_of_the_names_beside_them() -> None:
    features = related(7)
    names = tuple(f"f{place}" for place in range(features.shape[1]))
    found = likeness(names, features)
    place = [names.index(name) for name in found.names]
    np.testing.assert_array_equal(found.correlation, rank_correlation(features)[np.ix_(place, place)])
    assert sorted(found.names) == list(names)
    assert (np.diff(found.cluster) >= 0).all()


def test_near_duplicates_are_listed_the_closest_first_whatever_their_sign() -> None:
    rng = np.random.default_rng(3)
    one = rng.normal(size=400).astype(np.float32)
    noisy = one + 0.1 * rng.normal(size=400).astype(np.float32)
    found = likeness(("one", "noisy", "minus", "other"), np.column_stack([one, noisy, -one, rng.normal(size=400)]))
    pairs = found.pairs(0.95)
    assert next({a, b} for a, b, _ in pairs) == {"one", "minus"}
    assert pairs[0][2] == pytest.approx(-1)
    assert len(pairs) == 3


def test_of_too_many_features_each_cluster_keeps_one() -> None:
    features = related(4, width=30)
    found = likeness(tuple(f"f{place}" for place in range(30)), features)
    fewer = found.without_copies(5)
    assert len(fewer.names) <= 5
    homes = [next(i for i, cluster in enumerate(found.clusters) if name in cluster) for name in fewer.names]
    assert len(set(homes)) == len(homes)
    assert found.without_copies(30) is found


def test_a_single_feature_is_a_cluster() -> None:
    found = likeness(("alone",), np.ones((5, 1), dtype=np.float32))
    assert found.clusters == (("alone",),)
    assert found.pairs(0.5) == ()
