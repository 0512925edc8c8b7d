"""Find a strategy class by the name a person gave: built in, in a module, or in a file."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backtrader as bt

from itb.errors import StrategyError
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.signal_strategy import SignalStrategy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

STRATEGIES: dict[str, type[bt.Strategy]] = {"MLThreshold": MLThreshold, "SignalStrategy": SignalStrategy}


def load_strategy(
    name: str, folder: Path = Path(), modules: Mapping[str, ModuleType] | None = None
) -> type[bt.Strategy]:
    """Give the class that ``name`` names: a built-in, ``module:Class`` or ``path/to/file.py:Class``.

    Relative files are seen from ``folder``; ``modules``, by name, are looked in before those that can be imported. Only
    names a person typed, or files inside the project folder, should get here: the code is run. Raises
    :class:`itb.errors.StrategyError` that says what was looked for and where.

    >>> load_strategy("MLThreshold").__name__
    'MLThreshold'
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        if name in STRATEGIES:
            return STRATEGIES[name]
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"built in are {', '.join(STRATEGIES)}"
        raise StrategyError(f'strategy {name!r}: not found; {hint}; your own is "module:Class" or "file.py:Class"')
    if modules and place in modules:
        module = modules[place]
    elif place.endswith(".py"):
        module = import_file(folder / place, f"strategy {name!r}")
    else:
        module = _from_module(place, name)
    found = getattr(module, attribute, None)
    if found is None:
        own = [
            key for key, value in vars(module).items() if _is_strategy(value) and value.__module__ == module.__name__
        ]
        raise StrategyError(
            f"strategy {name!r}: {place} has no {attribute!r}; its strategies are {', '.join(own) or 'none'}"
        )
    if not _is_strategy(found):
        raise StrategyError(f"strategy {name!r}: {attribute} is not a backtrader.Strategy; derive the class from it")
    strategy: type[bt.Strategy] = found
    return strategy


def _is_strategy(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, bt.Strategy)


def _from_module(module: str, name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise StrategyError(f"strategy {name!r}: no module {error.name!r}; looked in the working folder too") from None
    except Exception as error:  # whatever a person's module raises on import is told, not swallowed
        raise StrategyError(f"strategy {name!r}: importing {module} failed: {_told(error)}") from error


class _FromSource(SourceFileLoader):
    """Reads the source each time: a cached compilation is stale when a file is rewritten within a second."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Refuse, which is how a loader says that there is no cache."""
        raise OSError(path)


def import_file(path: Path, asked: str) -> ModuleType:
    """Run a Python file as a module of its own; ``asked`` says in messages who named it.

    Raises :class:`itb.errors.StrategyError` when there is no such file or running it fails.
    """
    file = path.resolve()
    if not file.is_file():
        raise StrategyError(f"{asked}: no file {file}")
    unique = f"itb_strategy_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    loader = _FromSource(unique, str(file))
    spec = importlib.util.spec_from_file_location(unique, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # backtrader looks a class's module up there
    try:
        loader.exec_module(module)
    except Exception as error:  # as above
        del sys.modules[unique]
        raise StrategyError(f"{asked}: running {file.name} failed: {_told(error)}") from error
    return module


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
