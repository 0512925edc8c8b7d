"""`itb init` and `itb config`: the config of a project, written, checked and shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from itb.config import parts
from itb.config.dump import config_hash, dump_toml
from itb.config.schema import schema as config_schema
from itb.config.starter import starter
from itb.errors import BarsError, ConfigError
from itb.runs.said import Said

if TYPE_CHECKING:
    from pathlib import Path

    from itb.runs.workspace import Workspace


def init(workspace: Workspace, file: Path, *, force: bool = False) -> Said:
    """Write a commented config for the market that the options name; the last fifth of its bars is to be sealed."""
    if file.exists() and not force:
        raise ConfigError(f"{file}: is there already; edit it, name another file, or overwrite it with --force")
    data = workspace.config.data
    first, last = (None, None) if data.is_synthetic else _stored_range(workspace)
    text = starter(data.exchange, data.symbols, str(data.timeframe), first, last)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}; name another place") from None
    steps = ["itb config check", "itb backtest"]
    if not data.is_synthetic and first is None:
        steps.insert(0, "itb data download --days 400")
    lines = (f"Wrote {file}.", "Next: " + ", then ".join(f"`{step}`" for step in steps) + ".")
    return Said({"file": str(file), "next": steps}, lines)


def _stored_range(workspace: Workspace) -> tuple[int | None, int | None]:
    data = workspace.config.data
    try:
        stored = workspace.store.series(data.exchange, data.symbols[0], data.timeframe)
    except BarsError:
        return None, None
    return stored.first_ms, stored.last_ms


def check_config(workspace: Workspace) -> Said:
    """Build every part of the config once; raises :class:`itb.errors.ConfigError` with a line for each mistake."""
    config = workspace.config
    parts.check(config)
    where = "built-in defaults" if config.source is None else str(config.source)
    digest = config_hash(config)
    return Said(
        {"config": where, "hash": digest, "ok": True}, (f"{where}: every setting is fine (hash {digest[:12]}).",)
    )


def show_config(workspace: Workspace) -> Said:
    """Give every setting in force and who set it."""
    return Said(workspace.config.plain(), (dump_toml(workspace.config, origins=True).rstrip(),))


def schema(_workspace: Workspace) -> Said:
    """Give the JSON Schema of the config."""
    found = config_schema()
    return Said(found, (json.dumps(found, indent=1),))
