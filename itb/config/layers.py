"""Layers of settings, each over the one before: defaults, file, environment, command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from itb.config.messages import dotted
from itb.errors import ConfigError

ENV_PREFIX = "itb_"
ENV_SEPARATOR = "__"

OPTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "--from": (("data", "from"),),
    "--to": (("data", "to"),),
    "--bars": (("data", "file"),),
    "--exchange": (("data", "exchange"),),
    "--symbol": (("data", "symbols"),),
    "--timeframe": (("data", "timeframe"),),
    "--fee-bps": (("costs", "taker_fee_bps"), ("costs", "maker_fee_bps")),
    "--slippage-bps": (("costs", "slippage_bps"),),
    "--strategy": (("strategy", "name"),),
    "--sampler": (("search", "sampler"),),
    "--objective": (("search", "objectives"),),
    "--split": (("evaluation", "split"),),
}
"""Command-line options that are short for settings, and the settings they set."""


@dataclass(frozen=True)
class Setting:
    """One value, where it goes, and who said so (a file, a variable, an option)."""

    at: tuple[str | int, ...]
    value: Any
    origin: str
    by_command: bool = False


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise :class:`itb.errors.ConfigError` with line and column when it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `itb init` writes one, or name another with -c FILE") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the file in it, such as {path / 'itb.toml'}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).rpartition(" (at ")
        where = place.removesuffix(")") if what else "somewhere"
        raise ConfigError(f"{path}: {where}: {what or error}; strings need quotes, dates and numbers none") from None


def parse_value(text: str) -> Any:
    """Read a value in TOML's syntax; what is not TOML is plain text.

    >>> [parse_value(text) for text in ("3", "0.5", "true", "[1, 2]", "4h", "BTC/USDT", "")]
    [3, 0.5, True, [1, 2], '4h', 'BTC/USDT', '']
    """
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if list(table) == ["value"] else text


def from_assignments(assignments: Iterable[str]) -> list[Setting]:
    """Read ``--set`` arguments such as ``strategy.buy=0.3``.

    >>> from_assignments(["data.timeframe=4h"])[0].at
    ('data', 'timeframe')
    """
    found = []
    for text in assignments:
        key, equals, value = text.partition("=")
        at = tuple(part.strip() for part in key.split("."))
        if not equals or not all(at):
            raise ConfigError(f"--set {key}: expected key=value, such as --set data.timeframe=4h")
        found.append(Setting(at, parse_value(value.strip()), "--set", by_command=True))
    return found


def from_options(options: Mapping[str, Any]) -> list[Setting]:
    """Read options that are short for settings (see ``OPTIONS``); ``None`` and empty lists were not given."""
    found: list[Setting] = []
    for name, value in options.items():
        if value is None or (isinstance(value, Sequence) and not isinstance(value, str) and not value):
            continue
        plain = list(value) if isinstance(value, tuple) else value
        found.extend(Setting(at, plain, name, by_command=True) for at in OPTIONS[name])
    return found


def from_environment(environ: Mapping[str, str]) -> list[Setting]:
    """Read variables such as ``ITB_DATA__TIMEFRAME``; single underscores name no setting.

    >>> from_environment({"ITB_DATA__TIMEFRAME": "4h", "ITB_EXCHANGE_API_KEY": "-", "HOME": "/"})[0].at
    ('data', 'timeframe')
    """
    found = []
    for name, value in sorted(environ.items()):
        key = name.lower()
        if key.startswith(ENV_PREFIX) and ENV_SEPARATOR in key:
            at = tuple(key.removeprefix(ENV_PREFIX).split(ENV_SEPARATOR))
            if not all(at):
                raise ConfigError(f"{name.upper()}: expected ITB_SECTION__KEY, such as ITB_DATA__TIMEFRAME")
            found.append(Setting(at, parse_value(value.strip()), name.upper()))
    return found


def numbered(setting: Setting, lists: Mapping[str, Any]) -> Setting:
    """Turn the number of a list's item from text into a number; ``lists`` has the sections that are lists.

    >>> numbered(from_assignments(["labels.0.horizon=3"])[0], {"labels": ()}).at
    ('labels', 0, 'horizon')
    """
    section, *rest = setting.at
    if section not in lists or not rest:
        return setting
    number, *keys = rest
    if not (isinstance(number, str) and number.isdecimal() and keys):
        example = f"{section}.0.KEY=VALUE (the first is 0)"
        raise ConfigError(f"{setting.origin}: {dotted(setting.at)}: {section} is a list; expected {example}")
    return replace(setting, at=(section, int(number), *keys))


def stacked(
    file: Mapping[str, Any],
    settings: Iterable[Setting],
    parts: Mapping[str, tuple[str, Mapping[str, Any]]],
    lists: Mapping[str, tuple[str, Mapping[str, Any], list[dict[str, Any]]]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Lay settings over a file's tables.

    ``parts`` gives, for each section that names a part, the key that names it and the section's defaults; ``lists``
    gives, for each section that is a list of parts, that key, the defaults of an item and the items. A layer that
    names another part (another strategy, say) drops the keys of the part before, which mean nothing to the new one.

    >>> over = from_assignments(["strategy.name=Other", "strategy.speed=2"])
    >>> parts = {"strategy": ("name", {"name": "MLThreshold"})}
    >>> stacked({"strategy": {"name": "MLThreshold", "buy": 0.1}}, over, parts)
    {'strategy': {'name': 'Other', 'speed': 2}}
    >>> over = [numbered(setting, {"labels": ()}) for setting in from_assignments(["labels.1.horizon=3"])]
    >>> stacked({"labels": [{"horizon": 1}]}, over, {}, {"labels": ("kind", {}, [])})
    {'labels': [{'horizon': 1}, {'horizon': 3}]}
    """
    tables: dict[str, Any] = _copied(file)
    named = {**parts, **{name: (selector, item) for name, (selector, item, _) in lists.items()}}
    selectors = {name: selector for name, (selector, _) in named.items()}

    def rank(setting: Setting) -> tuple[bool, bool, bool]:  # a whole list goes before what is set in its items
        is_item = setting.at[0] in lists and len(setting.at) > 1
        return setting.by_command, is_item, not _names_part(setting, selectors)

    for setting in sorted(settings, key=rank):
        *parents, key = setting.at
        section = str(setting.at[0])
        if parents and section in parts:
            tables.setdefault(section, dict(parts[section][1]))
        if parents and section in lists:
            _item(tables.setdefault(section, _copied(lists[section][2])), setting)
        table = _inner(tables, parents, setting)
        if _names_part(setting, selectors) and table.get(str(key), named[section][1].get(str(key))) != setting.value:
            table.clear()
        table[str(key)] = setting.value
    return tables


def _names_part(setting: Setting, selectors: Mapping[str, str]) -> bool:
    section, *rest = setting.at
    return bool(rest) and rest[-1] == selectors.get(str(section)) and all(isinstance(part, int) for part in rest[:-1])


def _item(items: Any, setting: Setting) -> None:
    """Make room for one more item, where a setting speaks of the one behind the last."""
    section, number = setting.at[:2]
    if not isinstance(items, list):
        raise ConfigError(f"{setting.origin}: {dotted(setting.at)}: {section} is not a list; write [[{section}]]")
    assert isinstance(number, int)
    if number > len(items):
        last = f"the last is {section}.{len(items) - 1}" if items else "there is none"
        raise ConfigError(f"{setting.origin}: {section}.{number}: {last}, so expected at most {section}.{len(items)}")
    if number == len(items):
        items.append({})


def _inner(tables: dict[str, Any], parents: Sequence[str | int], setting: Setting) -> dict[str, Any]:
    table: Any = tables
    for depth, parent in enumerate(parents, start=1):
        inner = table[parent] if isinstance(parent, int) else table.setdefault(parent, {})
        is_list = depth < len(parents) and isinstance(parents[depth], int)
        if not isinstance(inner, list if is_list else dict):
            whole = dotted(tuple(parents[:depth]))
            raise ConfigError(f"{setting.origin}: {dotted(setting.at)}: {whole} is not a table; set {whole} whole")
        table = inner
    found: dict[str, Any] = table
    return found


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
