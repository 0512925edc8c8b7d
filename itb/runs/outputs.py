"""The files of single steps: where they go, what they say of themselves, and whether one is still good."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from itb.config.plugins import plugin_files
from itb.datafeeds.store import folder_name
from itb.errors import ConfigError
from itb.runs.capsule import versions
from itb.runs.inputs import file_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import IO

    import pyarrow as pa

    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

PARQUET, CSV = ".parquet", ".csv"
_KEY = b"itb"


@dataclass(frozen=True)
class Output:
    """One file of a step: Parquet, or CSV where its name ends so.

    ``made_of`` is a fingerprint of everything that decides its content; a CSV file cannot carry it.
    """

    path: Path
    made_of: str

    def facts(self) -> dict[str, Any] | None:
        """Give what the file that is there says of itself, ``None`` unless it was made of the same."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.path.suffix == CSV or not self.path.is_file():
            return None
        try:
            kept = json.loads((pq.read_metadata(self.path).metadata or {}).get(_KEY, b"{}"))
        except (OSError, ValueError, pa.ArrowException):
            return None
        return dict(kept["facts"]) if kept.get("made_of") == self.made_of else None

    def write(self, table: pa.Table, facts: Mapping[str, Any]) -> None:
        """Write the file, all of it or nothing; ``facts`` go into its metadata under ``itb``, which CSV does not have.

        Raises :class:`itb.errors.ConfigError` when it cannot be written there.
        """
        self.write_blocks(iter([table]), lambda: facts)

    def write_blocks(self, tables: Iterator[pa.Table], facts: Callable[[], Mapping[str, Any]]) -> None:
        """Write the tables one below the other, as they come; ``facts`` are asked for when all of them are written."""
        from itb.mlmodels.files import write_whole

        def write(stream: IO[bytes]) -> None:
            first = next(tables)
            with self._writer(stream, first.schema) as writer:
                for table in chain([first], tables):
                    writer.write_table(_without_nan(table) if self.path.suffix == CSV else table)
                if self.path.suffix != CSV:
                    writer.add_key_value_metadata({_KEY: json.dumps({"made_of": self.made_of, "facts": facts()})})

        try:
            write_whole(self.path, write)
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"{self.path}: cannot be written: {why}; name another place with --out") from None

    def _writer(self, stream: IO[bytes], schema: pa.Schema) -> Any:
        import pyarrow.parquet as pq
        from pyarrow import csv

        if self.path.suffix == CSV:
            return csv.CSVWriter(stream, schema, write_options=csv.WriteOptions(quoting_style="needed"))
        return pq.ParquetWriter(stream, schema, compression="zstd")


def _without_nan(table: pa.Table) -> pa.Table:
    """Leave cells empty that hold no number."""
    import pyarrow as pa

    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_floating(column.type):
            table = table.set_column(place, name, pa.array(column.to_numpy(), from_pandas=True))
    return table


def output(workspace: Workspace, step: str, market: Market, out: Path | None, *made_of: object) -> Output:
    """Say where the file of one market goes, and what decides its content.

    ``made_of`` are the parts that, with the bars and the versions of everything, decide what is in it.
    """
    plugins = [file_hash(path) for path in plugin_files(workspace.config)]
    text = repr((step, market.fingerprint, market.holdout.from_ms, made_of, plugins, sorted(versions().items())))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return Output(output_path(workspace, step, market, out), fingerprint)


def output_path(workspace: Workspace, step: str, market: Market, out: Path | None) -> Path:
    """Say where the file of one market goes.

    ``out`` names a ``.parquet`` or ``.csv`` file, for one symbol, or else a folder; without it the file goes to
    ``runs/<step>``. Raises :class:`itb.errors.ConfigError` when several symbols would go to one file.
    """
    symbols = workspace.config.data.symbols
    name = f"{folder_name(market.bars.symbol)}-{market.bars.timeframe}{PARQUET}"
    if out is None:
        return workspace.runs / step / name
    if out.suffix not in {PARQUET, CSV}:
        return out / name
    if len(symbols) > 1:
        raise ConfigError(f"--out: {out} is one file for {len(symbols)} symbols; name a folder, or one --symbol")
    return out


def series_name(workspace: Workspace, symbol: str) -> str:
    """Name one market's files, such as ``BTC_USDT-1h``."""
    return f"{folder_name(symbol)}-{workspace.config.data.timeframe}"
