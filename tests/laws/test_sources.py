"""The causal law of sources: holds for the join, and catches each way to join too early."""

from __future__ import annotations

import numpy as np
import pytest

from itb.datafeeds.sources import Join, Joined, SourceRows
from itb.datafeeds.waves import sinus
from itb.laws.sources import check_joined
from itb.market.timeframe import Timeframe

HOUR = 3_600_000
EIGHT = Timeframe.parse("8h")


@pytest.fixture
def bars():
    return sinus(bars=400, timeframe="1h")


def rows(bars, count=60):
    start = EIGHT.floor(int(bars.open_time[0]))
    times = start + EIGHT.ms * np.arange(-2, count - 2, dtype=np.int64)
    return SourceRows("source x", times, {"rate": np.random.default_rng(1).normal(size=count)})


def put(bars, joined):
    return bars.with_columns(**joined.columns)


@pytest.mark.parametrize("gaps", ["flat", "drop", "empty"])
@pytest.mark.parametrize("frame", [None, EIGHT])
def test_the_join_holds(bars, frame, gaps):
    given = rows(bars, 30)
    holes = SourceRows("x", np.delete(given.times, [4, 9]), {"rate": np.delete(given.columns["rate"], [4, 9])})
    joined = Joined("x", holes, Join(frame, 60_000, gaps, 20 * HOUR), {"x_rate": "rate"}, bars.close_time)
    assert check_joined(put(bars, joined), joined)


@pytest.mark.parametrize(
    ("true", "planted"),
    [
        (Join(EIGHT), Join()),  # the open of a bar taken for an event
        (Join(EIGHT, 60_000), Join(EIGHT)),  # a delay forgotten
        (Join(delay_ms=60_000), Join()),
    ],
    ids=["open time", "delay of bars", "delay of events"],
)
def test_columns_that_were_joined_too_early_are_caught(bars, true, planted):
    early = Joined("x", rows(bars), planted, {"x_rate": "rate"}, bars.close_time)
    honest = Joined("x", rows(bars), true, {"x_rate": "rate"}, bars.close_time)
    result = check_joined(put(bars, early), honest)
    assert not result
    assert "is what was known at its close" in result.evidence


def test_a_join_that_looks_ahead_by_itself_is_caught(bars, monkeypatch):
    monkeypatch.setattr(Join, "known_at", lambda self, times: times)
    joined = Joined("x", rows(bars), Join(None, 60_000), {"x_rate": "rate"}, bars.close_time)
    assert not check_joined(put(bars, joined), joined)
