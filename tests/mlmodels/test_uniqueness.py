from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.uniqueness import (
    average_uniqueness,
    concurrency,
    draw_chances,
    label_spans,
    sequential_bootstrap,
)

STARTS, STOPS = np.array([1, 3, 5]), np.array([3, 4, 6])


@st.composite
def spans(draw):
    labels = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), min_size=1, max_size=20))
    starts = np.array([start for start, _ in labels])
    return starts, starts + np.array([length for _, length in labels])


def test_the_worked_example_of_chapter_4_has_its_concurrency():
    assert concurrency(STARTS, STOPS)[1:].tolist() == [1, 1, 2, 1, 1, 1]


def test_the_worked_example_of_chapter_4_has_its_average_uniqueness():
    assert average_uniqueness(STARTS, STOPS) == pytest.approx([5 / 6, 3 / 4, 1])


@pytest.mark.parametrize(
    ("drawn", "chances"),
    [
        ([], [1 / 3, 1 / 3, 1 / 3]),
        ([1], [5 / 14, 3 / 14, 6 / 14]),
        ([1, 2], [5 / 11, 3 / 11, 3 / 11]),
    ],
)
def test_the_worked_example_of_chapter_4_has_its_draw_chances(drawn, chances):
    assert draw_chances(STARTS, STOPS, drawn) == pytest.approx(chances)


@given(spans(), st.data())
def test_a_slow_loop_over_fractions_finds_the_same(case, data):
    starts, stops = case
    bars = [set(range(a, b + 1)) for a, b in zip(starts, stops, strict=True)]
    counts = {bar: sum(bar in own for own in bars) for own in bars for bar in own}
    assert concurrency(starts, stops).tolist() == [counts.get(bar, 0) for bar in range(max(stops) + 1)]
    expected = [sum(Fraction(1, counts[bar]) for bar in own) / len(own) for own in bars]
    assert average_uniqueness(starts, stops) == pytest.approx([float(share) for share in expected])
    drawn = data.draw(st.lists(st.integers(0, len(starts) - 1), max_size=6))
    shares = [sum(Fraction(1, 1 + sum(bar in bars[d] for d in drawn)) for bar in own) / len(own) for own in bars]
    assert draw_chances(starts, stops, drawn) == pytest.approx([float(share / sum(shares)) for share in shares])


@given(st.integers(1, 12), st.integers(1, 40))
def test_labels_of_a_fixed_horizon_share_a_bar_with_as_many_others(horizon, labels):
    rows = np.arange(labels)
    counts = concurrency(*label_spans(rows, rows + horizon))
    assert counts.max() == min(horizon, labels)
    assert counts.sum() == horizon * labels


def test_draws_follow_the_chances_of_the_worked_example():
    rng = np.random.default_rng(5)
    draws = np.array([sequential_bootstrap(STARTS, STOPS, rng, draws=2) for _ in range(6_000)])
    after_second = draws[draws[:, 0] == 1, 1]
    shares = np.bincount(after_second, minlength=3) / len(after_second)
    assert shares == pytest.approx([5 / 14, 3 / 14, 6 / 14], abs=0.04)


def test_a_sequential_bootstrap_is_more_unique_than_a_plain_one():
    rng = np.random.default_rng(1)
    plain, careful = [], []
    for _ in range(150):  # the setting of AFML 4.5.4
        starts = np.sort(rng.integers(0, 100, 10))
        stops = starts + rng.integers(1, 5, 10)
        for found, drawn in ((plain, rng.integers(0, 10, 10)), (careful, sequential_bootstrap(starts, stops, rng))):
            found.append(average_uniqueness(starts[drawn], stops[drawn]).mean())
    assert np.mean(careful) > np.mean(plain) + 0.05


def test_the_same_seed_draws_the_same_labels():
    first, second = (sequential_bootstrap(STARTS, STOPS, np.random.default_rng(7), 20) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_no_labels_are_no_draws():
    none = np.zeros(0, dtype=np.int64)
    assert len(sequential_bootstrap(none, none, np.random.default_rng(0))) == 0
    assert len(concurrency(none, none)) == 0


def test_rows_without_a_label_and_spans_that_run_backwards_are_refused():
    with pytest.raises(ValueError, match="row 1 has no label"):
        label_spans(np.array([0, 1]), np.array([2, -1]))
    with pytest.raises(ValueError, match="its last bar not before it"):
        concurrency(np.array([3]), np.array([2]))
    with pytest.raises(ValueError, match="1 first bars have 2 last bars"):
        average_uniqueness(np.array([3]), np.array([4, 5]))
