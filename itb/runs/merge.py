"""`itb data merge`: the bars and what every source joins to them, as one file, and what each source covers."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from itb.charts.data import Table
from itb.charts.wording import percent
from itb.errors import ConfigError
from itb.market.bars import utc
from itb.runs.capsule import new_run_id
from itb.runs.market import load_market
from itb.runs.outputs import Output, series_name
from itb.runs.said import Said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from itb.datafeeds.sources import Joined
    from itb.market.bars import Bars
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

_LAYOUT = 1  # of the files; another one makes every file anew
_FILES = (".parquet", ".csv")
_HEAD = ("symbol", "source", "rows", "first", "last", "known", "coverage")


def merge(workspace: Workspace, out: Path | None = None) -> Said:
    """Write the bars of every configured symbol with the columns of its sources; say what each source covers.

    ``out`` is a ``.parquet`` or ``.csv`` file for one symbol, else a folder for Parquet files; without it they go to
    ``runs/merged``. Empty values are null. A file that was made of the same is not touched; where the inputs only
    grew, the rows that were there stay as they are, byte for byte, and it is said where they do not.
    """
    config = workspace.config
    lines: list[str] = []
    told: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for number, symbol in enumerate(config.data.symbols):
        place = _place(workspace, symbol, out)
        run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
        market = load_market(workspace, symbol, run_id=run_id, command="merge")
        workspace.report(number, len(config.data.symbols), f"merging {symbol}")
        done = _write(place, market)
        workspace.report(number + 1, len(config.data.symbols), f"merging {symbol}")
        bars = market.bars
        lines.append(
            f"{bars.label}: {len(bars):,} bars from {utc(bars.open_time[0])} to {utc(bars.open_time[-1])}, "
            f"{len(bars.columns)} columns, {len(market.sources)} sources"
        )
        lines += [f"  {note}" for joined in market.sources for note in joined.notes]
        lines.append(f"  {done} {place}")
        rows += [_row(bars, joined) for joined in market.sources]
        told.append(
            {
                "symbol": symbol,
                "file": str(place),
                "done": done,
                "bars": len(bars),
                "columns": list(bars.columns),
                "data_fingerprint": market.fingerprint,
                "holdout_seen": market.holdout_seen,
                "sources": [_facts(joined) for joined in market.sources],
            }
        )
    if not config.sources:
        lines.append("No [[sources]] are configured: the file holds the bars alone.")
    return Said({"merged": told}, tuple(lines), Table(_HEAD, tuple(rows)) if rows else None)


def _place(workspace: Workspace, symbol: str, out: Path | None) -> Path:
    name = f"{series_name(workspace, symbol)}.parquet"
    if out is None:
        return workspace.runs / "merged" / name
    if out.suffix.lower() not in _FILES:
        if out.suffix and not out.is_dir():
            raise ConfigError(f"--out: {out}: expected a .parquet or a .csv file, or a folder")
        return out / name
    count = len(workspace.config.data.symbols)
    if count > 1:
        raise ConfigError(f"--out: {out} is one file for {count} symbols; name a folder, or one --symbol")
    return out


def _write(path: Path, market: Market) -> str:
    """Write the file unless it is what it would be; say what was done to it."""
    table = _table(market.bars)
    if path.suffix.lower() == ".csv":
        return _write_csv(path, table)
    file = Output(path, hashlib.sha256(repr((_LAYOUT, market.fingerprint)).encode()).hexdigest())
    if file.facts() is not None:
        return "already in"
    before = _read(path)
    file.write(table, {"symbol": market.bars.symbol, "timeframe": str(market.bars.timeframe)})
    return "written to" if before is None else _grown(before, table)


def _table(bars: Bars) -> pa.Table:
    import pyarrow as pa

    stamps = pa.array(bars.open_time).cast(pa.timestamp("ms", "UTC"))
    return pa.table(
        {"timestamp": stamps, **{name: pa.array(values, from_pandas=True) for name, values in bars.columns.items()}}
    )


def _read(path: Path) -> pa.Table | None:
    """Give the rows that the file had, ``None`` where there was none or none of ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).replace_schema_metadata(None) if path.is_file() else None
    except (OSError, pa.ArrowException):
        return None


def _grown(before: pa.Table, table: pa.Table) -> str:
    if before.schema != table.schema:
        return "written anew, with other columns, to"
    kept = min(before.num_rows, table.num_rows)
    if table.num_rows >= before.num_rows and table.slice(0, kept).equals(before):
        return f"{table.num_rows - kept:,} bars added to"
    first = next(_changed(before, table, kept), None)
    if first is None:
        return "written anew, with fewer bars, to"
    return f"written anew, because earlier rows changed from {first} on, to"


def _changed(before: pa.Table, table: pa.Table, kept: int) -> Iterator[str]:
    """Give the first row that is not as it was, found by halves."""
    low, high = 0, kept
    if before.slice(0, kept).equals(table.slice(0, kept)):
        return
    while low < high:
        middle = (low + high) // 2
        if before.slice(0, middle + 1).equals(table.slice(0, middle + 1)):
            low = middle + 1
        else:
            high = middle
    yield utc(table["timestamp"][low].value)


def _write_csv(path: Path, table: pa.Table) -> str:
    import pyarrow.csv

    from itb.mlmodels.files import write_whole

    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    content = sink.getvalue()
    try:
        before = path.read_bytes() if path.is_file() else None
        if before == content:
            return "already in"
        write_whole(path, content)
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"{path}: cannot be written: {why}; name another place with --out") from None
    if before is None:
        return "written to"
    if content.startswith(before):
        return f"{content[len(before) :].count(10):,} bars added to"
    return "written anew, because earlier rows changed, to"


def _row(bars: Bars, joined: Joined) -> tuple[str, ...]:
    facts = _facts(joined)
    share = percent(joined.covered / len(bars), 2, signed=False)
    days = (facts["first"][:10], facts["last"][:10])
    return (bars.symbol, joined.name, f"{len(joined.rows):,}", *days, facts["known"], share)


def _facts(joined: Joined) -> dict[str, Any]:
    rows, join = joined.rows, joined.join
    length = "at the event" if join.timeframe is None else f"at open + {join.timeframe}"
    delay = f" + {join.delay_ms / 1000:g} s" if join.delay_ms else ""
    return {
        "name": joined.name,
        "columns": list(joined.names),
        "rows": len(rows),
        "first": utc(rows.times[0]) if len(rows) else "",
        "last": utc(rows.times[-1]) if len(rows) else "",
        "known": f"{length}{delay}",
        "covered": joined.covered,
        "notes": joined.notes,
    }
