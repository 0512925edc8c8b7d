from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import ConfigError
from itb.market.gaps import Gap
from itb.mlmodels.labels.column import LabelColumn
from itb.mlmodels.split_file import SetRange, SetsSplit, read_sets_split, write_sets_split

HOUR = 3_600_000
TEXT = (
    "\tset_type\tstart\tend\n"
    "0\ttraining\t1970-01-01 03:00:00+01:00\t1970-01-01 20:00:00+00:00\n"
    "1\tvalidation\t1970-01-01 21:00:00+00:00\t1970-01-02 05:00:00+00:00\n"
    "2\ttest\t1970-01-02 06:00:00+00:00\t1970-01-02 12:00:00+00:00\n"
    "3\tnot assigned\t1970-01-03 00:00:00+00:00\t1970-01-03 01:00:00+00:00\n"
    "4\ttraining\t1970-01-03 02:00:00+00:00\t1970-01-03 08:00:00+00:00\n"
)


@pytest.fixture
def split(tmp_path):
    file = tmp_path / "sets_split.csv"
    file.write_text(TEXT)
    return read_sets_split(file)


def test_a_file_is_read_with_its_time_zones(split):
    assert split.ranges[0] == SetRange("training", 2 * HOUR, 20 * HOUR)
    assert [part.set_type for part in split.ranges] == ["training", "validation", "test", "not assigned", "training"]


def test_what_is_written_is_read_again(split, tmp_path):
    write_sets_split(split, tmp_path / "again.csv")
    assert read_sets_split(tmp_path / "again.csv") == split


def test_both_ends_belong_to_a_range(split):
    times = np.arange(60) * HOUR
    assert split.rows(times, np.arange(60) + 1, "test").tolist() == list(range(30, 37))
    assert split.rows(times, np.arange(60) + 1, "not assigned").tolist() == [48, 49]


def test_training_labels_end_before_validation_and_test_begin(split):
    times, known_at = np.arange(60) * HOUR, np.arange(60) + 4
    assert split.rows(times, known_at, "training").tolist() == [*range(2, 17), *range(50, 57)]
    assert split.rows(times, known_at, "validation").tolist() == list(range(21, 26))
    assert split.rows(times, known_at, "training", embargo_bars=2).tolist() == [*range(2, 15), *range(50, 57)]


@given(st.data(), st.integers(1, 9), st.integers(0, 4))
def test_no_label_learned_from_shares_a_bar_with_a_guarded_label(data, horizon, embargo):
    edges = data.draw(st.lists(st.integers(0, 60), min_size=4, max_size=10, unique=True).map(sorted))
    kinds = st.sampled_from(["training", "validation", "test", "not assigned"])
    ranges = tuple(SetRange(data.draw(kinds), a * HOUR, (b - 1) * HOUR) for a, b in pairwise(edges))
    split, times = SetsSplit(ranges), np.arange(60) * HOUR
    known_at = np.where(np.arange(60) + horizon < 60, np.arange(60) + horizon, -1)
    for learned, guarded in (("training", "validation"), ("training", "test"), ("validation", "test")):
        for row in split.rows(times, known_at, learned, embargo):
            for part in split.of(guarded):
                start, stop = part.span(times)
                reach = max(known_at[start:stop].max(initial=-1), stop - 1)
                assert start == stop or known_at[row] + embargo < start or row > reach + embargo


def test_a_split_that_learns_after_its_test_is_retrospective(split):
    assert split.is_retrospective
    assert not SetsSplit(split.ranges[:4]).is_retrospective
    assert not SetsSplit(split.ranges[:2]).is_retrospective


def report(split, bars, number, **needs):
    label = LabelColumn.after(np.arange(len(bars)) % 3.0, horizon=1)
    return split.examine(bars, label, **{"history_bars": 0, "future_bars": 0, **needs})[number]


def test_a_range_that_has_everything_has_nothing_to_say(split, make_bars):
    found = report(split, make_bars(60, 1), 1, history_bars=21, future_bars=30)
    assert found.is_complete
    assert found.sentences == ()
    assert (found.bars, found.classes, found.unlabelled) == (9, ((0.0, 3), (1.0, 3), (2.0, 3)), 0)


def test_missing_history_and_future_are_counted_beside_the_range(split, make_bars):
    found = report(split, make_bars(60, 1), 1, history_bars=24, future_bars=37)
    assert (found.history_short, found.future_short, found.late, found.early) == (3, 7, 0, 0)
    assert found.sentences == (
        "BTC/USDT, validation 1970-01-01 21:00 UTC to 1970-01-02 05:00 UTC: the history before it is 3 bars short",
        "BTC/USDT, validation 1970-01-01 21:00 UTC to 1970-01-02 05:00 UTC: the future after it is 7 bars short",
    )


def test_data_that_starts_late_or_ends_early_is_told(split, make_bars):
    bars = make_bars(60, 1)
    assert (report(split, bars.tail(37), 1).late, report(split, bars.head(24), 1).early) == (2, 6)
    late = report(split, bars.tail(37), 1, history_bars=5)
    assert (late.history_short, late.is_complete) == (5, False)


def test_gaps_in_the_range_and_its_needs_are_listed(split, make_bars):
    bars = make_bars(60, 1)
    kept = np.delete(np.arange(60), [10, 22, 23, 40])
    holey = type(bars).of(bars.symbol, "1h", bars.open_time[kept], **{name: bars[name][kept] for name in bars.columns})
    inside = Gap(22 * HOUR, 24 * HOUR, bars=2)
    assert report(split, holey, 1).gaps == (inside,)
    assert report(split, holey, 1, history_bars=11).gaps == (Gap(10 * HOUR, 11 * HOUR, bars=1), inside)
    assert report(split, holey, 1, history_bars=10, future_bars=11).gaps == (inside, Gap(40 * HOUR, 41 * HOUR, bars=1))
    assert report(split, holey, 1).bars == 7


def test_a_range_without_a_bar_says_so(split, make_bars):
    found = report(split, make_bars(20, 1), 2)
    assert found.sentences == ("BTC/USDT, test 1970-01-02 06:00 UTC to 1970-01-02 12:00 UTC: there are no bars",)
    assert (found.bars, found.classes, found.is_complete) == (0, (), False)


def test_rows_without_a_known_label_are_counted(split, make_bars):
    assert report(split, make_bars(30, 1), 1).unlabelled == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set_type,start,end\n", "column 'set_type' is absent"),
        ("set_type\tstart\tend\ntest\tyesterday\t2019-01-02T00Z\n", r"line 2: .*was expected, found"),
        ("set_type\tstart\tend\ntrain\t2019-01-01T00+00:00\t2019-01-02T00+00:00\n", "line 2: set_type must be one of"),
        (
            "set_type\tstart\tend\ntest\t2019-01-01T00\t2019-01-02T00+00:00\n",
            "line 2: time '2019-01-01T00' has no time",
        ),
        ("set_type\tstart\tend\ntest\t2019-01-03T00Z\t2019-01-02T00Z\n", r"line 2: test: end .* lies before start"),
        (
            "set_type\tstart\tend\ntest\t2019-01-01T00Z\t2019-01-02T00Z\ntraining\t2019-01-02T00Z\t2019-01-03T00Z\n",
            r"test 2019-01-01 00:00 UTC to .* overlaps training .*: no bar may be in two sets",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path, text, message):
    file = tmp_path / "sets_split.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_sets_split(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv: cannot be read"):
        read_sets_split(tmp_path / "none.csv")
