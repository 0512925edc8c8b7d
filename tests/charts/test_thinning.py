from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from itb.charts.thinning import merge_candles, thin_line
from itb.market.bars import Bars, FloatArray

lines = arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6) | st.just(float("nan")))


@given(values=lines, limit=st.integers(4, 60))
def test_thinned_line_keeps_extremes_ends_and_order(values: FloatArray, limit: int) -> None:
    kept = thin_line(values, limit)
    assert len(kept) <= max(limit, 4)
    assert (np.diff(kept) > 0).all()
    assert kept[0] == 0
    assert kept[-1] == len(values) - 1
    if not np.isnan(values).all():
        assert np.nanmax(values[kept]) == np.nanmax(values)
        assert np.nanmin(values[kept]) == np.nanmin(values)


@given(values=lines)
def test_line_that_fits_is_left_alone(values: FloatArray) -> None:
    assert thin_line(values, max(4, len(values))).tolist() == list(range(len(values)))


def test_long_gap_still_breaks_the_line() -> None:
    values = np.concatenate((np.ones(500), np.full(500, np.nan), np.ones(500)))
    assert np.isnan(values[thin_line(values, 50)]).any()


@given(n=st.integers(1, 400), limit=st.integers(1, 50))
def test_merged_candles_say_what_their_bars_say(make_bars: Callable[[int], Bars], n: int, limit: int) -> None:
    bars = make_bars(400).head(n)
    candles = merge_candles(bars, limit)
    groups = [bars.slice(i, i + candles.bars_each) for i in range(0, n, candles.bars_each)]
    assert len(candles.time) == len(groups) <= limit
    assert candles.time.tolist() == [int(group.open_time[0]) for group in groups]
    assert candles.open.tolist() == [group.open[0] for group in groups]
    assert candles.high.tolist() == [group.high.max() for group in groups]
    assert candles.low.tolist() == [group.low.min() for group in groups]
    assert candles.close.tolist() == [group.close[-1] for group in groups]
