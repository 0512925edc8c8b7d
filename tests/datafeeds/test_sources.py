"""Sources join decisions by the time they became known: against a slow oracle, and against planted mistakes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.sources import Join, Joined, SourceGaps, SourceRows
from itb.errors import BarsError
from itb.market.bars import FloatArray, IntArray
from itb.market.timeframe import Timeframe

MINUTE, HOUR = 60_000, 3_600_000
START = 1_704_067_200_000  # a Monday
FRAMES = ("1m", "5m", "15m", "1h", "4h", "8h", "1d", "1w")
Values = dict[str, FloatArray]


def oracle(join: Join, decisions: IntArray, rows: SourceRows) -> Values:
    """Look at every row for every decision, as a person with a clock would."""
    length = 0 if join.timeframe is None else join.timeframe.ms
    out = {name: np.full(len(decisions), np.nan) for name in rows.columns}
    for place, now in enumerate(decisions.tolist()):
        best = None
        for row, time in enumerate(rows.times.tolist()):
            if time + length + join.delay_ms <= now:
                best = row
        if best is None:
            continue
        time = int(rows.times[best])
        if join.max_age_ms is not None and now - (time + length + join.delay_ms) > join.max_age_ms:
            continue
        is_missed = bool(length) and time + length + length + join.delay_ms <= now  # the next one would be known too
        if is_missed and join.gaps in {"refuse", "empty"}:
            continue
        for name, values in rows.columns.items():
            out[name][place] = values[best]
            if is_missed and join.gaps == "flat":
                if name in {"open", "high", "low"}:
                    out[name][place] = rows.columns["close"][best]
                if name in {"volume", "trades"}:
                    out[name][place] = 0.0
    return out


def agree(one: Values, other: Values, stop: int | None = None) -> bool:
    return all(np.array_equal(one[name][:stop], other[name][:stop], equal_nan=True) for name in one)


@st.composite
def cases(draw: Callable) -> tuple[Join, IntArray, SourceRows]:
    main = Timeframe.parse(draw(st.sampled_from(FRAMES[1:6])))
    positions = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=25)))
    decisions = START + (np.array(positions, dtype=np.int64) + 1) * main.ms
    frame = draw(st.none() | st.sampled_from(FRAMES).map(Timeframe.parse))
    span = 61 * main.ms
    if frame is None:
        offsets = draw(st.lists(st.integers(-span // 2, span), max_size=25))
        times = START + np.array(sorted(offsets), dtype=np.int64)
    else:
        first, last = -max(3, span // frame.ms // 2), max(4, span // frame.ms)
        times = START + frame.ms * np.array(
            sorted(draw(st.sets(st.integers(first, last), max_size=25))), dtype=np.int64
        )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = ("open", "high", "low", "close", "volume") if draw(st.booleans()) else ("rate", "trades")
    columns = {name: np.where(rng.random(len(times)) < 0.1, np.nan, rng.normal(size=len(times))) for name in names}
    delay = draw(st.sampled_from([0, 1, MINUTE, 7 * MINUTE, HOUR, 26 * HOUR]))
    policies: list[SourceGaps] = ["drop"] if frame is None else ["flat", "drop", "empty"]
    gaps = draw(st.sampled_from(policies))
    age = draw(st.none() | st.integers(0, 3 * 24 * HOUR))
    return Join(frame, delay, gaps, age), decisions, SourceRows("x", times, columns)


@given(cases())
def test_each_decision_gets_what_a_person_with_a_clock_would_have(case: tuple) -> None:
    join, decisions, rows = case
    assert agree(join(decisions, rows), oracle(join, decisions, rows))


@given(cases(), st.data())
def test_rows_known_later_change_nothing(case: tuple, data: st.DataObject) -> None:
    join, decisions, rows = case
    cut = data.draw(st.integers(0, len(decisions) - 1))
    length = 0 if join.timeframe is None else join.timeframe.ms
    is_later = rows.times + length + join.delay_ms > decisions[cut]
    before = join(decisions, rows)
    noise = {name: np.where(is_later, 1e9, values) for name, values in rows.columns.items()}
    assert agree(join(decisions, SourceRows("x", rows.times, noise)), before, cut + 1)
    fewer = {name: values[~is_later] for name, values in rows.columns.items()}
    assert agree(join(decisions, SourceRows("x", rows.times[~is_later], fewer)), before, cut + 1)
    assert agree(join(decisions[: cut + 1], rows), before, cut + 1)


def by_open_time(join: Join, decisions: IntArray, rows: SourceRows) -> Values:
    """Join with a planted bug: rows count from their times on, as if a bar were known when it opens."""
    at = np.searchsorted(rows.times, decisions, side="right") - 1
    return {
        name: np.where(at >= 0, values[np.maximum(at, 0)], np.nan) if len(values) else np.full(len(at), np.nan)
        for name, values in rows.columns.items()
    }


@pytest.mark.parametrize("join", [Join(Timeframe.parse("4h")), Join(None, MINUTE)], ids=["bars", "events"])
def test_the_oracle_catches_a_join_by_open_time(join: Join) -> None:
    decisions = START + np.arange(1, 49, dtype=np.int64) * HOUR
    times = START + np.arange(0, 12, dtype=np.int64) * 4 * HOUR
    rows = SourceRows("x", times, {"rate": np.arange(12.0)})
    right = oracle(join, decisions, rows)
    assert agree(join(decisions, rows), right)
    assert not agree(by_open_time(join, decisions, rows), right)


# -- by hand


def test_finer_bars_give_the_last_complete_one_and_coarser_ones_too() -> None:
    decisions = START + np.array([1, 2, 3, 4, 5]) * HOUR
    minutes = SourceRows("1m", START + np.arange(300, dtype=np.int64) * MINUTE, {"close": np.arange(300.0)})
    assert Join(Timeframe.parse("1m"))(decisions, minutes)["close"].tolist() == [59, 119, 179, 239, 299]
    coarse = SourceRows("4h", START + np.arange(-1, 2, dtype=np.int64) * 4 * HOUR, {"close": np.array([7.0, 8, 9])})
    assert Join(Timeframe.parse("4h"))(decisions, coarse)["close"].tolist() == [7, 7, 7, 8, 8]


def test_settlements_need_no_fixed_distance() -> None:
    rows = SourceRows("f", START + np.array([0, 8, 12, 13]) * HOUR, {"rate": np.array([1.0, 2, 3, 4])})
    decisions = START + np.arange(16) * HOUR
    got = Join(delay_ms=MINUTE)(decisions, rows)["rate"]
    assert np.isnan(got[0])
    assert got[1:].tolist() == [1] * 8 + [2] * 4 + [3, 4, 4]


def test_of_two_rows_of_one_time_the_last_counts() -> None:
    rows = SourceRows("x", np.array([START, START]), {"rate": np.array([1.0, 2])})
    assert Join()(np.array([START]), rows)["rate"].tolist() == [2]


HOLE = SourceRows(
    "source perp",
    START + np.array([0, 1, 3], dtype=np.int64) * HOUR,
    {"open": np.array([1.0, 2, 4]), "close": np.array([1.5, 2.5, 4.5]), "volume": np.array([5.0, 6, 7])},
)


@pytest.mark.parametrize(
    ("gaps", "opens", "volumes"),
    [
        ("flat", [1, 2, 2.5, 4, 4.5], [5, 6, 0, 7, 0]),
        ("drop", [1, 2, 2, 4, 4], [5, 6, 6, 7, 7]),
        ("empty", [1, 2, None, 4, None], [5, 6, None, 7, None]),
    ],
)
def test_missing_bars_follow_the_policy(gaps: SourceGaps, opens: list, volumes: list) -> None:
    decisions = START + np.arange(1, 6, dtype=np.int64) * HOUR
    got = Join(Timeframe.parse("1h"), gaps=gaps)(decisions, HOLE)
    assert [None if np.isnan(value) else value for value in got["open"]] == opens
    assert [None if np.isnan(value) else value for value in got["volume"]] == volumes


def test_missing_bars_between_others_are_refused_where_they_would_be_used() -> None:
    join = Join(Timeframe.parse("1h"))
    with pytest.raises(BarsError, match=r"source perp: 1 bar missing, first 2024-01-01 02:00 UTC"):
        join(START + np.arange(1, 6, dtype=np.int64) * HOUR, HOLE)
    before, after = START + np.array([1, 2, 3]) * HOUR, START + np.array([4, 5]) * HOUR
    assert np.isnan(join(before, HOLE)["close"]).tolist() == [False, False, True]
    assert np.isnan(join(after, HOLE)["close"]).tolist() == [False, True]


def test_times_off_the_raster_and_out_of_order_are_refused() -> None:
    off = SourceRows("mark", np.array([START + 1]), {"x": np.array([1.0])})
    with pytest.raises(BarsError, match=r"mark: the time of row 0 .* is not on the grid of 1h; .*time = \"event\""):
        Join(Timeframe.parse("1h"))(np.array([START + HOUR]), off)
    with pytest.raises(BarsError, match=r"x: row 1 .* comes before the row above"):
        SourceRows("x", np.array([2, 1]), {"x": np.array([1.0, 2])})


@pytest.mark.parametrize("wrong", [{"delay_ms": -1}, {"max_age_ms": -1}, {"gaps": "fill"}])
def test_a_join_that_cannot_be_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        Join(**wrong)


def test_what_a_source_lacks_is_told() -> None:
    decisions = START + np.arange(0, 7, dtype=np.int64) * HOUR
    joined = Joined("perp", HOLE, Join(Timeframe.parse("1h"), gaps="empty"), {"perp_close": "close"}, decisions)
    assert (joined.covered, list(joined.columns)) == (3, ["perp_close"])
    assert joined.notes == [
        "Source perp begins late: 1 bar before 2024-01-01 01:00 UTC has no value.",
        "Source perp ends early: 2 bars after 2024-01-01 04:00 UTC have no value.",
        "Source perp has holes: 1 bar between has no value.",
    ]
    nothing = Joined("perp", HOLE, Join(Timeframe.parse("1h")), {"perp_close": "close"}, decisions[:1])
    assert nothing.notes == ["Source perp has no value at any of these bars."]
    flat = Joined("perp", HOLE, Join(Timeframe.parse("1h"), gaps="flat"), {"perp_close": "close"}, decisions[1:5])
    assert flat.notes == ["Source perp was flat at 1 bar where its own is missing."]
    assert HOLE.until(START + HOUR).times.tolist() == [START, START + HOUR]
