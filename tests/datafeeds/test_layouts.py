from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.importers import read_bars, read_file
from itb.errors import BarsError
from itb.market.bars import Bars

Write = Callable[..., Path]

HOUR = 3_600_000
START = 1_704_067_200_000
BODIES = ("2,3,1,2,9", "2,4,2,4,8", "4,4,3,3,7")
BINANCE = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
HEADER = "time,open,high,low,close,volume"


def lines_at(times: list[Any]) -> list[str]:
    return [f"{time},{body}" for time, body in zip(times, BODIES, strict=True)]


class TestTimes:
    @pytest.mark.parametrize(
        "times",
        [
            [1704067200, 1704070800, 1704074400],
            [1704067200.0, 1704070800.0, 1704074400.0],
            [1704067200000, 1704070800000, 1704074400000],
            [1704067200000000, 1704070800000000, 1704074400000000],
            [1704067200000000000, 1704070800000000000, 1704074400000000000],
            [1704067200, 1704070800000, 1704074400000000],
            ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"],
            ["2024-01-01 00:00:00", "2024-01-01 01:00:00", "2024-01-01 02:00:00"],
            ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00"],
            ["2024-01-01T02:00:00+02:00", "2024-01-01T01:00:00+00:00", "2024-01-01T01:00:00-01:00"],
            ["2024-01-01T00:00:00.000Z", "2024-01-01T01:00:00.000Z", "2024-01-01T02:00:00.000Z"],
            ["2024-01-01T00:00:00Z", "2024-01-01 01:00:00", "2024-01-01T02:00:00+00:00"],
            ["2024-01-01 00:00:00 UTC", "2024-01-01 01:00:00 UTC", "2024-01-01 02:00:00 UTC"],
        ],
        ids=str,
    )
    def test_every_unit_and_spelling_gives_the_same_bars(
        self, write: Write, three_bars: Bars, times: list[Any]
    ) -> None:
        assert read_file(write(HEADER, *lines_at(times))).equals(three_bars)

    def test_dates_alone_are_days(self, write: Write) -> None:
        path = write(HEADER, *lines_at(["2024-01-01", "2024-01-02", "2024-01-03"]), name="BTCUSDT.csv")
        assert read_file(path).label == "BTC/USDT 1d"

    @pytest.mark.parametrize(
        ("time", "shown"),
        [
            ("01/02/2024", "'01/02/2024' is not a time"),
            ("20240101", "20240101 is not a time of the years 2000 to 2100"),
            ("202401010000", "202401010000 is not a time of the years 2000 to 2100"),
            ("17", "17 is not a time of the years 2000 to 2100"),
            ("-1704067200", "-1704067200 is not a time of the years"),
            ("yesterday", "'yesterday' is not a time; expected a number or ISO 8601"),
            ("", "is empty; expected the open time"),
            ("12:00", "expected the open time of the bar with its date"),
        ],
    )
    def test_what_could_mean_several_things_is_refused(self, write: Write, time: str, shown: str) -> None:
        with pytest.raises(BarsError, match=f"BTCUSDT-1h.csv: line 2: time .*{shown}"):
            read_file(write(HEADER, *lines_at([time] * 3)))

    @given(time=st.integers(946_684_800, 4_102_444_799), unit=st.sampled_from([1, 10**3, 10**6, 10**9]))
    def test_a_time_means_the_same_in_every_unit(self, time: int, unit: int) -> None:
        content = f"{HEADER}\n{time // 60 * 60 * unit},2,3,1,2,9\n".encode()
        bars = read_bars(Path("BTCUSDT-1m.csv"), content=content).bars
        assert bars.open_time.tolist() == [time // 60 * 60_000]


class TestLayouts:
    @pytest.mark.parametrize(
        "header",
        [
            "timestamp,open,high,low,close,volume",
            "Open Time,Open,High,Low,Close,Volume",
            "openTime,o,h,l,c,v",
            "unix,open,high,low,close,Volume BTC",
            '"Date","Open","High","Low","Close","Vol"',
            "\ufeffdatetime,open_price,high_price,low_price,close_price,base_volume",
        ],
    )
    def test_columns_go_by_many_names(self, write: Write, three_bars: Bars, header: str) -> None:
        assert read_file(write(header, *lines_at([START, START + HOUR, START + 2 * HOUR]))).equals(three_bars)

    def test_columns_may_stand_in_any_order(self, write: Write) -> None:
        bars = read_file(write("volume,close,low,high,open,time", f"9,2,1,3,2.5,{START}"))
        assert [float(bars[name][0]) for name in bars.columns] == [2.5, 3, 1, 2, 9]

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_other_delimiters_are_recognised(self, write: Write, three_bars: Bars, delimiter: str) -> None:
        lines = [HEADER, *lines_at([START, START + HOUR, START + 2 * HOUR])]
        assert read_file(write(*[line.replace(",", delimiter) for line in lines], end="\r\n")).equals(three_bars)

    @pytest.mark.parametrize("unit", [1, 1000])
    @pytest.mark.parametrize("header", [(), (BINANCE,)])
    def test_the_layout_of_binances_archive_is_read(
        self, write: Write, three_bars: Bars, unit: int, header: tuple[str, ...]
    ) -> None:
        rows = [
            f"{time * unit},{body},{(time + HOUR) * unit - 1},20.5,3,4.5,10.25,0"
            for time, body in zip(three_bars.open_time, BODIES, strict=True)
        ]
        bars = read_file(write(*header, *rows, name="BTCUSDT-1h-2024-01.zip"))
        assert list(bars.columns)[5:] == ["quote_volume", "trades", "taker_buy_base"]
        assert [float(bars[name][2]) for name in list(bars.columns)[5:]] == [20.5, 3, 4.5]
        assert bars.close.tolist() == three_bars.close.tolist()

    def test_the_layout_of_krakens_archive_is_read(self, write: Write, three_bars: Bars) -> None:
        rows = [f"{line},5" for line in lines_at([1704067200, 1704070800, 1704074400])]
        bars = read_file(write(*rows), "BTC/USDT")
        assert bars.close.tolist() == three_bars.close.tolist()
        assert bars["trades"].tolist() == [5, 5, 5]

    def test_lines_before_the_header_are_passed_over(self, write: Write) -> None:
        header = "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount"
        rows = [f"{START + at * HOUR},2024-01-01 0{at}:00:00,BTC/USDT,2,3,1,2,9,18,4" for at in (1, 0)]
        bars = read_file(write("https://example.org/data", header, *rows, name="Gemini_BTCUSDT_1h.csv"))
        assert (bars.open_time.tolist(), bars.volume.tolist()) == ([START, START + HOUR], [9, 9])
        assert list(bars.columns)[5:] == ["quote_volume", "trades"]

    def test_other_columns_of_numbers_become_extras(self, write: Write) -> None:
        bars = read_file(write(",time,Open,High,Low,Close,Volume,Funding Rate,note", f"0,{START},2,3,1,2,9,,x"))
        assert list(bars.columns)[5:] == []
        bars = read_file(write(",time,Open,High,Low,Close,Volume,Funding Rate,note", f"0,{START},2,3,1,2,9,0.1,x"))
        assert bars["funding_rate"].tolist() == [0.1]

    @pytest.mark.parametrize("index", ["timestamp", "date", None])
    def test_parquet_of_a_frame_with_its_times_in_the_index_is_read(
        self, tmp_path: Path, three_bars: Bars, index: str | None
    ) -> None:
        three_bars.to_frame().rename_axis(index).to_parquet(tmp_path / "BTCUSDT-1h.parquet")
        assert read_file(tmp_path / "BTCUSDT-1h.parquet").equals(three_bars)

    def test_feather_in_freqtrades_layout_is_read(self, tmp_path: Path, three_bars: Bars) -> None:
        frame = three_bars.to_frame().rename_axis("date").reset_index()
        path = tmp_path / "BTC_USDT_USDT-1h-futures.feather"
        frame.to_feather(path)
        bars = read_file(path)
        assert (bars.label, bars.close.tolist()) == ("BTC/USDT:USDT 1h", three_bars.close.tolist())

    def test_integers_and_narrow_floats_in_parquet_are_read(self, tmp_path: Path, three_bars: Bars) -> None:
        table = three_bars.to_arrow().set_column(1, "open", pa.array([2, 2, 4], pa.int8()))
        table = table.set_column(5, "volume", pa.array([9, 8, 7], pa.float32()))
        pq.write_table(table.append_column("trades", pa.array([1, None, 3])), tmp_path / "BTCUSDT-1h.parquet")
        bars = read_file(tmp_path / "BTCUSDT-1h.parquet")
        assert bars.open.tolist() == [2, 2, 4]
        assert np.isnan(bars["trades"]).tolist() == [False, True, False]

    @pytest.mark.parametrize("name", ["BTCUSDT-1h.csv.gz", "BTCUSDT-1h.csv.zip", "BTCUSDT-1h.zip", "BTCUSDT-1h.txt"])
    def test_packed_files_are_unpacked(self, write: Write, three_bars: Bars, name: str) -> None:
        lines = [HEADER, *lines_at([START, START + HOUR, START + 2 * HOUR])]
        assert read_file(write(*lines, name=name)).equals(three_bars)


@pytest.mark.real
def test_real_bars_survive_every_format(tmp_path: Path, real_file: Callable[[str], Path]) -> None:
    bars = read_file(real_file("bitfinex/BTCUSD-1m")).head(60_000)
    frame = bars.to_frame().rename_axis("date").reset_index()
    frame.to_csv(tmp_path / "BTCUSD-1m.csv", index=False)
    frame.assign(date=bars.open_time * 1000).to_csv(tmp_path / "BTCUSD-1m.csv.gz", index=False, header=False)
    frame.to_feather(tmp_path / "BTC_USD-1m.feather")
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "BTC-USD-1m.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert read_file(path).equals(bars), path.name
