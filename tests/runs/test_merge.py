"""`itb data merge`: one file of bars and sources, touched only where its inputs changed."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.datafeeds.importers import read_file
from itb.errors import ConfigError
from itb.runs.market import load_market
from itb.runs.merge import merge

START, HOUR = 1_704_067_200_000, 3_600_000
SOURCES = (
    "sources=[{name='perp', exchange='other', symbol='BTC/USDT:USDT', columns=['close', 'volume']}, "
    "{name='funding', kind='table', file='funding.csv', time='event'}]"
)


@pytest.fixture
def place(workspace, stored, tmp_path):
    """Bars, a perpetual and settlements up to an hour, and the project that merges them."""

    def grow(hours: int, *settings, funding: float = 0.0001):
        stored(positions=range(hours))
        stored("other", "BTC/USDT:USDT", positions=range(50, hours))
        lines = [f"{START + hour * HOUR},{funding * (1 + hour / 1000)!r}" for hour in range(0, hours, 8)]
        (tmp_path / "funding.csv").write_text("\n".join(["time,funding_rate", *lines]))
        return workspace("data.exchange=mine", SOURCES, *settings)

    return grow


def test_the_file_holds_what_a_run_sees(place, tmp_path):
    project = place(300)
    said = merge(project)
    market = load_market(project, "BTC/USDT", run_id="r", command="test")
    file = tmp_path / "runs" / "merged" / "BTC_USDT-1h.parquet"
    table = pq.read_table(file)
    assert table.column_names == ["timestamp", *market.bars.columns]
    for name, values in market.bars.columns.items():
        assert np.array_equal(table[name].to_numpy(), values, equal_nan=True)
    assert table["perp_close"].null_count == 50
    assert said.lines == (
        "BTC/USDT 1h: 300 bars from 2024-01-01 00:00 UTC to 2024-01-13 11:00 UTC, 9 columns, 2 sources",
        "  Source perp begins late: 50 bars before 2024-01-03 03:00 UTC have no value.",
        f"  written to {file}",
    )
    perp, funding = said.table.rows
    assert perp[1:5] == ("perp", "250", "2024-01-03", "2024-01-13")
    assert perp[-2:] == ("at open + 1h", "83.33 %")
    assert funding[-2:] == ("at the event + 60 s", "100.00 %")
    assert said.data["merged"][0]["sources"][0]["covered"] == 250


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_made_of_the_same_is_not_touched(place, tmp_path, suffix):
    out = tmp_path / f"merged.{suffix}"
    project = place(200)
    merge(project, out)
    before = out.stat()
    said = merge(project, out)
    assert said.lines[-1] == f"  already in {out}"
    assert (out.stat().st_mtime_ns, out.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_rows_that_were_there_stay_where_inputs_only_grew(place, tmp_path):
    parquet, csv = tmp_path / "m.parquet", tmp_path / "m.csv"
    small = place(200)
    merge(small, parquet)
    merge(small, csv)
    rows, text = pq.read_table(parquet), csv.read_bytes()
    large = place(280)
    assert merge(large, parquet).lines[-1] == f"  80 bars added to {parquet}"
    assert merge(large, csv).lines[-1] == f"  80 bars added to {csv}"
    grown = pq.read_table(parquet)
    assert grown.slice(0, 200).replace_schema_metadata(None).equals(rows.replace_schema_metadata(None))
    assert csv.read_bytes().startswith(text)
    assert len(csv.read_bytes().splitlines()) == 281


def test_earlier_rows_that_changed_are_told(place, tmp_path):
    parquet, csv = tmp_path / "m.parquet", tmp_path / "m.csv"
    for out in (parquet, csv):
        merge(place(200), out)
    changed = place(200, funding=0.0002)
    assert merge(changed, parquet).lines[-1] == (
        f"  written anew, because earlier rows changed from 2024-01-01 00:00 UTC on, to {parquet}"
    )
    assert merge(changed, csv).lines[-1] == f"  written anew, because earlier rows changed, to {csv}"
    assert (
        merge(place(200, "data.to=2024-01-05", funding=0.0002), parquet)
        .lines[-1]
        .startswith("  written anew, with fewer bars, to")
    )
    assert "with other columns" in merge(place(200, "sources=[]"), parquet).lines[-2]


def test_the_csv_can_be_read_back_as_bars(place, tmp_path):
    out = tmp_path / "BTCUSDT-1h.csv"
    project = place(200)
    merge(project, out)
    bars = load_market(project, "BTC/USDT", run_id="r", command="test").bars
    again = read_file(out)
    assert np.array_equal(again["perp_close"], bars["perp_close"], equal_nan=True)
    assert again.open_time.tolist() == bars.open_time.tolist()


def test_a_place_that_cannot_be_is_refused(place, tmp_path):
    with pytest.raises(ConfigError, match=r"--out: .*\.xlsx: expected a \.parquet or a \.csv file, or a folder"):
        merge(place(60), tmp_path / "m.xlsx")
    with pytest.raises(ConfigError, match="is one file for 2 symbols; name a folder, or one --symbol"):
        merge(place(60, 'data.symbols=["BTC/USDT", "ETH/USDT"]'), tmp_path / "m.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written: .*; name another place with --out"):
        merge(place(60), tmp_path / "file" / "m.csv")


def test_merging_stops_at_the_hold_out_and_says_when_there_is_nothing_to_merge(workspace):
    said = merge(workspace("data.holdout_from=2023-01-10"))
    assert said.lines[0].startswith("BTC/USDT 1h: 216 bars from 2023-01-01 00:00 UTC to 2023-01-09 23:00 UTC")
    assert said.lines[-1] == "No [[sources]] are configured: the file holds the bars alone."
    assert said.table is None
