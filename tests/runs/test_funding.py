"""What part of a run its funding rates cover: nothing is assumed of the distance between settlements."""

from __future__ import annotations

import numpy as np
import pytest

from itb.datafeeds.waves import sinus
from itb.runs.funding import FundingRates

HOUR = 3_600_000


@pytest.fixture(scope="module")
def bars():
    return sinus(bars=400, timeframe="1h")


def told(bars, hours):
    times = int(bars.open_time[0]) + HOUR * np.array(hours, dtype=np.int64)
    return list(FundingRates(times, np.full(len(times), 1e-4)).notes(bars))


@pytest.mark.parametrize("every", [1, 4, 8, 24])
def test_rates_all_over_the_run_need_no_note_whatever_their_distance(bars, every):
    assert told(bars, range(0, 400, every)) == []


def test_a_change_of_the_distance_is_no_hole(bars):
    assert told(bars, [*range(0, 200, 8), *range(200, 400, 4)]) == []


def test_each_stretch_without_rates_is_told(bars):
    assert told(bars, [*range(-80, 400, 8)]) == []
    (late,) = told(bars, range(160, 400, 8))
    assert late == "Funding begins at 2023-01-07 16:00 UTC: before it none is charged."
    (early,) = told(bars, range(0, 200, 8))
    assert early == "Funding ends at 2023-01-09 00:00 UTC: after it none is charged."
    (hole,) = told(bars, [hour for hour in range(0, 400, 8) if not 80 <= hour < 120 and hour not in {200, 208}])
    assert hole == (
        "Funding has 2 stretches without a settlement, the longest from 2023-01-04 00:00 UTC to 2023-01-06 00:00 UTC: "
        "none is charged there."
    )


def test_one_settlement_is_measured_by_the_day(bars):
    assert told(bars, [200]) == [
        "Funding begins at 2023-01-09 08:00 UTC: before it none is charged.",
        "Funding ends at 2023-01-09 08:00 UTC: after it none is charged.",
    ]
    assert told(bars, [1000]) == []  # nothing is charged at all: the venue refuses that
