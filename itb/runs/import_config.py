"""`itb import-config`: a config of intelligent-trading-bot as one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config import load_config
from itb.config.foreign.convert import convert
from itb.config.foreign.jsonc import read_jsonc
from itb.errors import ConfigError
from itb.mlmodels.files import write_whole
from itb.runs.said import Said

if TYPE_CHECKING:
    from pathlib import Path


def import_config(file: Path, out: Path, *, force: bool = False) -> Said:
    """Translate ``file`` and write ``out``; say what has no counterpart, and what our own check finds.

    ``found`` when the written config is not accepted as it stands. Nothing of the file is evaluated.
    """
    if out.exists() and not force:
        raise ConfigError(f"{out}: is there already; name another file with --out, or overwrite it with --force")
    converted = convert(_read(file))
    write_whole(out, converted.toml(file.name).encode())
    lost = [loss.line for loss in converted.losses]
    problems = _problems(out)
    lines = [f"Wrote {out}."]
    if lost:
        lines += [f"{len(lost)} of its settings have no counterpart, or are said another way:"]
        lines += [f"  {line}" for line in lost]
    if problems:
        lines += ["`itb config check` has something to say:", *(f"  {problem}" for problem in problems)]
    told = {"file": str(out), "no_counterpart": lost, "problems": problems}
    return Said(told, tuple(lines), found=bool(problems))


def _read(file: Path) -> dict[str, object]:
    try:
        values = read_jsonc(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}; name a JSON config") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}; expected JSON, comments and trailing commas allowed") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected one table in braces, was a {type(values).__name__}")
    return values


def _problems(out: Path) -> list[str]:
    from itb.runs.strategy import check_settings

    try:
        check_settings(load_config(out, environ={}))
    except ConfigError as error:
        return str(error).splitlines()
    return []
