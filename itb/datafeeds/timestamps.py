"""Times as files write them, to UTC milliseconds: the unit is recognised, what could mean two things is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from itb.datafeeds.files import Rows
from itb.market.bars import FloatArray, IntArray

if TYPE_CHECKING:
    import pyarrow as pa

_EARLIEST_S = 946_684_800  # 2000-01-01: no exchange is older
_LATEST_S = 4_102_444_800  # 2100-01-01
_UNITS_PER_S = (1, 10**3, 10**6, 10**9)


def times_of(rows: Rows, name: str) -> IntArray:
    """Read a column of open times, in UTC milliseconds.

    Numbers are seconds, milli-, micro- or nanoseconds, told apart by their size: the years 2000 to 2100 do not overlap
    from one unit to the next, so one file may even change unit (Binance did in 2025). Text is ISO 8601; without an
    offset it is UTC. Raises :class:`BarsError` that names file and row for anything else, such as ``01/02/2024`` or
    ``20240102``.
    """
    import pyarrow as pa

    column = rows.table[name]
    kind = column.type
    if column.null_count:
        raise rows.fault(_first(column.is_null()), f"{name} is empty; expected the open time of the bar")
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        return _milliseconds(column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_numbers(rows, name, column.to_numpy())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _from_text(rows, name, column)
    raise rows.fault(0, f"{name} is {column[0].as_py()!r}; expected the open time of the bar with its date")


def _milliseconds(column: pa.ChunkedArray) -> IntArray:
    import pyarrow as pa

    milliseconds: IntArray = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()).to_numpy()
    return milliseconds


def _from_numbers(rows: Rows, name: str, values: IntArray | FloatArray) -> IntArray:
    out = np.zeros(len(values), dtype=np.int64)
    is_read = np.zeros(len(values), dtype=bool)
    for per_s in _UNITS_PER_S:
        is_this = (values >= _EARLIEST_S * per_s) & (values < _LATEST_S * per_s)
        numbers = values[is_this]
        if per_s > 1000:
            out[is_this] = numbers // (per_s // 1000)
        else:
            out[is_this] = np.rint(numbers * (1000 // per_s))
        is_read |= is_this
    if not is_read.all():
        row = _first(~is_read)
        raise rows.fault(
            row,
            f"{name} {values[row]} is not a time of the years 2000 to 2100 in seconds, milli-, micro- or nanoseconds",
        )
    return out


def _from_text(rows: Rows, name: str, column: pa.ChunkedArray) -> IntArray:
    import pyarrow as pa

    for zone in ("UTC", None):  # Arrow reads only text with an offset into the one, only text without into the other
        try:
            return _milliseconds(column.cast(pa.timestamp("ns", zone)))
        except pa.ArrowInvalid:
            continue
    texts = column.to_pylist()
    out = np.zeros(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        try:
            time = datetime.fromisoformat(text.strip().removesuffix("UTC").strip())
        except ValueError:
            raise rows.fault(
                row, f"{name} {text!r} is not a time; expected a number or ISO 8601 such as 2024-03-01T00:00:00Z"
            ) from None
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        out[row] = round(aware.timestamp() * 1000)
    return out


def _first(flags: object) -> int:
    return int(np.asarray(flags).argmax())
