"""Open a file of bars, whatever its format, as a table whose rows can be named in messages."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from itb.errors import BarsError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = (".csv", ".txt", ".tsv")
PACKED = (".zip", ".gz")
PARQUET = (".parquet", ".pq")
FEATHER = (".feather", ".ft", ".arrow")
SUFFIXES = (*TEXT, *PACKED, *PARQUET, *FEATHER)

HEADERLESS = {
    6: ("open_time", "open", "high", "low", "close", "volume"),
    7: ("open_time", "open", "high", "low", "close", "volume", "trades"),  # Kraken's archive
    12: (  # Binance's archive
        *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades"),
        *("taker_buy_base", "taker_buy_quote", "ignore"),
    ),
}
IN_SAMPLE = "_in_sample"
"""What the column is called, behind its score's name, that says which scores models gave of bars they learned from."""
_PREAMBLE = 5
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Rows:
    """The table of a file; ``lines`` holds the number of each row's line where the file is text."""

    source: str
    table: pa.Table
    content: bytes | None = None
    first_line: int = 0

    def fault(self, row: int, text: str) -> BarsError:
        """Say what is wrong with one row (counted from 0), named as an editor shows it."""
        if self.content is None:
            return BarsError(f"{self.source}: row {row + 1}: {text}")
        filled = (number for number, line in enumerate(self.content.splitlines(), start=1) if line.strip())
        numbers = (number for number in filled if number >= self.first_line)
        line = next((number for place, number in enumerate(numbers) if place == row), self.first_line + row)
        return BarsError(f"{self.source}: line {line}: {text}")


def open_rows(path: Path, content: bytes | None = None, *, fewest_columns: int = 5) -> Rows:
    """Read a file (or ``content``, named like the file ``path``) into a table.

    CSV with or without header, also inside ``.gz`` or as the only text file of a ``.zip``; Parquet; Feather. A line of
    text with fewer than ``fewest_columns`` columns is taken for a preamble. Raises :class:`BarsError` that names the
    file, and the line where there is one; also for scores that are marked as given in sample, whatever they are read
    for: as bars, as a source or as scores they would carry later bars into earlier ones.
    """
    rows = _opened(path, content, fewest_columns)
    _refuse_in_sample(rows)
    return rows


def _opened(path: Path, content: bytes | None, fewest_columns: int) -> Rows:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BarsError(f"{path}: unknown kind of file; expected one of {', '.join(SUFFIXES)}")
    try:
        content = path.read_bytes() if content is None else content
        if suffix in PARQUET or suffix in FEATHER:
            return Rows(str(path), _read_columnar(content, suffix))
        source, text = _unpacked(path, content, suffix)
    except FileNotFoundError:
        raise BarsError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise BarsError(f"{path}: cannot be read ({error}); is the file complete?") from error
    return _read_text(source, text, fewest_columns)


def _refuse_in_sample(rows: Rows) -> None:
    """Refuse scores beside which a column says that models had learned from the bars."""
    marked = next((name for name in rows.table.column_names if name.endswith(IN_SAMPLE)), None)
    if marked is not None:
        raise BarsError(
            f"{rows.source}: holds retrospective scores (column {marked}), of models that had learned from later bars; "
            "they are there to be looked at. Take those of `itb walkforward`, or of `itb predict` without --in-sample"
        )


def _read_columnar(content: bytes, suffix: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet as pq

    buffer = pa.BufferReader(content)
    return pq.ParquetFile(buffer).read() if suffix in PARQUET else pyarrow.feather.read_table(buffer)


def _unpacked(path: Path, content: bytes, suffix: str) -> tuple[str, bytes]:
    if suffix == ".gz":
        return str(path), gzip.decompress(content)
    if suffix != ".zip":
        return str(path), content
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = [name for name in archive.namelist() if name.lower().endswith(TEXT) and "__MACOSX" not in name]
        if len(members) != 1:
            found = ", ".join(archive.namelist()[:5]) or "nothing"
            raise ValueError(f"expected one CSV file in it, found {len(members)}: {found}")
        return f"{path}!{members[0]}", archive.read(members[0])


def _read_text(source: str, content: bytes, fewest_columns: int) -> Rows:
    import pyarrow as pa
    import pyarrow.csv

    number, header, delimiter = _first_row(source, content, fewest_columns)
    fields = header.split(delimiter)
    names: list[str] | None = None
    if _NUMBER.fullmatch(fields[1].strip('"')):
        names = [*HEADERLESS.get(len(fields), ())]
        if not names:
            raise BarsError(
                f"{source}: line {number}: {len(fields)} columns without a header; expected a header, or 6 columns "
                "(time, open, high, low, close, volume), 7 (Kraken) or 12 (Binance)"
            )
    wrong: list[str] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        lines = content.splitlines()
        place = next((at for at, line in enumerate(lines, start=1) if line.strip() == row.text.strip().encode()), 0)
        wrong.append(
            f"line {place}: {row.actual_columns} columns where {row.expected_columns} were expected: {row.text[:60]!r}"
        )
        return "error"

    read = pyarrow.csv.ReadOptions(use_threads=False, skip_rows=number - 1, column_names=names)
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=remember)
    try:
        table = pyarrow.csv.read_csv(pa.BufferReader(content), read_options=read, parse_options=parse)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise BarsError(f"{source}: {wrong[0] if wrong else error}") from error
    return Rows(source, table, content, number if names else number + 1)


def _first_row(source: str, content: bytes, fewest_columns: int) -> tuple[int, str, str]:
    """Give number, text and delimiter of the header or, without one, of the first bar."""
    lines = content[:65_536].decode("utf-8-sig", errors="replace").splitlines()[: _PREAMBLE + 1]
    for number, line in enumerate(lines, start=1):
        delimiter = max(",;\t|", key=line.count)
        if line.count(delimiter) >= fewest_columns - 1:
            return number, line, delimiter
    raise BarsError(
        f"{source}: fewer than {fewest_columns} columns in the first {len(lines)} lines"
        f"{', such as ' + repr(lines[0][:60]) if lines else ''}; expected CSV with "
        + ("time, open, high, low, close and volume" if fewest_columns > 2 else "a header, a time and numbers")
    )
