"""Write the reference pages from the code while mkdocs builds: commands, settings, errors."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import itb.errors
from itb.config.model import Config
from itb.config.sections import Part

# Section of the config -> where the table of its parts stands.
PARTS = {
    "features": ("itb.indicators", "FEATURES"),
    "label": ("itb.mlmodels.labels", "LABELS"),
    "model": ("itb.mlmodels.algorithms", "ALGORITHMS"),
    "strategy": ("itb.strategies", "STRATEGIES"),
    "synthetic": ("itb.datafeeds.synthetic", "SyntheticMarket"),
}
GIVEN = {"synthetic": {"symbols", "timeframe"}, "model": {"seed"}}  # keys that are set elsewhere
NAMES = {
    "Decimal": "number",
    "Path": "path",
    "Span": "length (`180d`) or bars",
    "Timeframe": "timeframe",
    "bool": "true or false",
    "datetime": "date or time",
    "float": "number",
    "int": "whole number",
    "str": "text",
}
MEANINGS: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "meanings.toml").read_text())


def on_page_markdown(markdown: str, **_kwargs: Any) -> str:
    """Put what the code says where a page asks for it (called by mkdocs)."""
    pages = {"commands": commands, "configuration": configuration, "errors": errors}
    return re.sub(r"<!-- itb: (\w+) -->", lambda asked: pages[asked[1]](), markdown)


def errors() -> str:
    """Describe the error tree, root first."""
    lines = [
        "## The tree",
        "",
        "```",
        _between(inspect.getdoc(itb.errors) or "", "::", "A message").strip("\n"),
        "```",
        "",
    ]
    for error in error_classes():
        lines += [f"## {error.__name__}", "", _plain(inspect.getdoc(error)), ""]
        parent = error.__bases__[0]
        if parent is not Exception:
            lines += [f"A kind of `{parent.__name__}`.", ""]
    return "\n".join(lines)


def error_classes(root: type[Exception] = itb.errors.ItbError) -> list[type[Exception]]:
    """Give every error class, each after its parent."""
    return [root, *(found for child in root.__subclasses__() for found in error_classes(child))]


def configuration() -> str:
    """Describe every section and key of the config, and every part that a section can name."""
    return "\n".join(line for section in Config.model_fields for line in _section(section))


def config_keys() -> list[str]:
    """Give every key that a config file can hold, as ``section.key``; keys of parts as ``section.part.key``."""
    found = []
    for section in Config.model_fields:
        found += [f"{section}.{name}" for name, *_ in _own_keys(section)]
        found += [
            f"{section}.{part}.{name}"
            for part, kind in _parts(section).items()
            for name, *_ in _part_keys(section, kind)
        ]
    return found


def commands() -> str:
    """Describe every command, its arguments and its options."""
    lines: list[str] = []
    for name, command in command_tree():
        lines += [f"## {name}" if " " not in name else f"### {name}", "", _plain(command.help), ""]
        rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        lines += _table(("argument or option", "default", "what it does"), [row for row in rows if row])
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


def _parameter(parameter: Any) -> tuple[str, str, str] | None:
    if parameter.param_type_name == "argument":
        name = f"`{parameter.make_metavar(None) if parameter.metavar is None else parameter.metavar}`"
    else:
        name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    shown = "" if default is None or callable(default) or default is False or default == () else f"`{default}`"
    return name, shown, _plain(getattr(parameter, "help", None))


def _section(section: str) -> list[str]:
    is_list = section == "features"
    lines = [f"## {'[[' if is_list else '['}{section}{']]' if is_list else ']'}", "", _plain(_section_doc(section)), ""]
    rows = [(f"`{name}`", kind, default, what) for name, kind, default, what in _own_keys(section)]
    lines += _table(("key", "type", "default", "meaning"), rows)
    for name, kind in _parts(section).items():
        heading = [] if section == "synthetic" else [f"### {section}: {name}", "", _plain(inspect.getdoc(kind)), ""]
        parameters = [(f"`{key}`", type_, default, what) for key, type_, default, what in _part_keys(section, kind)]
        lines += heading + _table(("key", "type", "default", "meaning"), parameters)
    return lines


def _model(section: str) -> Any:
    annotation = Config.model_fields[section].annotation
    return get_args(annotation)[0] if get_args(annotation) else annotation


def _section_doc(section: str) -> str:
    return inspect.getdoc(_model(section)) or ""


def _own_keys(section: str) -> list[tuple[str, str, str, str]]:
    model = _model(section)
    if not issubclass(model, BaseModel):
        return _part_keys(section, model)
    return [
        (
            field.serialization_alias or field.alias or name,
            _type_name(field.annotation),
            "" if field.default is PydanticUndefined else _shown(field.default),
            _plain(field.description),
        )
        for name, field in model.model_fields.items()
    ]


def _parts(section: str) -> dict[str, Any]:
    if section not in PARTS or not issubclass(_model(section), Part):
        return {}
    module, name = PARTS[section]
    table = getattr(importlib.import_module(module), name)
    return table if isinstance(table, dict) else {"synthetic": table}


def _part_keys(section: str, kind: Any) -> list[tuple[str, str, str, str]]:
    settings = getattr(kind, "Settings", kind)
    meanings = MEANINGS.get(section, {}) | _meanings(kind) | _meanings(settings)
    types = _types(settings)
    return [
        (
            parameter.name,
            _type_name(types.get(parameter.name, parameter.annotation)),
            "" if parameter.default is inspect.Parameter.empty else _shown(parameter.default),
            meanings.get(parameter.name, ""),
        )
        for parameter in inspect.signature(settings).parameters.values()
        if parameter.name not in GIVEN.get(section, set())
    ]


def _types(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind.__init__)
    except NameError:  # a name that only type checkers import
        return {}


def _meanings(kind: Any) -> dict[str, str]:
    """Read the numpydoc ``Parameters`` of a class."""
    text = _between(inspect.getdoc(kind) or "", "Parameters\n----------\n", "\n\n")
    found = {}
    for names, meaning in re.findall(r"^(\S.*)\n((?:    .*\n?)+)", text, re.MULTILINE):
        for name in names.split(" : ")[0].split(", "):
            found[name] = _plain(" ".join(meaning.split()))
    return found


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    choices = [choice for choice in get_args(annotation) if choice not in (type(None), ...)]
    if not choices:
        name = getattr(annotation, "__name__", str(annotation))
        return NAMES.get(name, name)
    if all(isinstance(choice, str) for choice in choices):
        return " or ".join(f'`"{choice}"`' for choice in choices)
    inner = " or ".join(dict.fromkeys(_type_name(choice) for choice in choices))
    return f"list of {inner}" if get_origin(annotation) is tuple else inner


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{item}"' if isinstance(item, str) else str(item) for item in value) + "]`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value.plain() if hasattr(value, 'plain') else value}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    cells = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells] + [
        ""
    ]


def _plain(text: str | None) -> str:
    """Turn a docstring into Markdown: no examples, no numpydoc sections, no Sphinx roles."""
    prose = re.split(r"^(?:>>> |Parameters\n-+)", inspect.cleandoc(text or ""), maxsplit=1, flags=re.MULTILINE)[0]
    prose = re.sub(r":\w+:`(?:[\w.]+\.)?(\w+)`", r"`\1`", prose)
    return prose.replace("``", "`").replace("\f", "").strip()


def _between(text: str, start: str, end: str) -> str:
    after = text.partition(start)[2]
    return after.partition(end)[0] + "\n"
