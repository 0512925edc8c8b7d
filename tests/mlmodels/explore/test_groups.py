from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.explore.groups import score_groups


@given(
    scores=st.lists(st.integers(0, 30).map(lambda one: one / 10), min_size=1, max_size=120),
    groups=st.integers(2, 10),
    seed=st.integers(0, 9),
)
def test_groups_hold_every_bar_once_and_their_means_are_those_of_their_bars(
    scores: list[float], groups: int, seed: int
) -> None:
    s = np.array(scores)
    values = np.random.default_rng(seed).normal(size=len(s))
    found = score_groups(s, values, reach=1, groups=groups)
    assert found.rows.sum() == len(s)
    assert 1 <= len(found.rows) <= groups
    order = np.argsort(s, kind="stable")
    stops = np.cumsum(found.rows)
    for place, (start, stop) in enumerate(zip(stops - found.rows, stops, strict=True)):
        mine = order[start:stop]
        assert found.value[place] == pytest.approx(values[mine].mean())
        assert found.score[place] == pytest.approx(s[mine].mean())
        assert stop == len(s) or s[order[stop]] > s[mine].max()


def test_different_scores_fall_into_groups_of_equal_size() -> None:
    scores = np.random.default_rng(1).normal(size=1000)
    assert score_groups(scores, scores, reach=1).rows.tolist() == [100] * 10


def test_margins_cover_the_truth_about_as_often_as_they_claim() -> None:
    rng = np.random.default_rng(5)
    hits, tries = 0, 0
    for _ in range(150):
        noise = np.convolve(rng.normal(size=2009), np.ones(10), mode="valid")
        found = score_groups(rng.normal(size=2000), noise, reach=10, groups=4)
        hits += int((np.abs(found.value) <= found.margin).sum())
        tries += 4
    assert 0.9 < hits / tries < 0.99


def test_bars_without_score_or_without_return_are_left_out() -> None:
    scores = np.array([np.nan, 1.0, 2.0, 3.0])
    found = score_groups(scores, np.array([9.0, 1.0, np.nan, 3.0]), reach=1, groups=2)
    assert found.value.tolist() == [1.0, 3.0]
    assert np.isnan(found.margin).all()


def test_nothing_to_group_gives_no_group() -> None:
    assert len(score_groups(np.full(5, np.nan), np.zeros(5), reach=1).rows) == 0
