import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
HEADER = "time,open,high,low,close,volume"


def lines_at(times: list[Any]) -> list[str]:
    return [f"{time},{body}" for time, body in zip(times, BODIES, strict=True)]


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
            (("",), "fewer than 5 columns in the first 1 lines"),
            (("just some text", "in a file"), "fewer than 5 columns in the first 2 lines"),
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
