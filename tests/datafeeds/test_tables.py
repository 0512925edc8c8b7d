"""Any table with a time column becomes rows: formats, names of times, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from itb.datafeeds.tables import read_table
from itb.errors import BarsError

TIMES = 1_704_067_200_000 + np.array([0, 28_800_000, 57_600_000])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather", "csv.gz"])
def test_every_format_gives_the_same_rows(suffix: str, tmp_path: Path) -> None:
    stamps = pd.to_datetime(TIMES, unit="ms", utc=True)
    frame = pd.DataFrame({"timestamp": stamps, "rate": [0.1, np.nan, 0.3], "count": [1, 2, 3], "text": ["a", "b", "c"]})
    path = tmp_path / f"f.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "feather":
        frame.to_feather(path)
    else:
        frame.to_csv(path, index=False)
    rows = read_table(path, "funding")
    assert rows.times.tolist() == TIMES.tolist()
    assert list(rows.columns) == ["rate", "count"]
    assert np.array_equal(rows.columns["rate"], [0.1, np.nan, 0.3], equal_nan=True)
    assert rows.columns["count"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["fundingTime", "calc_time", "Snapshot Time", "ts", "Event Time"])
def test_the_time_goes_by_many_names(name: str, write: Callable[..., Path]) -> None:
    path = write(f"rate;{name}", "0.2;1704096000", "0.1;1704067200", name="f.csv")
    rows = read_table(path, "x")
    assert (rows.times.tolist(), rows.columns["rate"].tolist()) == (TIMES[:2].tolist(), [0.1, 0.2])


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("when,rate", "1704067200,1"), r"no column of times; found when, rate, expected one named timestamp"),
        (("time,venue", "1704067200,x"), r"no column of numbers beside time; found time, venue"),
        (("time,rate", "yesterday,1"), r"line 2: time 'yesterday' is not a time"),
        (("time,rate", "1704067200,1", "1704067201,inf"), r"line 3: rate is infinite"),
        (("nothing",), r"fewer than 2 columns in the first 1 lines.*; expected CSV with a header, a time and numbers"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(lines: tuple, why: str, write: Callable[..., Path]) -> None:
    with pytest.raises(BarsError, match=why):
        read_table(write(*lines, name="f.csv"), "x")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BarsError, match=r"gone\.csv: no such file"):
        read_table(tmp_path / "gone.csv", "x")
