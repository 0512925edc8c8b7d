"""`itb runs list | show | reproduce`: what earlier runs left behind, and whether it comes out again."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itb.charts.data import Table
from itb.charts.metric_rows import label, written
from itb.charts.wording import number, percent
from itb.config import load_config
from itb.config.dump import config_hash
from itb.errors import ConfigError, RunError
from itb.ledger.metrics import Metrics, formulas
from itb.ledger.register import Opening
from itb.runs.backtest import compute_outcome
from itb.runs.capsule import CONFIG, MANIFEST, REPORT, TABLES, read_capsule, run_folders, table_hash, versions
from itb.runs.inputs import file_hash
from itb.runs.said import Said
from itb.runs.shared import compute_shared
from itb.runs.tables import run_tables, shared_tables

if TYPE_CHECKING:
    import pyarrow as pa

    from itb.config import Config
    from itb.ledger.register import Register
    from itb.runs.capsule import Capsule
    from itb.runs.workspace import Workspace

_COLUMNS = (
    "run", "when", "symbol", "timeframe", "strategy", "total return", "Sharpe", "trades", "bars", "hold-out"
)  # fmt: skip
_SHOWN = (
    "total_return", "annual_return", "volatility", "sharpe", "sortino", "max_drawdown", "max_drawdown_days", "exposure",
    "trades", "win_rate", "profit_factor", "fees", "final_equity",
)  # fmt: skip

_NOT_A_MANIFEST = (KeyError, TypeError, ValueError, AttributeError)


def list_runs(workspace: Workspace) -> Said:
    """List the finished runs, newest last; one that cannot be read is a line too."""
    told: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    damaged = 0
    for name in run_folders(workspace.runs):
        try:
            manifest = read_capsule(workspace.runs, name).manifest
            row = _row(name, manifest)
        except (RunError, *_NOT_A_MANIFEST) as error:
            damaged += 1
            why = _damage(workspace.runs / name, error)
            told.append({"run": name, "damaged": why})
            rows.append((name, f"damaged: {why}", *[""] * (len(_COLUMNS) - 2)))
        else:
            kept = ("run", "created", "symbol", "timeframe", "strategy", "metrics", "is_synthetic", "holdout_seen")
            told.append({key: manifest[key] for key in kept})
            rows.append(row)
    lines = () if rows else (f"No runs in {workspace.runs} yet: `itb backtest` makes one.",)
    if damaged:
        lines = (f"{damaged} damaged: delete the folder, or restore it from a backup.",)
    return Said({"runs": told}, lines, Table(_COLUMNS, tuple(rows)) if rows else None)


def _damage(folder: Path, error: Exception) -> str:
    if not (folder / MANIFEST).is_file():
        return f"{MANIFEST} is missing"
    return f"{MANIFEST} cannot be read" if isinstance(error, RunError) else f"{MANIFEST} is not complete"


def _row(name: str, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    metrics = _metrics(manifest["metrics"])
    return (
        name,
        str(manifest["created"]),
        str(manifest["symbol"]),
        str(manifest["timeframe"]),
        _short(manifest),
        percent(metrics.total_return),
        number(metrics.sharpe),
        str(metrics.trades),
        "synthetic" if manifest["is_synthetic"] else "real",
        "seen" if manifest["holdout_seen"] else "not seen",
    )


def _short(manifest: Mapping[str, Any]) -> str:
    return str(manifest["strategy"]["name"]).rpartition(":")[2]


def _metrics(kept: Mapping[str, Any]) -> Metrics:
    values: dict[str, Any] = {
        name: math.nan if value is None else value for name, value in kept.items() if name in formulas()
    }
    return Metrics(**values)


def _unreadable(capsule: Capsule, error: Exception) -> RunError:
    told = f"{type(error).__name__}: {error}"
    return RunError(
        f"run {capsule.run_id}: {MANIFEST} is damaged or of another version ({told}); to have the run again, use "
        f"`itb backtest -c {capsule.folder / CONFIG}`"
    )


def show_run(workspace: Workspace, run_id: str) -> Said:
    """Show one run: its figures beside buy-and-hold, its notes, and where its files are."""
    capsule = read_capsule(workspace.runs, run_id)
    manifest = capsule.manifest
    files = [capsule.folder / name for name in (REPORT, CONFIG, MANIFEST, *(f"{table}.parquet" for table in TABLES))]
    there = [str(file) for file in files if file.exists()]
    try:
        own, hold = _metrics(manifest["metrics"]), _metrics(manifest["buy_and_hold"])
        head = (
            f"{manifest['run']}: {_short(manifest)} on {manifest['symbol']} {manifest['timeframe']}, "
            f"{'synthetic' if manifest['is_synthetic'] else 'real'} bars, {manifest['trading_from']} to "
            f"{manifest['until']}"
        )
    except _NOT_A_MANIFEST as error:
        raise _unreadable(capsule, error) from None
    currency = str(manifest.get("symbols", [manifest["symbol"]])[0]).partition("/")[2].partition(":")[0]
    beside = {
        name: "" if name in ("trades", "win_rate", "profit_factor") else written(name, hold, currency)
        for name in _SHOWN
    }
    rows = tuple((label(name), written(name, own, currency), beside[name]) for name in _SHOWN)
    notes = [f"- {note}" for note in manifest.get("notes", ())]
    return Said(
        {**manifest, "folder": str(capsule.folder), "files": there},
        (head, *notes, "files:", *(f"  {file}" for file in there)),
        Table(("", "strategy", "buy and hold"), rows),
    )


def reproduce(workspace: Workspace, run_id: str) -> Said:
    """Run it again from its capsule, training included, and compare every table byte for byte.

    Sees the bars that the run saw, hold-out included where the run was let in, and leaves no trace: nothing new is
    learned by looking at the same figures twice. A run that the register does not know is the exception: where it
    reaches into a sealed hold-out, that is recorded. ``found`` when something differs.
    """
    capsule = read_capsule(workspace.runs, run_id)
    manifest = capsule.manifest
    config = capsule_config(workspace, capsule)
    try:
        window = (int(manifest["from_ms"]), int(manifest["to_ms"]))
        symbol, kept = str(manifest["symbol"]), dict(manifest["tables"])
        before = dict(manifest["inputs"])
    except _NOT_A_MANIFEST as error:
        raise _unreadable(capsule, error) from None
    _record_opening(workspace, capsule, window[1])
    with tempfile.TemporaryDirectory() as folder:
        runs = config.runs.model_copy(update={"root": Path(folder)})
        apart = config.changed(runs=runs)
        again = dataclasses.replace(
            workspace, config=apart, include_holdout=bool(manifest.get("include_holdout")), window=window, memo={}
        )
        tables, today = _again(again, manifest, symbol, capsule.run_id)
    compared = {name: _compare(capsule, name, kept.get(name), tables.get(name)) for name in {**kept, **tables}}
    differs = {name: how for name, how in compared.items() if how}
    why = list(_why(capsule, config, before, today)) if differs else []
    rows = tuple((name, "different" if how else "same", how) for name, how in compared.items())
    if not differs:
        line = f"{capsule.run_id}: reproduced, {len(rows)} tables are the same byte for byte."
    else:
        causes = "; ".join(why) or "for no reason that the capsule knows: same data, config, code and versions"
        line = f"{capsule.run_id}: {len(differs)} of {len(rows)} tables differ. Cause: {causes}."
    return Said(
        {"run": capsule.run_id, "same": not differs, "tables": compared, "why": why},
        (line,),
        Table(("table", "verdict", "first difference"), rows),
        found=bool(differs),
    )


def _again(
    workspace: Workspace, manifest: Mapping[str, Any], symbol: str, run_id: str
) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """Run it again and give its tables, and fingerprints of what it was made of."""
    if "symbols" in manifest:
        shared = compute_shared(workspace, run_id, command="reproduce")
        return shared_tables(shared.result, shared.traded), dict(shared.inputs)
    outcome = compute_outcome(workspace, symbol, run_id, command="reproduce")
    return run_tables(outcome.result, outcome.scores), dict(outcome.inputs)


def capsule_config(workspace: Workspace, capsule: Capsule) -> Config:
    """Load the capsule's config as seen from its project folder, free of today's environment and options."""
    project = Path(str(capsule.manifest.get("project", "")))
    home = project if project.is_absolute() and project.is_dir() else workspace.config.folder
    path = capsule.folder / CONFIG
    try:
        return load_config(path, folder=home, environ={})
    except ConfigError:
        # A strategy outside the project folder was named by a person at the command line. The same code may run again.
        named = capsule.manifest.get("strategy", {}).get("name", "")
        file = Path(named.rpartition(":")[0])
        known = capsule.manifest.get("inputs", {}).get("strategy code")
        if not (file.is_absolute() and file.is_file() and file_hash(file) == known):
            raise
        return load_config(path, folder=home, environ={}, options={"--strategy": named})


def _record_opening(workspace: Workspace, capsule: Capsule, to_ms: int) -> None:
    """Record that a run unknown to the register is let into a sealed hold-out by being run again."""
    manifest, register = capsule.manifest, workspace.register
    for market in manifest.get("markets", [str(manifest.get("market", ""))]):
        _record_opening_of(register, str(market), capsule.run_id, to_ms, workspace.clock())


def _record_opening_of(register: Register, market: str, run_id: str, to_ms: int, now_ms: int) -> None:
    seal = register.sealed(market)
    if seal is None or to_ms <= seal.from_ms:
        return
    known = {look.run_id for look in register.looks(market)} | {o.run_id for o in register.holdout_openings(market)}
    if run_id not in known:
        register.add_opening(Opening(market, seal.from_ms, now_ms, run_id, "reproduce"))


def _compare(capsule: Capsule, name: str, kept: str | None, again: pa.Table | None) -> str:
    """Say how a table differs from the capsule's; empty if it is the same."""
    if again is None:
        return "is not made any more"
    if kept is None:
        return "was not made then"
    if table_hash(again) == kept:
        return ""
    stored = capsule.table(name)
    if table_hash(stored) != kept:
        return f"{name}.parquet is not the file that the run wrote: it was changed since"
    return first_difference(stored, again)


def first_difference(one: pa.Table, other: pa.Table) -> str:
    """Name the first row and column in which two tables differ.

    >>> import pyarrow as pa
    >>> first_difference(pa.table({"a": [1, 2]}), pa.table({"a": [1, 3]}))
    'row 1, a: 2 then, 3 now'
    """
    if one.schema.remove_metadata() != other.schema.remove_metadata():
        return f"columns {', '.join(one.column_names)} then, {', '.join(other.column_names)} now"
    found: list[tuple[int, str]] = []
    for name in one.column_names:
        rows = zip(one[name].to_pylist(), other[name].to_pylist(), strict=False)
        row = next((row for row, (then, now) in enumerate(rows) if repr(then) != repr(now)), None)
        if row is not None:
            found.append((row, name))
    if found:
        row, name = min(found, key=lambda place: place[0])
        return f"row {row}, {name}: {one[name][row].as_py()!r} then, {other[name][row].as_py()!r} now"
    return f"{one.num_rows} rows then, {other.num_rows} now"


def _why(capsule: Capsule, config: Config, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Name everything that is not as it was."""
    manifest = capsule.manifest
    if config_hash(config) != manifest.get("config_hash"):
        yield f"{CONFIG} is not the config of the run: it was changed since"
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            yield f"{name} changed"
    then, today = dict(manifest.get("versions", {})), versions()
    for name in {**then, **today}:
        if then.get(name) != today.get(name):
            yield f"{name} was {then.get(name, 'not there')}, is {today.get(name, 'not there')}"
