"""Write the reference pages from the code while mkdocs builds: commands, settings, errors."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import itb.errors
from itb.config import catalogue
from itb.config.catalogue import Key, Table
from itb.config.toml import value

# What keys of parts mean whose docstrings do not list them.
MEANINGS: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "meanings.toml").read_text())


def on_page_markdown(markdown: str, **_kwargs: Any) -> str:
    """Put what the code says where a page asks for it (called by mkdocs)."""
    pages = {"commands": commands, "configuration": configuration, "errors": errors}
    return re.sub(r"<!-- itb: (\w+) -->", lambda asked: pages[asked[1]](), markdown)


def errors() -> str:
    """Describe the error tree, root first."""
    tree = (inspect.getdoc(itb.errors) or "").partition("::")[2].partition("\nA message")[0]
    lines = ["## The tree", "", "```", tree.strip("\n"), "```", ""]
    for error in error_classes():
        lines += [f"## {error.__name__}", "", _plain(inspect.getdoc(error)), ""]
        parent = error.__bases__[0]
        if parent is not Exception:
            lines += [f"A kind of `{parent.__name__}`.", ""]
    return "\n".join(lines)


def error_classes() -> list[type[Exception]]:
    """Give every error class of the package, wherever it is defined, each after its parent."""
    package = Path(itb.errors.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if re.search(r"^class \w+\(\w+Error\)", path.read_text(), re.MULTILINE):
            importlib.import_module(".".join(path.relative_to(package.parent).with_suffix("").parts))
    return _errors_below(itb.errors.ItbError)


def _errors_below(root: type[Exception]) -> list[type[Exception]]:
    return [root, *(found for child in root.__subclasses__() for found in _errors_below(child))]


def configuration() -> str:
    """Describe every section and key of the config, and every part that a section can name."""
    lines: list[str] = []
    for table in tables():
        if not table.part:
            lines += [f"## {table.title}", "", table.meaning, ""]
        elif table.part != table.section:
            lines += [f"### {table.section}: {table.part}", "", table.meaning, ""]
        rows = [(f"`{key.name}`", _kind(key.kind), _default(key), key.meaning) for key in table.keys]
        lines += _rows(("key", "type", "default", "meaning"), rows)
    return "\n".join(lines)


def tables() -> Iterator[Table]:
    """Give each section followed by the parts it can name."""
    parts = list(catalogue.parts())
    for section in catalogue.sections():
        yield section
        for part in parts:
            if part.section == section.section:
                shared = {"stack": "model", "shadows": "thresholds"}
                meanings = MEANINGS.get(shared.get(part.section, part.section), {})
                keys = (replace(key, meaning=key.meaning or meanings.get(key.name, "")) for key in part.keys)
                yield replace(part, keys=tuple(keys))


def commands() -> str:
    """Describe every command, its arguments and its options; options that all commands take come once."""
    tree = dict(command_tree())
    common = set.intersection(
        *({one.name for one in command.params} for command in tree.values() if not hasattr(command, "commands"))
    )
    leaf = next(command for command in tree.values() if not hasattr(command, "commands"))
    lines = ["## Options of every command", "", *_options(one for one in leaf.params if one.name in common)]
    for name, command in tree.items():
        lines += [f"{'##' if name.count(' ') < 2 else '###'} {name}", "", _plain(command.help), ""]
        lines += _options(one for one in command.params if one.name not in common)
    return "\n".join(lines)


def command_tree() -> Iterator[tuple[str, Any]]:
    """Give ``("itb data import", command)`` for every group and command that is not hidden, parents first."""
    typer = importlib.import_module("typer.main")
    yield from _below("itb", typer.get_command(importlib.import_module("itb.cli").app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _below(f"{name} {child}", inner)


def _options(parameters: Iterable[Any]) -> list[str]:
    shown = [_parameter(one) for one in parameters if not getattr(one, "hidden", False)]
    if any(default for _, default, _ in shown):
        return _rows(("argument or option", "default", "what it does"), shown)
    return _rows(("argument or option", "what it does"), [(name, what) for name, _, what in shown])


def _parameter(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        name = f"`{(parameter.metavar or parameter.name).upper()}`"
    else:
        name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    is_plain = default is not None and not callable(default) and default not in (False, (), [], "")
    return name, f"`{default}`" if is_plain else "", _plain(getattr(parameter, "help", None))


def _kind(kind: str) -> str:
    return re.sub(r'("\w+")', r"`\1`", kind)


def _default(key: Key) -> str:
    if key.is_required:
        return "must be given"
    return "not set" if key.default is None else f"`{value(key.default)}`"


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    cells = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in cells] + [
        ""
    ]


def _plain(text: str | None) -> str:
    """Turn a docstring into Markdown: no examples, no Sphinx roles."""
    prose = re.split(r"^>>> ", inspect.cleandoc(text or ""), maxsplit=1, flags=re.MULTILINE)[0]
    prose = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", prose)
    return prose.replace("``", "`").replace("\f", "").strip()
