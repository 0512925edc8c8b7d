import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.market.timeframe import DAY_MS, Timeframe

COMMON = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w")
timeframes = st.sampled_from([Timeframe.parse(text) for text in COMMON])
times = st.integers(-(10**14), 10**14)


@pytest.mark.parametrize("text", COMMON)
def test_common_timeframes_read_back_as_they_were_written(text: str) -> None:
    assert str(Timeframe.parse(text)) == text


@pytest.mark.parametrize("text", ["", "h", "1", "0m", "-1h", "1.5h", "7m", "2d", "2w", "1M", "1y", " 1h", "90s", "1 h"])
def test_a_text_that_is_no_timeframe_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="timeframe must"):
        Timeframe.parse(text)


@pytest.mark.parametrize("ms", [0, -60_000, 1_000, 90_001, 7 * DAY_MS + 60_000])
def test_a_length_that_does_not_divide_a_day_or_week_into_minutes_is_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="whole minutes"):
        Timeframe(ms)


def test_weeks_open_on_monday() -> None:
    wednesday = int(np.datetime64("2024-05-15T13:45", "ms").astype(int))
    monday = int(np.datetime64("2024-05-13", "ms").astype(int))
    assert Timeframe.parse("1w").floor(wednesday) == monday


@given(timeframe=timeframes, time=times)
def test_every_time_lies_in_the_bar_that_floor_names(timeframe: Timeframe, time: int) -> None:
    opened = timeframe.floor(time)
    assert opened <= time < opened + timeframe.ms == timeframe.next_close(time)
    assert timeframe.floor(opened) == opened


@given(timeframe=timeframes, values=st.lists(times, max_size=20))
def test_floor_of_an_array_is_the_floor_of_each(timeframe: Timeframe, values: list[int]) -> None:
    assert timeframe.floor(np.array(values, dtype=np.int64)).tolist() == [timeframe.floor(value) for value in values]


@given(coarse=timeframes, fine=timeframes, time=times)
def test_a_coarser_bar_opens_where_a_finer_bar_opens(coarse: Timeframe, fine: Timeframe, time: int) -> None:
    opened = coarse.floor(time)
    assert not coarse.is_multiple_of(fine) or fine.floor(opened) == opened


@pytest.mark.parametrize(
    ("coarse", "fine", "expected"),
    [("1h", "15m", True), ("1h", "1h", True), ("1w", "4h", True), ("15m", "1h", False), ("8h", "6h", False)],
)
def test_multiples_are_told_apart(coarse: str, fine: str, expected: bool) -> None:
    assert Timeframe.parse(coarse).is_multiple_of(Timeframe.parse(fine)) is expected


def test_timeframes_are_ordered_by_length() -> None:
    assert [str(frame) for frame in sorted(map(Timeframe.parse, reversed(COMMON)))] == list(COMMON)


def test_a_year_holds_8760_hours() -> None:
    assert Timeframe.parse("1h").bars_per_year == 8760
    assert Timeframe.parse("15m").minutes == 15
