"""`itb signals`: the configured signals of scores, as a file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.config import parts
from itb.config.plugins import load_plugins
from itb.datafeeds.tables import read_table
from itb.errors import ConfigError
from itb.market.bars import utc
from itb.runs.capsule import new_run_id, versions
from itb.runs.inputs import file_hash
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.outputs import CSV, PARQUET, Output, output
from itb.runs.said import Said
from itb.runs.signals import checked_signals, signal_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.indicators.signals import SignalSet
    from itb.market.bars import FloatArray, IntArray
    from itb.runs.workspace import Workspace


def write_signals(workspace: Workspace, scores: Path | None = None, out: Path | None = None) -> Said:
    """Write ``timestamp``, the scores that the signals read and the columns that they make.

    ``scores`` is a CSV or Parquet file with a column of times; without one the scores are those of the walk-forward,
    market by market. Flags are true, false, or empty where a score is. A file that was made of the same is left as it
    is.
    """
    config = workspace.config
    load_plugins(config)
    if not config.signals:
        raise ConfigError(
            config.complaint(("signals",), "there are none; write [[signals]], see docs/concepts/signals")
        )
    if scores is not None:
        return _said([_of_file(workspace, scores, out)])
    return _said([_of_market(workspace, symbol, out) for symbol in config.data.symbols])


def _of_file(workspace: Workspace, scores: Path, out: Path | None) -> dict[str, Any]:
    rows = read_table(scores, str(scores))
    made = parts.signal_set(workspace.config).names  # a file that was written before may be read again
    columns = {name: values for name, values in rows.columns.items() if name not in made}
    signals = checked_signals(workspace.config, columns)
    made_of = repr((file_hash(scores), signals, sorted(versions().items())))
    path = out if out is not None else workspace.runs / "signals" / f"{scores.name.split('.')[0]}{PARQUET}"
    if path.suffix not in {PARQUET, CSV}:
        path = path / f"{scores.name.split('.')[0]}{PARQUET}"
    file = Output(path, hashlib.sha256(made_of.encode()).hexdigest())
    return _written(file, str(scores), signals, rows.times, columns)


def _of_market(workspace: Workspace, symbol: str, out: Path | None) -> dict[str, Any]:
    config = workspace.config
    run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
    market = load_market(workspace, symbol, run_id=run_id, command="signals")
    scored = score_columns(workspace, market)
    signals = parts.signal_set(config)
    columns = {name: source.batch() for name, source in scored.scores.items() if name not in signals.names}
    file = output(workspace, "signals", market, out, scored.fingerprint, signals)
    return _written(file, market.bars.label, signals, market.bars.open_time, columns)


def _written(
    file: Output, title: str, signals: SignalSet, times: IntArray, columns: Mapping[str, FloatArray]
) -> dict[str, Any]:
    import pyarrow as pa

    facts = file.facts()
    is_new = facts is None
    if facts is None:
        made, kinds = signal_columns(signals, columns), signals(columns)
        flags = [name for name in made if kinds[name].dtype == bool]
        facts = {
            "rows": len(times),
            "columns": list(made),
            "first": utc(times[0]) if len(times) else "",
            "last": utc(times[-1]) if len(times) else "",
            "flags_up": {name: int((made[name] == 1).sum()) for name in flags},
        }
        table = {"timestamp": pa.array(times).cast(pa.timestamp("ms", "UTC"))}
        table |= {name: pa.array(np.asarray(columns[name]), from_pandas=True) for name in signals.inputs}
        for name, values in made.items():
            known = (
                pa.array(values == 1, mask=np.isnan(values)) if name in flags else pa.array(values, from_pandas=True)
            )
            table[name] = known
        file.write(pa.table(table), facts)
    return {"scores": title, **facts, "file": str(file.path), "is_new": is_new}


def _said(told: list[dict[str, Any]]) -> Said:
    lines = []
    for one in told:
        up = ", ".join(f"{name} {count:,}" for name, count in one["flags_up"].items())
        lines.append(
            f"{one['scores']}: {', '.join(one['columns'])} of {one['rows']:,} rows from {one['first']} to {one['last']}"
            + (f"; flags up: {up}" if up else "")
        )
        lines.append(f"  {'written to' if one['is_new'] else 'already in'} {one['file']}")
    return Said({"signals": told}, tuple(lines))
