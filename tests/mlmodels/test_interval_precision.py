import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.interval_precision import IntervalQuality, find_intervals

NAN = math.nan
KINDS = ((1, True), (0, True), (0, False), (1, False))
ROWS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, NAN]), st.one_of(st.floats(0, 1), st.just(NAN))), max_size=40)


@given(rows=ROWS, threshold=st.floats(0, 1))
def test_stretches_are_those_of_a_walk_along_the_labels(rows, threshold):
    slow, start = [], 0
    for label, group in itertools.groupby(rows, key=lambda row: None if math.isnan(row[0]) else row[0]):
        scores = [score for _, score in group]
        if label is not None:
            slow.append((start, start + len(scores), label, any(score >= threshold for score in scores)))
        start += len(scores)
    labels, scores = (np.array([row[column] for row in rows]) for column in (0, 1))
    found = find_intervals(labels, scores, threshold)
    assert list(zip(found.starts, found.stops, found.labels, found.is_hit, strict=True)) == slow
    counts = [sum((kind, hit) == (label, is_hit) for *_, label, is_hit in slow) for kind, hit in KINDS]
    assert found.quality == IntervalQuality(*counts)


def test_precision_and_recall_count_stretches():
    quality = IntervalQuality(true_positives=3, false_positives=1, true_negatives=5, false_negatives=2)
    assert (quality.precision, quality.recall) == (0.75, 0.6)


def test_nothing_found_is_no_precision():
    quality = find_intervals(np.empty(0), np.empty(0), 0.5).quality
    assert (quality.precision, quality.recall) == (0, 0)


def test_scores_of_another_length_are_refused():
    with pytest.raises(ValueError, match="were 2 and 3 rows"):
        find_intervals(np.ones(2), np.ones(3), 0.5)
