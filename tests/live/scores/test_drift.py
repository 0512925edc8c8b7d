from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.scores.drift import DriftWatch, TrainingQuantiles
from itb.mlmodels.explore.drift import stability_index


@given(st.integers(0, 1_000), st.floats(-2, 2), st.floats(0.2, 3))
def test_the_index_is_that_of_whole_arrays(seed: int, shift: float, scale: float) -> None:
    draw = np.random.default_rng(seed)
    before, after = draw.normal(size=300), draw.normal(shift, scale, size=150)
    before[::17] = np.nan
    after[::13] = np.nan
    found = TrainingQuantiles.of(("a",), before[:, None].astype(np.float64)).index("a", after)
    assert found == pytest.approx(stability_index(before, after), rel=1e-12, abs=1e-12)


def test_a_watch_names_what_moved_farthest_first_and_forgets_old_rows() -> None:
    draw = np.random.default_rng(1)
    training = draw.normal(size=(1_000, 3)).astype(np.float32)
    watch = DriftWatch(("calm", "far", "near"), TrainingQuantiles.of(("calm", "far", "near"), training), window=200)
    for number in range(99):
        watch.add(draw.normal(size=(1, 3)).astype(np.float32))
        assert watch.indices() == {}, number
    for _ in range(301):
        watch.add((draw.normal(size=(1, 3)) + np.array([0, 3, 1])).astype(np.float32))
    assert list(watch.moved()) == ["far", "near"]
    for _ in range(200):
        watch.add(draw.normal(size=(1, 3)).astype(np.float32))
    assert watch.moved() == {}


def test_a_feature_without_numbers_has_no_index() -> None:
    quantiles = TrainingQuantiles.of(("a",), np.full((10, 1), np.nan, dtype=np.float32))
    assert np.isnan(quantiles.index("a", np.arange(10.0)))
    with pytest.raises(ValueError, match="least"):
        DriftWatch(("a",), quantiles, window=5, least=10)
