import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.importers import import_file, read_bars, read_file, symbol_of
from itb.datafeeds.store import BarStore
from itb.errors import BarsError
from itb.market.bars import Bars

MakeBars = Callable[..., Bars]
Write = Callable[..., Path]

HOUR = 3_600_000
START = 1_704_067_200_000
BODIES = ("2,3,1,2,9", "2,4,2,4,8", "4,4,3,3,7")
BINANCE = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
HEADER = "time,open,high,low,close,volume"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lines to a file: packed according to the name's last suffix."""

    def pack(*lines: str, name: str = "BTCUSDT-1h.csv", end: str = "\n") -> Path:
        path = tmp_path / name
        content = (end.join(lines) + end).encode()
        if path.suffix == ".gz":
            content = gzip.compress(content)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{path.stem}.csv", content)
        else:
            path.write_bytes(content)
        return path

    return pack


@pytest.fixture
def three_bars() -> Bars:
    times = START + np.arange(3) * HOUR
    columns = {"open": [2, 2, 4], "high": [3, 4, 4], "low": [1, 2, 3], "close": [2, 4, 3], "volume": [9, 8, 7]}
    return Bars.of("BTC/USDT", "1h", times, **columns)


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


class TestNames:
    @pytest.mark.parametrize(
        ("name", "symbol"),
        [
            ("BTCUSDT-1h.parquet", "BTC/USDT"),
            ("btc_usdt-1m.feather", "BTC/USDT"),
            ("BTC_USDT_USDT-15m-futures.feather", "BTC/USDT:USDT"),
            ("BTC-USD.csv", "BTC/USD"),
            ("ETH_BTC-1d.csv", "ETH/BTC"),
            ("WIF_FDUSD-1d.csv", "WIF/FDUSD"),
            ("BTCUSDT-1m-2024-01.zip", "BTC/USDT"),
            ("Binance_BTCUSDT_1h.csv", "BTC/USDT"),
            ("BTCUSDT.csv.gz", "BTC/USDT"),
        ],
    )
    def test_symbols_are_found_in_file_names(self, name: str, symbol: str) -> None:
        assert symbol_of(Path(name)) == symbol

    @pytest.mark.parametrize("name", ["prices.csv", "my_prices.csv", "1h.csv", "binance_BTC_USDT.csv", "XBTUSD_60.csv"])
    def test_a_name_that_tells_no_symbol_asks_for_one(self, name: str) -> None:
        with pytest.raises(BarsError, match=f"{name}: the name does not tell the symbol; say --symbol BTC/USDT"):
            symbol_of(Path(name))

    def test_the_symbol_given_wins_over_the_name(self, write: Write) -> None:
        path = write(HEADER, f"{START},2,3,1,2,9")
        assert read_file(path, "eth-usdt").label == "ETH/USDT 1h"
        with pytest.raises(BarsError, match="cannot split symbol"):
            read_file(path, "ETHER")

    @pytest.mark.parametrize(("step", "label"), [(1, "1m"), (15, "15m"), (60, "1h"), (1440, "1d"), (10080, "1w")])
    def test_a_timeframe_that_nobody_tells_is_the_step_of_the_bars(self, write: Write, step: int, label: str) -> None:
        monday = START + 7 * 24 * HOUR
        times = [monday + step * 60_000 * at for at in (0, 1, 4)]
        assert str(read_file(write(HEADER, *lines_at(times), name="BTCUSDT.csv")).timeframe) == label

    @pytest.mark.parametrize("offsets", [(0, 7, 14), (0, 60, 90 + 60), (0, 2880, 5760), (0, 0, 60)])
    def test_steps_that_tell_no_timeframe_ask_for_it(self, write: Write, offsets: tuple[int, ...]) -> None:
        times = [START + at * 60_000 for at in offsets]
        with pytest.raises(BarsError, match="its times do not tell the timeframe; say --timeframe 1h"):
            read_file(write(HEADER, *lines_at(times), name="BTCUSDT.csv"))

    def test_a_timeframe_finer_than_every_step_is_refused(self, write: Write) -> None:
        rows = [f"{START + at * 4 * HOUR},2,3,1,2,9" for at in range(11)]
        with pytest.raises(BarsError, match="no two bars are 1h apart, the shortest step is 240 minutes"):
            read_file(write(HEADER, *rows))

    def test_a_timeframe_coarser_than_the_bars_is_refused(self, write: Write) -> None:
        with pytest.raises(BarsError, match=r"line 3: bar 2024-01-01 01:00 UTC is not on the grid of 4h"):
            read_file(write(HEADER, *lines_at([START, START + HOUR, START + 2 * HOUR])), timeframe="4h")


class TestOrder:
    def test_rows_in_any_order_are_sorted(self, write: Write, three_bars: Bars) -> None:
        lines = lines_at([START, START + HOUR, START + 2 * HOUR])
        assert read_file(write(HEADER, lines[2], lines[0], lines[1])).equals(three_bars)

    def test_the_last_of_repeated_rows_counts(self, write: Write) -> None:
        rows = [f"{START},2,3,1,2,9", f"{START + HOUR},2,3,1,2,8", f"{START},2,3,1,2,9", f"{START},2,3,1,2,7"]
        file = read_bars(write(HEADER, *rows))
        assert file.bars.volume.tolist() == [7, 8]
        assert (file.rows, file.repeated, file.contradicted) == (4, 2, 2)

    @given(times=st.lists(st.integers(0, 12), min_size=1, max_size=30))
    def test_it_is_what_a_dictionary_would_keep(self, times: list[int]) -> None:
        rows = [f"{START + time * HOUR},1,9,1,1,{row}" for row, time in enumerate(times)]
        file = read_bars(Path("BTCUSDT-1h.csv"), content="\n".join([HEADER, *rows]).encode())
        held = {START + time * HOUR: float(row) for row, time in enumerate(times)}
        assert dict(zip(file.bars.open_time.tolist(), file.bars.volume.tolist(), strict=True)) == held
        assert file.repeated == file.contradicted == len(times) - len(held)


class TestFaults:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("1704070800000,2,3,1,x,9", r"line 4: close is 'x'; expected a number"),
            ("1704070800000,2,3,1,,9", r"line 4: bar 2024-01-01 01:00 UTC has no finite close"),
            ("1704070800000,2,3,1,2", r"line 4: 5 columns where 6 were expected: '1704070800000,2,3,1,2'"),
            ("1704070800000,2,3,1,5,9", r"line 4: bar 2024-01-01 01:00 UTC breaks low <= open, close <= high"),
            ("1704070800000,2,3,0,2,9", r"line 4: bar 2024-01-01 01:00 UTC has a price that is not above 0"),
            ("1704070800000,2,3,1,2,-9", r"line 4: bar 2024-01-01 01:00 UTC has a negative volume"),
            ("1704070800001,2,3,1,2,9", r"line 4: bar 2024-01-01 01:00 UTC is not on the grid of 1h"),
            ("1704070800000,2,inf,1,2,9", r"line 4: bar 2024-01-01 01:00 UTC has no finite high"),
        ],
    )
    def test_the_first_bad_row_is_named_by_its_line(self, write: Write, row: str, message: str) -> None:
        with pytest.raises(BarsError, match=rf"BTCUSDT-1h\.csv: {message}"):
            read_file(write(HEADER, f"{START},2,3,1,2,9", "", row, "1704074400000,2,3,1,2,9"))

    def test_a_bad_row_in_parquet_is_named_by_its_number(self, tmp_path: Path, three_bars: Bars) -> None:
        frame = three_bars.to_frame().iloc[::-1]
        frame.iloc[0, 3] = 99.0
        frame.to_parquet(tmp_path / "BTCUSDT-1h.parquet")
        with pytest.raises(BarsError, match=r"BTCUSDT-1h\.parquet: row 1: bar 2024-01-01 02:00 UTC breaks low"):
            read_file(tmp_path / "BTCUSDT-1h.parquet")

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ((HEADER,), "holds no bars"),
            (("",), "no columns found in the first 1 lines"),
            (("just some text", "in a file"), "no columns found in the first 2 lines"),
            (("price,open,high,low,close,volume", "1,2,3,1,2,9"), "no column of open times; found price, open"),
            (("time,open,high,low,close,size", f"{START},2,3,1,2,9"), "no column 'volume'; found time, open"),
            (
                ("time,open,high,low,close,volume,vol", f"{START},2,3,1,2,9,9"),
                "'volume' and 'vol' both look like volume",
            ),
            ((f"{START},2,3,1,2,9,1,1",), "line 1: 8 columns without a header; expected a header, or 6"),
        ],
    )
    def test_a_file_that_is_no_table_of_bars_is_refused(
        self, write: Write, lines: tuple[str, ...], message: str
    ) -> None:
        with pytest.raises(BarsError, match=f"BTCUSDT-1h.csv: .*{message}"):
            read_file(write(*lines))

    @pytest.mark.parametrize("suffix", ["parquet", "feather", "csv.gz", "zip"])
    def test_a_broken_file_is_named(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"BTCUSDT-1h.{suffix}"
        path.write_bytes(b"PK\x03\x04 not really")
        with pytest.raises(BarsError, match=rf"BTCUSDT-1h\.{suffix}: cannot be read \(.*\); is the file complete\?"):
            read_file(path)

    def test_a_truncated_gz_is_named(self, write: Write) -> None:
        path = write(HEADER, f"{START},2,3,1,2,9", name="BTCUSDT-1h.csv.gz")
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(BarsError, match="is the file complete"):
            read_file(path)

    def test_a_zip_with_several_tables_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "BTCUSDT-1h.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", HEADER)
            archive.writestr("b.csv", HEADER)
        with pytest.raises(BarsError, match=r"expected one CSV file in it, found 2: a\.csv, b\.csv"):
            read_file(path)

    def test_text_that_is_not_utf8_is_named_where_a_number_should_be(self, tmp_path: Path) -> None:
        path = tmp_path / "BTCUSDT-1h.csv"
        path.write_bytes(f"{HEADER}\n{START},2,3,1,2,".encode() + b"\xff\n")
        with pytest.raises(BarsError, match="line 2: volume is '\ufffd'; expected a number"):
            read_file(path)

    def test_a_missing_file_and_an_unknown_kind_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BarsError, match=r"BTCUSDT-1h\.csv: no such file"):
            read_file(tmp_path / "BTCUSDT-1h.csv")
        with pytest.raises(BarsError, match=r"unknown kind of file; expected one of \.csv"):
            read_file(tmp_path / "BTCUSDT-1h.xlsx")


class TestImporting:
    def test_an_import_says_what_it_did(self, tmp_path: Path, write: Write) -> None:
        store = BarStore(tmp_path / "bars")
        first = import_file(store, "kraken", write(HEADER, *lines_at([START, START + HOUR, START + 3 * HOUR])))
        assert (first.added, first.replaced, first.stored.missing) == (3, 0, 1)
        again = import_file(store, "kraken", write(HEADER, f"{START},2,3,1,2,5", f"{START + 2 * HOUR},2,3,1,2,5"))
        assert (again.added, again.replaced, again.stored.missing) == (1, 1, 0)
        assert again.summary == (
            "kraken BTC/USDT 1h: 1 bar added, 1 replaced, "
            "4 stored from 2024-01-01 00:00 UTC to 2024-01-01 03:00 UTC, 0 missing"
        )

    def test_a_file_with_one_bad_row_changes_nothing(self, tmp_path: Path, write: Write) -> None:
        store = BarStore(tmp_path / "bars")
        with pytest.raises(BarsError, match="line 4"):
            import_file(store, "kraken", write(HEADER, *lines_at([START, START + HOUR, 5])))
        assert store.list() == []

    def test_progress_is_told_per_stored_file(self, tmp_path: Path, make_bars: MakeBars) -> None:
        path = tmp_path / "BTCUSDT-1h.parquet"
        pq.write_table(make_bars(range(20_000)).to_arrow(), path)
        seen: list[tuple[int, int, str]] = []
        import_file(BarStore(tmp_path / "bars"), "kraken", path, progress=lambda *step: seen.append(step))
        assert seen[-1] == (3, 3, "BTC/USDT 1h 2026")


@pytest.mark.real
@pytest.mark.parametrize(
    "name", ["bitfinex/ETHUSD-1m", "binance/BTCUSDT-1h", "binance/ADAUSDT-4h", "binance-usdm/BTCUSDT-15m"]
)
def test_real_files_come_back_as_they_are(tmp_path: Path, real_file: Callable[[str], Path], name: str) -> None:
    path = real_file(name)
    store = BarStore(tmp_path)
    imported = import_file(store, path.parent.name, path)
    bars = store.read(path.parent.name, imported.stored.symbol, imported.stored.timeframe)
    frame = pd.read_parquet(path)
    assert bars.open_time.tolist() == frame["timestamp"].astype("int64").tolist()
    for column in frame.columns.drop("timestamp"):
        assert np.array_equal(bars[column], frame[column].to_numpy(dtype=float))


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
