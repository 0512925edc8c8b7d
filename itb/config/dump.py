"""A config as text: TOML that loads back to it, and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from itb.config.messages import Location
from itb.config.model import Config, origin_of
from itb.config.toml import to_toml

_IMMATERIAL = {"data": ("root",), "walkforward": ("workers",), "runs": ("root",)}


def config_hash(config: Config) -> str:
    """Fingerprint what can change a result, as 64 hexadecimal digits.

    Folders and the number of workers cannot, and do not count; neither does the order of keys.

    >>> from itb.config import load_config
    >>> config_hash(load_config(overrides=["runs.root=else"], environ={})) == config_hash(Config())
    True
    """
    return hashlib.sha256(json.dumps(material(config), sort_keys=True).encode()).hexdigest()


def material(config: Config) -> dict[str, Any]:
    """Give the tables of a config without what cannot change a result.

    >>> sorted(set(Config().plain()) - set(material(Config())))
    ['search']
    """
    tables = config.plain()
    for section, names in _IMMATERIAL.items():
        for name in names:
            tables[section].pop(name)
    del tables["search"]  # it says what is tried, not what a run is
    return tables


def dump_toml(config: Config, *, origins: bool = False) -> str:
    """Write every setting in force as TOML that loads back to an equal config; keys that are not set are left out.

    ``origins`` adds to each key who set it. The keys of parts are those that were given: what a part takes by default
    stands in its own definition.

    >>> print(dump_toml(Config()).splitlines()[1])
    exchange = "synthetic"
    """
    tables = config.plain()
    return to_toml(tables, notes_of(config, tables) if origins else {})


def notes_of(config: Config, tables: Mapping[str, Any]) -> dict[Location, str]:
    """Say of each key who set it."""
    return {at: _origin(config, at) for at in _leaves(tables)}


def _origin(config: Config, at: Location) -> str:
    return origin_of(at, config.origins, None).replace("built-in defaults", "default")


def _leaves(tables: Mapping[str, Any], at: Location = ()) -> Iterator[Location]:
    for key, item in tables.items():
        if isinstance(item, Mapping):
            yield from _leaves(item, (*at, key))
        elif isinstance(item, list) and item and isinstance(item[0], Mapping):
            for number, inner in enumerate(item):
                yield from _leaves(inner, (*at, key, number))
        else:
            yield (*at, key)
