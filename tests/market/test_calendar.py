from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.market.calendar import DAY_MS, calendar_share, cell_days, raster
from itb.market.timeframe import Timeframe

HOUR_MS = 3_600_000
SIX_HOURS = Timeframe.parse("6h")


@given(
    kept=st.sets(st.integers(0, 60), min_size=1, max_size=40),
    offset=st.integers(0, 12),
    days=st.integers(1, 4),
)
def test_share_of_each_cell_is_that_of_counting_bars_by_hand(kept: set[int], offset: int, days: int) -> None:
    times = np.array(sorted(kept), dtype=np.int64) * SIX_HOURS.ms + offset * SIX_HOURS.ms
    first, last = int(times[0]), int(times[-1])
    starts, shares = calendar_share(*raster(times, SIX_HOURS), first_ms=first, last_ms=last, days=days)
    begin = first - first % DAY_MS
    assert starts[0] == begin
    assert starts[-1] <= last < starts[-1] + days * DAY_MS
    for start, share in zip(starts.tolist(), shares.tolist(), strict=True):
        cell = range(max(start, first), min(start + days * DAY_MS, last + 1))
        expected = [time for time in range(first, last + 1, SIX_HOURS.ms) if time in cell]
        assert expected
        assert share == pytest.approx(sum(time in set(times.tolist()) for time in expected) / len(expected))


def test_cells_where_nothing_was_expected_are_nan() -> None:
    _, share = calendar_share(
        np.array([0, 2 * DAY_MS]), np.array([True, False]), first_ms=0, last_ms=3 * DAY_MS, days=1
    )
    np.testing.assert_array_equal(share, [1, np.nan, 0, np.nan])


@given(first=st.integers(0, 10**6), hours=st.integers(0, 10**6), most=st.integers(1, 500))
def test_there_are_never_more_cells_than_allowed(first: int, hours: int, most: int) -> None:
    start, stop = first * HOUR_MS, (first + hours) * HOUR_MS
    days = cell_days(start, stop, most)
    starts, _ = calendar_share(np.array([start]), np.array([True]), first_ms=start, last_ms=stop, days=days)
    assert len(starts) <= most
