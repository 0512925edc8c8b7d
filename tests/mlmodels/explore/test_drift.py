from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from itb.mlmodels.explore.drift import (
    chance_index,
    feature_drift,
    largest_distance,
    stability_index,
    two_histograms,
)

numbers = st.lists(st.integers(-20, 20).map(lambda one: one / 4), min_size=1, max_size=60)


def slow_index(before: list[float], after: list[float], bins: int) -> float:
    cuts = sorted({float(np.quantile(before, part / bins)) for part in range(1, bins)})
    total = 0.0
    for low, high in zip([-math.inf, *cuts], [*cuts, math.inf], strict=True):
        was, now = (max(sum(low <= v < high for v in one) / len(one), 1e-4) for one in (before, after))
        total += (now - was) * math.log(now / was)
    return total


@given(before=numbers, after=numbers, bins=st.integers(2, 12))
def test_stability_index_is_the_sum_over_bins(before: list[float], after: list[float], bins: int) -> None:
    found = stability_index(np.array(before), np.array(after), bins)
    assert found == pytest.approx(slow_index(before, after, bins), abs=1e-12)
    assert found >= 0


@given(before=numbers, after=numbers)
def test_largest_distance_is_that_of_scipy(before: list[float], after: list[float]) -> None:
    expected = ks_2samp(before, after, method="exact").statistic
    assert largest_distance(np.array(before), np.array(after)) == pytest.approx(expected, abs=1e-12)


def test_index_of_independent_rows_is_about_what_chance_gives() -> None:
    rng = np.random.default_rng(1)
    found = [stability_index(rng.normal(size=900), rng.normal(size=300)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(chance_index(900, 300), rel=0.1)


def test_features_come_with_the_one_that_moved_most_first_and_the_empty_one_last() -> None:
    rng = np.random.default_rng(2)
    before, after = (rng.normal(size=(500, 4)).astype(np.float32) for _ in range(2))
    after[:, 2] += 1
    after[:, 0] += 3
    before[:, 3] = np.nan
    before[:50, 1] = np.inf
    first, second, third, last = feature_drift(("far", "calm", "near", "empty"), before, after)
    assert [one.name for one in (first, second, third, last)] == ["far", "near", "calm", "empty"]
    assert first.shift == pytest.approx(3, abs=0.2)
    assert third.empty == pytest.approx(0.05)
    assert math.isnan(last.psi)
    assert math.isnan(last.mean)


def test_a_constant_feature_that_stays_has_not_moved() -> None:
    one = np.full((50, 1), 7, dtype=np.float32)
    (found,) = feature_drift(("constant",), one, one)
    assert (found.psi, found.ks) == (0.0, 0.0)
    assert math.isnan(found.shift)


def test_histograms_count_every_value_once_and_put_outliers_into_the_outer_bins() -> None:
    before = np.append(np.linspace(0, 1, 999), 1e9).astype(np.float32).reshape(-1, 1)
    after = np.linspace(0.5, 1, 500, dtype=np.float32).reshape(-1, 1)
    (found,) = two_histograms(("one",), before, after, ("one",), bins=10)
    assert found.before.sum() == pytest.approx(1)
    assert found.after.sum() == pytest.approx(1)
    assert found.edges[-1] < 2
    assert found.after[:4].sum() == 0


def test_histograms_of_a_constant_and_of_nothing_do_not_fail() -> None:
    one = np.array([[3, np.nan]] * 5, dtype=np.float32)
    (found,) = two_histograms(("same", "none"), one, one, ("same", "none"))
    assert found.before.sum() == 1
