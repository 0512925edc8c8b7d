"""Any table with a time column: its times, and every column of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.datafeeds.files import open_rows
from itb.datafeeds.layouts import TIMES, plain
from itb.datafeeds.sources import SourceRows
from itb.datafeeds.timestamps import times_of
from itb.errors import BarsError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from itb.datafeeds.files import Rows
    from itb.market.bars import FloatArray

TABLE_TIMES = (*TIMES, "event_time", "funding_time", "calc_time", "snapshot_time")
"""What the time column of a table may be called, in any case and spelling."""


def read_table(path: Path, label: str) -> SourceRows:
    r"""Read a CSV, Parquet or Feather file, also ``.gz`` and ``.zip``, as the rows of a source, sorted by time.

    Every column of numbers is taken, as float64, an empty cell as NaN; text is left out. Times are read as those of
    bars are (:func:`times_of`). Raises :class:`BarsError` that names the file, and the row where there is one.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "funding.csv"
    ...     _ = path.write_text("timestamp,funding_rate,venue\n2024-01-01T08:00:00Z,0.0001,x\n")
    ...     rows = read_table(path, "funding")
    >>> rows.times.tolist(), {name: values.tolist() for name, values in rows.columns.items()}
    ([1704096000000], {'funding_rate': [0.0001]})
    """
    rows = open_rows(path, fewest_columns=2)
    if rows.table.num_rows == 0:
        raise BarsError(f"{rows.source}: holds no rows; found {_listed(rows)}")
    time = _time_column(rows)
    times = times_of(rows, time)
    columns = {
        name: _numbers(rows, name) for name in rows.table.column_names if name != time and _holds_numbers(rows, name)
    }
    if not columns:
        raise BarsError(f"{rows.source}: no column of numbers beside {time}; found {_listed(rows)}")
    order = np.argsort(times, kind="stable")
    return SourceRows(label, times[order], {name: values[order] for name, values in columns.items()})


def _time_column(rows: Rows) -> str:
    headers: dict[str, str] = {plain(header): header for header in reversed(rows.table.column_names)}
    found = next((headers[name] for name in TABLE_TIMES if name in headers), None)
    if found is None:
        raise BarsError(
            f"{rows.source}: no column of times; found {_listed(rows)}, expected one named timestamp, time, date or "
            "event_time"
        )
    return found


def _holds_numbers(rows: Rows, name: str) -> bool:
    import pyarrow as pa

    kind: pa.DataType = rows.table.schema.field(name).type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return plain(name) != "index_level_0" and any(test(kind) for test in tests)


def _numbers(rows: Rows, name: str) -> FloatArray:
    import pyarrow as pa

    values: FloatArray = rows.table[name].cast(pa.float64()).to_numpy()
    is_infinite = np.isinf(values)
    if is_infinite.any():
        raise rows.fault(int(is_infinite.argmax()), f"{name} is infinite; expected a number or nothing")
    return values


def _listed(rows: Rows) -> str:
    return ", ".join(rows.table.column_names[:15]) or "nothing"
