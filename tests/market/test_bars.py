import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.market.bars import OHLCV, Bars, IntArray
from itb.market.timeframe import Timeframe

MakeBars = Callable[..., Bars]
HOUR = 3_600_000
ONE_HOUR = Timeframe.parse("1h")
GOOD = {"open": [2, 2, 2], "high": [3, 3, 3], "low": [1, 1, 1], "close": [2, 2, 2], "volume": [0, 1, 2]}

positions = st.sets(st.integers(0, 60), max_size=40).map(sorted).map(np.array)


def build(times: Any = (0, HOUR, 2 * HOUR), **changed: Any) -> Bars:
    return Bars.of("BTC/USDT", "1h", times, **GOOD | changed)


class TestTheDoor:
    @pytest.mark.parametrize(
        ("times", "changed", "message"),
        [
            ((0, HOUR + 1, 2 * HOUR), {}, r"bar 1970-01-01 01:00 UTC \(row 1\) is not on the grid of 1h"),
            ((0, 2 * HOUR, HOUR), {}, r"\(row 2\) does not come after"),
            ((0, HOUR, HOUR), {}, r"\(row 2\) does not come after"),
            (None, {"close": [2, math.nan, 2]}, r"\(row 1\) has no finite close"),
            (None, {"volume": [2, 2, math.inf]}, r"\(row 2\) has no finite volume"),
            (None, {"low": [0, 1, 1]}, r"\(row 0\) has a price that is not above 0"),
            (None, {"volume": [0, -1, 0]}, r"\(row 1\) has a negative volume"),
            (None, {"high": [3, 1.9, 3]}, r"\(row 1\) breaks low <= open, close <= high"),
            (None, {"low": [2.5, 1, 1]}, r"\(row 0\) breaks low <= open, close <= high"),
            (None, {"close": [2, 2]}, r"column 'close' has \(2,\) values for 3 bars"),
            (None, {"close": [[2], [2], [2]]}, r"column 'close' has \(3, 1\) values"),
            ([[0], [HOUR], [2 * HOUR]], {}, "one-dimensional"),
        ],
    )
    def test_the_first_bad_bar_is_named(self, times: Any, changed: Any, message: str) -> None:
        with pytest.raises(BarsError, match=f"BTC/USDT 1h: .*{message}"):
            build(times or (0, HOUR, 2 * HOUR), **changed)

    def test_a_missing_column_is_named(self) -> None:
        with pytest.raises(BarsError, match="column 'volume' is missing or not numeric; found open, high, low, close"):
            Bars.of("BTC/USDT", "1h", [0], open=[1], high=[1], low=[1], close=[1])

    def test_no_bars_at_all_are_bars(self) -> None:
        empty = Bars.of("BTC/USDT", "1h", [], **{name: [] for name in OHLCV})
        assert (len(empty), empty.missing, len(empty.tail(3)), len(empty.between(0, 9))) == (0, 0, 0, 0)
        assert Bars.from_frame(empty.to_frame(), "BTC/USDT", ONE_HOUR).equals(empty)
        assert Bars.from_arrow(empty.to_arrow(), "BTC/USDT", ONE_HOUR).equals(empty)

    def test_extras_may_hold_nan_and_follow_ohlcv(self) -> None:
        bars = Bars.of("BTC/USDT", "1h", [0], funding=[math.nan], **{name: [1] for name in reversed(OHLCV)})
        assert list(bars.columns) == [*OHLCV, "funding"]

    def test_arrays_are_read_only(self) -> None:
        bars = build()
        with pytest.raises(ValueError, match="read-only"):
            bars.close[0] = 5
        with pytest.raises(ValueError, match="read-only"):
            bars.open_time[0] = 5

    def test_an_unknown_column_is_named_with_those_there_are(self) -> None:
        with pytest.raises(BarsError, match="no column 'vwap'; the columns are open, high, low, close, volume"):
            build()["vwap"]


class TestParts:
    @given(present=positions, start=st.none() | st.integers(-70, 70), stop=st.none() | st.integers(-70, 70))
    def test_any_slice_is_valid_bars_that_share_memory(
        self, make_bars: MakeBars, present: IntArray, start: int | None, stop: int | None
    ) -> None:
        bars = make_bars(present, extras=("trades",))
        part = bars.slice(start, stop)
        assert part.equals(Bars(part.symbol, part.timeframe, part.open_time, part.columns))
        assert part.open_time.tolist() == bars.open_time.tolist()[start:stop]
        assert len(part) == 0 or np.shares_memory(part.close, bars.close)

    @given(present=positions, n=st.integers(0, 50))
    def test_head_and_tail_are_the_ends(self, make_bars: MakeBars, present: IntArray, n: int) -> None:
        bars = make_bars(present)
        assert bars.head(n).open_time.tolist() == bars.open_time.tolist()[:n]
        assert bars.tail(n).open_time.tolist() == bars.open_time.tolist()[max(0, len(bars) - n) :]

    @given(present=positions, start=st.none() | st.integers(-5, 65), stop=st.none() | st.integers(-5, 65))
    def test_between_holds_bars_that_open_in_the_range(
        self, make_bars: MakeBars, present: IntArray, start: int | None, stop: int | None
    ) -> None:
        bars = make_bars(present)
        zero = ONE_HOUR.floor(1_700_000_000_000)
        start_ms, stop_ms = (None if at is None else zero + at * HOUR - 1 for at in (start, stop))
        expected = [
            time
            for time in bars.open_time.tolist()
            if (start_ms is None or time >= start_ms) and (stop_ms is None or time < stop_ms)
        ]
        assert bars.between(start_ms, stop_ms).open_time.tolist() == expected

    @given(present=positions)
    def test_missing_counts_the_holes_of_the_raster(self, make_bars: MakeBars, present: IntArray) -> None:
        bars = make_bars(present)
        assert bars.missing == len(set(range(min(present, default=0), max(present, default=-1) + 1)) - set(present))

    def test_missing_of_a_slice_is_its_own(self, make_bars: MakeBars) -> None:
        bars = make_bars([0, 2, 3])
        assert (bars.missing, bars.tail(2).missing) == (1, 0)

    def test_a_bar_closes_one_timeframe_after_it_opens(self) -> None:
        assert build().close_time.tolist() == [HOUR, 2 * HOUR, 3 * HOUR]

    def test_columns_are_added_and_replaced_but_checked(self) -> None:
        bars = build().with_columns(funding=np.array([1.0, 2.0, 3.0]), volume=np.zeros(3))
        assert (bars["funding"].tolist(), bars.volume.tolist()) == ([1, 2, 3], [0, 0, 0])
        with pytest.raises(BarsError, match="negative volume"):
            bars.with_columns(volume=-np.ones(3))

    def test_bars_differ_in_symbol_times_or_values(self, make_bars: MakeBars) -> None:
        bars = make_bars(range(3), extras=("trades",))
        assert bars.equals(make_bars(range(3), extras=("trades",)))
        assert not bars.equals(make_bars(range(1, 4), extras=("trades",)))
        assert not bars.equals(make_bars(range(3), seed=8, extras=("trades",)))
        assert not bars.equals(make_bars(range(3)))


class TestTables:
    @settings(max_examples=30)
    @given(present=positions, timeframe=st.sampled_from(["1m", "1h", "1d", "1w"]))
    def test_frames_and_arrow_tables_give_back_the_same_bars(
        self, make_bars: MakeBars, present: IntArray, timeframe: str
    ) -> None:
        bars = make_bars(present, timeframe, extras=("quote_volume", "funding"))
        assert Bars.from_frame(bars.to_frame(), bars.symbol, bars.timeframe).equals(bars)
        assert Bars.from_arrow(bars.to_arrow(), bars.symbol, bars.timeframe).equals(bars)

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    @pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
    def test_frames_of_any_unit_and_zone_mean_the_same_time(
        self, unit: Literal["s", "ms", "us", "ns"], zone: str | None
    ) -> None:
        index = build().index.as_unit(unit).tz_convert(zone) if zone else build().index.as_unit(unit).tz_localize(None)
        frame = build().to_frame().set_index(index)
        assert Bars.from_frame(frame, "BTC/USDT", ONE_HOUR).equals(build())
        assert Bars.from_frame(frame.rename_axis("timestamp").reset_index(), "BTC/USDT", ONE_HOUR).equals(build())
        table = pa.Table.from_pandas(frame.rename_axis("timestamp").reset_index())
        assert Bars.from_arrow(table, "BTC/USDT", ONE_HOUR).equals(build())

    def test_the_index_is_aware_and_named(self) -> None:
        index = build().index
        assert (index.name, str(index.tz), index[1]) == ("timestamp", "UTC", pd.Timestamp("1970-01-01 01:00", tz="UTC"))

    def test_text_columns_are_left_out_and_integers_become_floats(self) -> None:
        frame = build().to_frame().assign(note="x", trades=np.array([1, 2, 3], dtype=np.int32))
        from_frame = Bars.from_frame(frame, "BTC/USDT", ONE_HOUR)
        from_arrow = Bars.from_arrow(pa.Table.from_pandas(frame.reset_index()), "BTC/USDT", ONE_HOUR)
        assert from_frame.equals(from_arrow)
        assert (list(from_frame.columns)[5:], from_frame["trades"].tolist()) == (["trades"], [1.0, 2.0, 3.0])

    def test_a_frame_without_times_is_refused(self) -> None:
        frame = build().to_frame().reset_index(drop=True)
        with pytest.raises(BarsError, match="times are of type int64; expected a datetime index"):
            Bars.from_frame(frame, "BTC/USDT", ONE_HOUR)

    def test_a_frame_with_an_empty_time_is_refused(self) -> None:
        frame = build().to_frame().set_index(build().index.insert(1, pd.NaT)[:3])
        with pytest.raises(BarsError, match="row 1 has no time"):
            Bars.from_frame(frame, "BTC/USDT", ONE_HOUR)

    @pytest.mark.parametrize("stamps", [None, ["a", "b", "c"], [1.0, 2.0, 3.0]])
    def test_a_table_without_times_is_refused(self, stamps: Any) -> None:
        table = build().to_arrow().drop_columns("timestamp")
        table = table if stamps is None else table.append_column("timestamp", pa.array(stamps))
        with pytest.raises(BarsError, match="expected a column 'timestamp' with a time in every row"):
            Bars.from_arrow(table, "BTC/USDT", ONE_HOUR)

    def test_a_table_with_an_empty_time_or_price_is_refused(self) -> None:
        table = build().to_arrow()
        no_time = table.set_column(0, "timestamp", pa.array([0, None, HOUR], pa.timestamp("ms", "UTC")))
        no_close = table.set_column(4, "close", pa.array([2.0, 2.0, None]))
        with pytest.raises(BarsError, match="1 rows empty"):
            Bars.from_arrow(no_time, "BTC/USDT", ONE_HOUR)
        with pytest.raises(BarsError, match=r"row 2\) has no finite close"):
            Bars.from_arrow(no_close, "BTC/USDT", ONE_HOUR)

    def test_a_text_column_in_place_of_a_price_is_refused(self) -> None:
        table = build().to_arrow().set_column(4, "close", pa.array(["2", "2", "2"]))
        with pytest.raises(BarsError, match="column 'close' is missing or not numeric"):
            Bars.from_arrow(table, "BTC/USDT", ONE_HOUR)
