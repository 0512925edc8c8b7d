"""Find, read, layer and check a config."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from itb.config.layers import (
    Setting,
    from_assignments,
    from_environment,
    from_options,
    numbered,
    read_toml,
    stacked,
)
from itb.config.messages import Location, dotted, problems
from itb.config.model import Config, known_keys, lists, origin_of, parts
from itb.config.secrets import secret_keys
from itb.errors import ConfigError

CONFIG_NAME = "itb.toml"


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    options: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read a config: command line over environment over file over built-in defaults.

    Parameters
    ----------
    path
        The file; ``None`` takes ``./itb.toml``, or the built-in defaults where there is none (``source`` is then
        ``None``).
    overrides
        ``--set`` arguments, ``key=value`` with TOML values (plain text needs no quotes).
    options
        Options that are short for settings, such as ``{"--timeframe": "4h"}``; ``None`` means not given.
    folder
        Where relative paths are seen from; ``None`` takes the file's folder, or the working folder.
    environ
        The environment; ``None`` takes the process's own and the ``.env`` beside the config.

    Raises :class:`itb.errors.ConfigError` with one line for each thing that is wrong.

    >>> config = load_config(overrides=["data.timeframe=4h"], environ={})
    >>> str(config.data.timeframe)
    '4h'
    """
    source = path if path is not None else _found()
    tables = {} if source is None else read_toml(source)
    home = folder if folder is not None else source.parent if source is not None else Path()
    settings = [
        *from_environment(_environment(home) if environ is None else environ),
        *from_assignments(overrides),
        *from_options(options or {}),
    ]
    settings = [_anchored(numbered(setting, lists()), home) for setting in settings]
    _refuse_secrets(tables, source, settings)
    origins = dict.fromkeys(_leaves(tables), str(source)) | {setting.at: setting.origin for setting in settings}
    config = _checked(stacked(tables, settings, parts(), lists()), source, origins).of(source, home, origins)
    _refuse_foreign_code(config, settings)
    return config


def with_values(config: Config, values: Mapping[str, Any], origin: str) -> Config:
    """Give a config with some settings replaced; ``values`` are named as in ``--set``, ``origin`` says who asks.

    >>> changed = with_values(load_config(environ={}), {"label.horizon": 6}, "search")
    >>> changed.label.settings["horizon"], changed.complaint(("label", "horizon"), "no")
    (6, 'search: label.horizon: no')
    """
    settings = [numbered(Setting(tuple(name.split(".")), value, origin), lists()) for name, value in values.items()]
    origins = {**config.origins, **{setting.at: origin for setting in settings}}
    tables = stacked(config.plain(), settings, parts(), lists())
    return _checked(tables, config.source, origins).of(config.source, config.folder, origins)


def read_again(tables: dict[str, Any], config: Config, origin: str) -> Config:
    """Read what :meth:`itb.config.Config.plain` gave, with what the command line of ``config`` says over it.

    Paths are seen from the folder of ``config``, which also says where bars and runs are kept and how many processes
    may work; ``origin`` says where the tables were found.
    """
    origins = dict.fromkeys(_leaves(tables), origin)
    found = _checked(tables, None, origins).of(config.source, config.folder, origins)
    said = {at: who for at, who in config.origins.items() if who.startswith("--")}
    _refuse_foreign_code(found, [Setting(at, None, who, by_command=True) for at, who in said.items()])
    plain, values = config.plain(), {}
    for at in (("data", "root"), ("runs", "root"), ("walkforward", "workers"), *said):
        value: Any = plain
        for key in at:
            value = value[key]
        values[".".join(map(str, at))] = value
    return with_values(found, values, "--set")


def _found() -> Path | None:
    path = Path(CONFIG_NAME)
    return path if path.exists() else None


def _environment(folder: Path) -> dict[str, str]:
    variables = {name.lower(): value for name, value in os.environ.items() if name.lower().startswith("itb_")}
    env_file = folder / ".env"
    if not env_file.is_file():
        return variables
    from itb.config.environment import read_env_file

    return read_env_file(env_file) | variables


def _checked(tables: dict[str, Any], source: Path | None, origins: Mapping[Location, str]) -> Config:
    try:
        return Config.model_validate_json(json.dumps(tables, default=_iso), strict=True, by_name=False, by_alias=True)
    except ValidationError as error:
        keys = known_keys()
        lines = [
            f"{origin_of(at, origins, source)}: {dotted(at)}: {_elsewhere(at, message, keys)}"
            for at, message in problems(error, keys)
        ]
    raise ConfigError("\n".join(lines))


def _leaves(tables: Mapping[str, Any], at: Location = ()) -> Iterator[Location]:
    for key, item in tables.items():
        if isinstance(item, Mapping):
            yield from _leaves(item, (*at, key))
        else:
            yield (*at, key)


def _iso(value: Any) -> str:
    return str(value.isoformat())


def _elsewhere(at: Location, message: str, keys: Mapping[Location, list[str]]) -> str:
    """Where a key is unknown here but belongs to another section, name that one."""
    if not message.startswith("unknown key; expected"):
        return message
    own = [
        (*table, name)
        for table, names in keys.items()
        for name in names
        if table[1:] == () != table and name == str(at[-1])
    ]
    return f'unknown key; did you mean "{dotted(own[0])}"?' if own else message


def _refuse_secrets(tables: Mapping[str, Any], source: Path | None, settings: Sequence[Setting]) -> None:
    found = [(str(source), at) for at in secret_keys(tables)]
    for setting in settings:
        nested: Any = setting.value
        for key in reversed(setting.at):
            nested = {str(key): nested}
        found.extend((setting.origin, at) for at in secret_keys(nested))
    if found:
        raise ConfigError("\n".join(f"{origin}: {dotted(at)}: {_REFUSED}" for origin, at in found))


_REFUSED = (
    "looks like a secret, and secrets never stand in a config; "
    "take it out and set ITB_EXCHANGE_API_KEY or ITB_EXCHANGE_API_SECRET in the environment or in .env (chmod 600 .env)"
)


def _anchored(setting: Setting, home: Path) -> Setting:
    """Rewrite a file that the command line names (seen from the working folder) as seen from ``home``."""
    if setting.at == ("data", "file") and setting.by_command and isinstance(setting.value, str):
        return Setting(setting.at, _seen_from(home, setting.value), setting.origin, by_command=True)
    if setting.at != ("strategy", "name") or not setting.by_command or not _names_file(setting.value):
        return setting
    file, _, attribute = setting.value.rpartition(":")
    return Setting(setting.at, f"{_seen_from(home, file)}:{attribute}", setting.origin, by_command=True)


def _seen_from(home: Path, file: str) -> str:
    absolute = Path(file).resolve()
    inside = absolute.is_relative_to(home.resolve())
    return (absolute.relative_to(home.resolve()) if inside else absolute).as_posix()


def _names_file(name: object) -> bool:
    return isinstance(name, str) and name.rpartition(":")[0].endswith(".py")


def _refuse_foreign_code(config: Config, settings: Sequence[Setting]) -> None:
    """Code named by a config lies inside its folder; only a person at the command line may name other code."""
    named: list[tuple[Location, Path]] = [
        (("plugins", "files", i), file) for i, file in enumerate(config.plugins.files)
    ]
    by_command = any(setting.by_command and setting.at == ("strategy", "name") for setting in settings)
    if _names_file(config.strategy.name) and not by_command:
        named.append((("strategy", "name"), Path(config.strategy.name.rpartition(":")[0])))
    home = config.folder.resolve()
    lines = []
    for at, file in named:
        absolute = config.locate(file).resolve()
        if not absolute.is_relative_to(home):
            lines.append(config.complaint(at, f"{file} lies outside the project folder; move the file into {home}"))
        elif absolute.suffix != ".py" or not absolute.is_file():
            lines.append(config.complaint(at, f"expected a Python file, found none at {absolute}"))
    if lines:
        raise ConfigError("\n".join(lines))
