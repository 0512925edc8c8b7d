"""Bars that a bot keeps: each once, in order, to the last bit, whatever ends the program."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.waves import sinus
from itb.errors import BarsError
from itb.live.bars.bar import rows_of
from itb.live.bars.kept import KeptBars, read_kept

BARS = sinus(bars=12)
ROWS = rows_of(BARS)
COLUMNS = tuple(BARS.columns)


def opened(path: Path) -> KeptBars:
    return KeptBars(path, BARS.symbol, BARS.timeframe, COLUMNS)


@given(cuts=st.lists(st.integers(0, 12), max_size=4), torn=st.integers(0, 47))
def test_any_pieces_that_overlap_and_are_torn_give_the_bars_once(cuts: list[int], torn: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars"
        for cut in cuts:
            opened(path).add(ROWS[:cut])
            with path.open("ab") as file:
                file.write(b"x" * torn)  # a record that was not written whole
        kept = opened(path)
        most = max(cuts, default=0)
        assert kept.last == (ROWS[most - 1].open_time if most else -1)
        kept.add(ROWS)
        assert kept.read().equals(BARS)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    opened(tmp_path / "bars").add(ROWS)
    with pytest.raises(BarsError, match=r"expected .*trades.*move the bot's folder away"):
        KeptBars(tmp_path / "bars", BARS.symbol, BARS.timeframe, (*COLUMNS, "trades"))


def test_no_file_is_no_bars_and_another_file_is_an_error(tmp_path: Path) -> None:
    assert read_kept(tmp_path / "bars") is None
    (tmp_path / "bars").write_bytes(b"\x00\xff")
    with pytest.raises(BarsError, match="not the bars of a bot"):
        read_kept(tmp_path / "bars")
