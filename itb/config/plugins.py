"""The project's own Python files: run once, before anything is built from the config."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from itb.config.messages import closest
from itb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from itb.config.messages import Location
    from itb.config.model import Config


def load_plugins(config: Config) -> Mapping[str, ModuleType]:
    """Import the files that ``[plugins] files`` lists, in order, and give each module by the stem of its file.

    A strategy or feature ``Mine`` in ``plugins/own.py`` is then named ``own:Mine``. A file may also enter parts of its
    own into the tables that a config chooses from, such as ``itb.indicators.feature_set.FEATURES``. A file is run once
    a process, however often it is asked for. Raises :class:`itb.errors.StrategyError` when a file fails, and
    :class:`itb.errors.ConfigError` when two files have the same stem.
    """
    modules: dict[str, ModuleType] = {}
    for place, path in enumerate(plugin_files(config)):
        if path.stem in modules:
            other = modules[path.stem].__file__
            message = f"{path} has the same name as {other}, and a strategy is named by it; rename one of them"
            raise ConfigError(config.complaint(("plugins", "files", place), message))
        modules[path.stem] = _imported(path, path.stat().st_mtime_ns)
    return modules


def plugin_files(config: Config) -> tuple[Path, ...]:
    """Give the files that ``[plugins] files`` lists, as absolute paths."""
    return tuple(config.locate(file).resolve() for file in config.plugins.files)


def own_feature(config: Config, name: str, at: Location) -> type:
    """Give the feature class that ``file:name`` names, in one of the files of ``[plugins]``.

    Raises :class:`itb.errors.ConfigError` that says where it was looked for.
    """
    stem, _, wanted = name.partition(":")
    stem = stem.removesuffix(".py")
    modules = load_plugins(config)
    if stem not in modules:
        raise ConfigError(config.complaint(at, f'no {stem}.py in plugins.files; add it: files = ["{stem}.py"]'))
    found = vars(modules[stem]).get(wanted)
    if isinstance(found, type):
        return found
    if callable(found):
        way = "put @user_feature(warmup=...) above it, so that it says how far back it looks"
        raise ConfigError(config.complaint(at, f"{wanted} is a plain function; {way}"))
    own = [key for key, value in vars(modules[stem]).items() if hasattr(value, "warmup")]
    near = closest(wanted, own)
    hint = f'did you mean "{stem}:{near}"?' if near else f"its features are {', '.join(own) or 'none'}"
    raise ConfigError(config.complaint(at, f"no feature {wanted!r} in {stem}.py; {hint}"))


@cache
def _imported(path: Path, _changed_ns: int) -> ModuleType:
    from itb.strategies.loading import import_file

    return import_file(path, f"plugins.files {path.name!r}")
