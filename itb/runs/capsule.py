"""Capsules: a folder a run, with everything needed to look at it, run it again and compare."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import itb
from itb.config.dump import dump_toml
from itb.datafeeds.atomic import sync_folder
from itb.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from itb.config import Config

MANIFEST, CONFIG, REPORT = "capsule.json", "config.toml", "report.html"
TABLES = ("scores", "trades", "fills", "orders", "equity", "positions")
_PACKAGES = ("backtrader", "lightgbm", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "ta-lib")


def new_run_id(now_ms: int, symbol: str, timeframe: object) -> str:
    """Make the name of a run: when, what, and four random letters against a clash.

    >>> new_run_id(0, "BTC/USDT", "1h")[:-4]
    '19700101-000000-btcusdt-1h-'
    """
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{series_of(symbol)}-{timeframe}-{secrets.token_hex(2)}"


def series_of(symbol: str) -> str:
    """Give a symbol as it stands in the name of a run.

    >>> series_of("BTC/USDT:USDT")
    'btcusdtusdt'
    """
    return "".join(letter for letter in symbol.lower() if letter.isalnum())


def versions() -> dict[str, str]:
    """Versions of everything that can move a number."""
    found = {"itb": itb.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class Capsule:
    """One run's folder; ``manifest`` is what ``capsule.json`` says."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        """Name of the run, which is the folder's."""
        return self.folder.name

    @property
    def report(self) -> Path:
        """The report, whether or not it was written."""
        return self.folder / REPORT

    def table(self, name: str) -> pa.Table:
        """Read one of the run's tables; raise :class:`itb.errors.RunError` when the run has none."""
        import pyarrow.parquet as pq

        path = self.folder / f"{name}.parquet"
        if not path.exists():
            have = [table for table in TABLES if (self.folder / f"{table}.parquet").exists()]
            raise RunError(f"run {self.run_id}: has no table {name!r}; it has {', '.join(have) or 'none'}")
        return pq.read_table(path)


def write_capsule(
    folder: Path, config: Config, manifest: Mapping[str, Any], tables: Mapping[str, pa.Table], report: str | None = None
) -> Capsule:
    """Write a capsule, all of it or nothing: it is built beside its place and moved there in one step."""
    import pyarrow.parquet as pq

    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, table in tables.items():
        pq.write_table(table, draft / f"{name}.parquet", compression="zstd")
    (draft / CONFIG).write_text(dump_toml(config), encoding="utf-8")
    if report is not None:
        (draft / REPORT).write_text(report, encoding="utf-8", newline="\n")
    hashes = {name: table_hash(table) for name, table in tables.items()}
    full = {**manifest, "versions": versions(), "tables": hashes}
    text = json.dumps(full, indent=1, default=str)
    (draft / MANIFEST).write_text(text, encoding="utf-8")
    for file in draft.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    sync_folder(draft)
    draft.replace(folder)
    sync_folder(folder.parent)
    return Capsule(folder, json.loads(text))


def table_hash(table: pa.Table) -> str:
    """Fingerprint a table's names, types and values, whatever file it came from."""
    import pyarrow as pa

    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for batch in table.combine_chunks().to_batches():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema.remove_metadata()) as writer:
            writer.write_batch(batch.replace_schema_metadata(None))
        digest.update(sink.getvalue())
    return digest.hexdigest()


def read_capsule(root: Path, run_id: str) -> Capsule:
    """Find a run by its name or the beginning of it; ``last`` is the newest.

    Raises :class:`itb.errors.RunError` when there is none, or several begin so.
    """
    known = run_ids(root)
    if run_id == "last" and known:
        return _read(root / known[-1])
    exact = [name for name in known if name == run_id] or [name for name in known if name.startswith(run_id)]
    if len(exact) == 1:
        return _read(root / exact[0])
    if exact:
        raise RunError(f"run {run_id!r}: {len(exact)} runs begin so: {', '.join(exact[:5])}; write more of the name")
    raise RunError(f"run {run_id!r}: not in {root}; `itb runs list` shows the {len(known)} runs there are")


def run_ids(root: Path) -> list[str]:
    """Names of the finished runs, oldest first."""
    if not root.is_dir():
        return []
    return sorted(folder.name for folder in root.iterdir() if (folder / MANIFEST).is_file() and folder.name[0] != ".")


def run_folders(root: Path) -> list[str]:
    """Names of all folders that a run left, those without a readable manifest included, oldest first."""
    files = (MANIFEST, CONFIG, REPORT, *(f"{table}.parquet" for table in TABLES))
    if not root.is_dir():
        return []
    return sorted(
        folder.name for folder in root.iterdir() if folder.name[0] != "." and any((folder / f).exists() for f in files)
    )


def _read(folder: Path) -> Capsule:
    try:
        return Capsule(folder, json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(
            f"run {folder.name}: {MANIFEST} cannot be read ({error}); delete the folder and run again"
        ) from None
