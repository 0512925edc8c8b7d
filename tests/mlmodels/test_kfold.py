import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.cpcv import CombinatorialPurged
from itb.mlmodels.kfold import PurgedKFold, fold_spans

NEVER = -1


@st.composite
def cuts(draw):
    folds = draw(st.integers(2, 6))
    margins = {
        "embargo_bars": draw(st.integers(0, 5)),
        "embargo_before_bars": draw(st.integers(0, 5)),
        "first_bar": draw(st.integers(0, 8)),
    }
    bars = draw(st.integers(margins["first_bar"] + folds, 70))
    reach = draw(st.lists(st.integers(1, 12), min_size=bars, max_size=bars))
    known_at = np.arange(bars) + np.array(reach)
    known_at[known_at >= bars] = NEVER
    if draw(st.booleans()):
        return PurgedKFold(folds=folds, **margins), known_at
    return CombinatorialPurged(folds=folds, test_folds=draw(st.integers(1, folds - 1)), **margins), known_at


def label_bars(row, known_at):
    return set(range(row, max(row, known_at[row]) + 1))


@given(cuts())
def test_no_label_learned_from_touches_a_label_that_is_scored_or_the_embargo_around_it(case):
    cut, known_at = case
    for split in cut.splits(known_at):
        shut = set()
        for row in split.test:
            shut |= label_bars(row, known_at)
            shut |= set(range(row - cut.embargo_before_bars, row))
            shut |= {bar + cut.embargo_bars for bar in label_bars(row, known_at)}
        for row in split.train:
            assert known_at[row] != NEVER
            assert row >= cut.first_bar
            assert not label_bars(row, known_at) & shut


@given(cuts())
def test_no_row_is_purged_without_a_reason(case):
    cut, known_at = case
    for split in cut.splits(known_at):
        shut = set()
        for start, stop in split.spans:
            last = max(stop - 1, *known_at[start:stop])
            shut |= set(range(start - cut.embargo_before_bars, last + cut.embargo_bars + 1))
        for row in set(range(cut.first_bar, len(known_at))) - set(split.train.tolist()):
            assert known_at[row] == NEVER or label_bars(row, known_at) & shut


@given(cuts())
def test_every_bar_is_scored_once_on_every_path(case):
    cut, known_at = case
    counts = np.zeros((cut.paths, len(known_at)), dtype=int)
    ids = cut.path_ids()
    for split in cut.splits(known_at):
        assert split.test.tolist() == [row for start, stop in split.spans for row in range(start, stop)]
        for (start, stop), path in zip(split.spans, ids[split.number], strict=True):
            counts[path, start:stop] += 1
    assert (counts[:, cut.first_bar :] == 1).all()
    assert not counts[:, : cut.first_bar].any()


@pytest.mark.parametrize(
    ("purged", "embargo", "trains"),
    [
        (0, 0, [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]),
        (1, 0, [[9, 10, 11], [5, 6], [0, 1, 2]]),
        (0, 1, [[9, 10, 11], [5, 6, 7], [0, 1, 2, 3]]),
    ],
)
def test_training_rows_are_those_of_skfolio(purged, embargo, trains):
    cut = CombinatorialPurged(folds=3, test_folds=2, embargo_bars=embargo)
    splits = list(cut.splits(np.arange(12) + purged))
    assert [split.tested for split in splits] == [(0, 1), (0, 2), (1, 2)]
    assert [split.train.tolist() for split in splits] == trains


def test_the_remainder_of_bars_goes_to_the_last_fold():
    splits = list(CombinatorialPurged(folds=5, test_folds=2).splits(np.arange(12) + 1))
    assert splits[-1].test.tolist() == [6, 7, 8, 9, 10, 11]
    assert splits[-1].spans[-1] == (8, 12)


@pytest.mark.parametrize(
    ("folds", "tested", "fits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (10, 8, 45, 36), (3, 2, 3, 2)]
)
def test_fits_and_paths_are_counted_as_in_chapter_12(folds, tested, fits, paths):
    cut = CombinatorialPurged(folds=folds, test_folds=tested)
    assert (cut.fits, cut.paths) == (fits, paths)
    assert cut.paths * folds == cut.fits * tested
    assert len(list(cut.splits(np.arange(40) + 1))) == fits


def test_path_ids_are_those_of_skfolio():
    assert CombinatorialPurged(folds=3, test_folds=2).path_ids().tolist() == [[0, 0], [1, 0], [1, 1]]


def test_splits_that_learn_from_the_future_say_so():
    for cut in (PurgedKFold(folds=3), CombinatorialPurged(folds=3)):
        assert cut.is_retrospective
        assert all(split.is_retrospective for split in cut.splits(np.arange(9) + 1))


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        (PurgedKFold, {"folds": 1}, "folds must be at least 2, was 1"),
        (PurgedKFold, {"embargo_bars": -1}, "embargo_bars must be at least 0, was -1"),
        (CombinatorialPurged, {"folds": 1}, "folds must be at least 2, was 1"),
        (CombinatorialPurged, {"folds": 3, "test_folds": 3}, "test_folds must be from 1 to 2"),
        (CombinatorialPurged, {"first_bar": -2}, "first_bar must be at least 0, was -2"),
    ],
)
def test_impossible_settings_are_refused(part, settings, message):
    with pytest.raises(ValueError, match=message):
        part(**settings)


def test_more_folds_than_bars_are_refused():
    with pytest.raises(ValueError, match="5 folds need at least 5 bars, there are 4"):
        fold_spans(6, 5, first_bar=2)
