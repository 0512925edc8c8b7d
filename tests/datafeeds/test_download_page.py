from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.coverage import Coverage, holes, merged, without
from itb.datafeeds.page import read_page
from itb.market.timeframe import Timeframe

MINUTE = Timeframe.parse("1m")
MS = MINUTE.ms

good = st.integers(0, 40).map(lambda at: [at * MS, 2.0 + at, 4.0 + at, 1.0, 2.5 + at, float(at)])
value = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.lists(st.none(), max_size=2),
    st.just({}),
)
junk = st.lists(value, max_size=8)
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


@given(rows=st.lists(st.one_of(good, junk), max_size=40), since=st.integers(0, 20), length=st.integers(1, 30))
def test_whatever_comes_only_good_bars_of_the_stretch_pass(rows, since, length):
    page = read_page(rows, MINUTE, since * MS, (since + length) * MS)
    bars = page.bars("BTC/USDT", MINUTE)
    assert ((bars.open_time >= since * MS) & (bars.open_time < (since + length) * MS)).all()


@given(rows=st.lists(good, max_size=40))
def test_good_rows_all_pass_in_order_and_once(rows):
    page = read_page(rows, MINUTE, 0, 41 * MS)
    assert page.bad == ()
    assert page.open_time.tolist() == sorted({row[0] for row in rows})
    by_time = {row[0]: row[1:] for row in rows}
    assert all(by_time[time] == numbers for time, numbers in zip(page.open_time, page.ohlcv.tolist(), strict=True))


def test_every_refused_row_is_named():
    rows = [
        [0, 2.0, 3.0, 1.0, 2.0, 9.0],
        [MS, 2.0, 3.0, 1.0, float("nan"), 9.0],
        [2 * MS, 2.0, 3.0, -1.0, 2.0, 9.0],
        [3 * MS, 2.0, 3.0, 1.0, 2.0, -9.0],
        [4 * MS, 2.0, 1.5, 1.0, 2.0, 9.0],
        [5 * MS + 1, 2.0, 3.0, 1.0, 2.0, 9.0],
        [6 * MS, 2.0, 3.0],
        [None, 2.0, 3.0, 1.0, 2.0, 9.0],
        [7 * MS, 2.0, 3.0, 1.0, 2.0, 9.0],
        [7 * MS, 2.0, 3.5, 1.0, 2.0, 9.0],
        [-MS, 2.0, 3.0, 1.0, 2.0, 9.0],
    ]
    page = read_page(rows, MINUTE, 0, 10 * MS)
    assert page.open_time.tolist() == [0]
    assert len(page.bad) == 9


def as_set(stretches):
    return {at for start, stop in stretches for at in range(start, stop)}


@given(spans=spans)
def test_merged_spans_cover_the_same_and_are_apart(spans):
    joined = merged(spans)
    assert as_set(joined) == as_set(spans)
    assert all(left[1] < right[0] for left, right in pairwise(joined))


@given(wanted=spans, covered=spans)
def test_without_is_the_difference_of_sets(wanted, covered):
    assert as_set(without(wanted, covered)) == as_set(wanted) - as_set(covered)


@given(held=st.sets(st.integers(0, 60)), since=st.integers(0, 60), length=st.integers(1, 30))
def test_holes_are_what_is_not_held(held, since, length):
    times = np.array(sorted(held), dtype=np.int64) * MS
    found = holes(times, MINUTE, since * MS, (since + length) * MS)
    assert {at * MS for at in range(since, since + length) if at not in held} == {
        at for start, stop in found for at in range(start, stop, MS)
    }


def test_coverage_is_remembered(tmp_path):
    coverage = Coverage(tmp_path)
    coverage.add(0, 10)
    coverage.add(10, 20)
    coverage.save()
    again = Coverage(tmp_path)
    assert again.holds(3, 20)
    assert not again.holds(3, 21)


def test_two_downloads_add_to_one_coverage(tmp_path):
    first, second = Coverage(tmp_path), Coverage(tmp_path)
    first.add(0, 10)
    second.add(20, 30)
    first.save()
    second.save()
    assert Coverage(tmp_path).spans == [(0, 10), (20, 30)]


def test_a_spoilt_coverage_only_costs_requests(tmp_path):
    (tmp_path / "asked.json").write_text('{"asked_ms": [[1')
    assert Coverage(tmp_path).spans == []
