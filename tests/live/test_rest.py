"""Rows that let go of their beginning give, for every place that is left, what the whole row gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.waves import sinus
from itb.errors import BarsError
from itb.live.bars.bar import rows_of
from itb.live.host.growing import GrowingBars
from itb.live.rest import Rest, Tail


@given(st.lists(st.integers(0, 99), max_size=60), st.integers(0, 7), st.integers(-70, 70), st.integers(-70, 70))
def test_a_tail_is_the_end_of_the_list(values: list[int], keep: int, start: int, stop: int) -> None:
    tail: Tail[int] = Tail(keep=keep)
    for value in values:
        tail.append(value)
    assert len(tail) == len(values)
    left = len(values) - tail.first
    assert left == len(values) if not keep else min(keep, len(values)) <= left < 2 * keep
    for place in range(-len(values), len(values)):
        at = place + len(values) if place < 0 else place
        if at >= tail.first:
            assert tail[place] == values[place]
        else:
            with pytest.raises(BarsError, match=r"was let go of.*raise live\.history"):
                tail[place]
    first, last, _ = slice(start, stop).indices(len(values))
    assert tail[start:stop] == values[max(first, tail.first) : max(last, tail.first)]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30, unique=True), st.integers(0, 5), st.integers(0, 99))
def test_a_place_is_searched_for_among_what_is_left(values: list[int], first: int, wanted: int) -> None:
    values = sorted(values)
    first = min(first, len(values))
    rest: Rest[int] = Rest(np.array(values[first:]), first)
    assert rest.searchsorted(wanted) == max(first, int(np.searchsorted(values, wanted)))


@pytest.mark.parametrize("keep", [1, 7, 60, 1_000])
def test_bars_that_are_kept_are_those_of_bars_that_keep_all(keep: int) -> None:
    bars = sinus(bars=400)
    whole, kept = GrowingBars(bars.head(60)), GrowingBars(bars.head(60), keep)
    first_seen = kept.tail(5)
    copied = first_seen.close.copy()
    for row in rows_of(bars)[60:]:
        whole.append(row)
        kept.append(row)
        assert len(kept) == len(whole)
        count = len(kept)
        for back in (1, min(keep, 5), keep):
            if back <= count:
                assert kept.open_time[count - back] == whole.open_time[count - back]
                assert kept.row(count - back) == whole.row(count - back)
                assert kept.place(int(whole.open_time[count - back])) == count - back
        assert kept.tail(min(keep, 30)).equals(whole.tail(min(keep, 30)))
        assert kept.until(count - 1, min(keep, 9) - 1).equals(whole.until(count - 1, min(keep, 9) - 1))
        assert min(keep, count) <= len(kept.open_time.left()) <= max(2 * keep, 60)
    assert first_seen.close.tolist() == copied.tolist()
    assert kept.place(int(bars.open_time[0])) == (-1 if keep < 200 else 0)
    if keep < 200:
        with pytest.raises(BarsError, match="was let go of"):
            kept.open_time[3]
