"""Sealed Parquet files: any reader reads them, and no flipped bit goes unnoticed.

Pages carry Parquet's own checksums. Footers have none, and a damaged footer can end the whole process inside Arrow, so
ours holds a CRC-32 of itself, which is verified before Arrow sees the file.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from itb.datafeeds.atomic import replace_file
from itb.errors import BarsError
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

_KEY = b"itb.footer_crc32"
_BLANK = b"00000000"
_SEAL = re.compile(re.escape(_KEY) + rb"\x18\x08([0-9a-f]{8})")  # Thrift: the next field is a string of 8 bytes
_TAIL = 8  # length of the footer, then the magic word


class DamagedFileError(BarsError):
    """A file of the store is not as it was written, or cannot be read at all."""


class Extent(NamedTuple):
    """How many bars a file holds, and when the first and the last of them opens."""

    bars: int
    first_ms: int
    last_ms: int


def write_sealed(path: Path, bars: Bars) -> None:
    """Write bars (at least one) in place of the file: zstd, prices as byte streams, times as differences."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = bars.to_arrow()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"} | dict.fromkeys(bars.columns, "BYTE_STREAM_SPLIT"),
        write_statistics=["timestamp"],
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: _BLANK})
    content = bytearray(sink.getvalue())
    start, stop = _footer(content)
    seal = _SEAL.search(content, start, stop)
    assert seal is not None
    content[seal.start(1) : seal.end(1)] = f"{zlib.crc32(content[start:stop]):08x}".encode()
    replace_file(path, lambda file: file.write(content))


def read_sealed(path: Path, symbol: str, timeframe: Timeframe) -> Bars:
    """Read the bars of a file; raises :class:`DamagedFileError` that names it if it is not as it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = path.read_bytes()
        start, stop = _footer(content)
        _verify(content[start:stop])
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            return Bars.from_arrow(file.read(use_threads=False), symbol, timeframe)
    except (pa.ArrowException, OSError, ValueError, BarsError) as error:
        raise damaged(path, error) from error


def read_extent(path: Path) -> Extent:
    """Read the extent of a file from its footer alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            _verify(_read_footer(file))
            footer = pq.read_metadata(file)
        groups = [footer.row_group(group).column(0).statistics for group in range(footer.num_row_groups)]
        return Extent(footer.num_rows, min(at.min_raw for at in groups), max(at.max_raw for at in groups))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> DamagedFileError:
    """Say that a file of the store cannot be used, and what to do."""
    if isinstance(error, OSError) and error.errno is not None:
        return DamagedFileError(f"{path}: cannot read ({error.strerror}); check that the file is there and may be read")
    reason = " ".join(str(error).split())[:200]
    return DamagedFileError(
        f"{path}: damaged ({reason}). Move the file away and import or download these bars again; "
        "the other files of the store are not concerned."
    )


def _footer(content: bytes | bytearray) -> tuple[int, int]:
    if len(content) < _TAIL or content[-4:] != b"PAR1":
        raise ValueError(f"its {len(content)} bytes do not end as a Parquet file does")
    stop = len(content) - _TAIL
    start = stop - int.from_bytes(content[stop : stop + 4], "little")
    if start < 0:
        raise ValueError("its footer is longer than the file")
    return start, stop


def _read_footer(file: IO[bytes]) -> bytes:
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL))
    length = int.from_bytes(file.read(4), "little")
    file.seek(max(0, size - _TAIL - length))
    tail = file.read()
    start, stop = _footer(tail)
    file.seek(0)
    return tail[start:stop]


def _verify(footer: bytes) -> None:
    seal = _SEAL.search(footer)
    if seal is None:
        raise ValueError("it bears no seal of itb; files from elsewhere come in by `itb data import`")
    blank = footer[: seal.start(1)] + _BLANK + footer[seal.end(1) :]
    if zlib.crc32(blank) != int(seal[1], 16):
        raise ValueError("its footer does not match its checksum")
