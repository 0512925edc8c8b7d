"""Every key a config file can hold, with its type, default and meaning: what schema, starter and documentation show."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from itb.config.messages import dotted
from itb.config.model import Config, lists
from itb.config.parts import SECTIONS, parameters, registry
from itb.config.sections import Part, Section
from itb.config.values import Length
from itb.market.span import Span
from itb.market.timeframe import Timeframe

_KINDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    Decimal: "number",
    str: "text",
    Path: "path",
    datetime: "date or time",
    Timeframe: "timeframe",
    Span: "length or bars",
    Length: "length",
}


@dataclass(frozen=True)
class Key:
    """One key. ``default`` is as the file writes it, ``None`` where nothing is set; a required key has none."""

    name: str
    kind: str
    default: Any
    meaning: str
    is_required: bool = False
    example: Any = None


@dataclass(frozen=True)
class Table:
    """One table of the file: a section, or (``part`` is its name) a part that a section can name.

    ``owner`` is the class that defines the keys.
    """

    section: str
    part: str
    owner: type
    meaning: str
    keys: tuple[Key, ...]

    @property
    def title(self) -> str:
        """The table's header, as the file writes it.

        >>> next(sections()).title
        '[data]'
        """
        path = dotted(SECTIONS.get(self.section, (self.section,)))
        return f"[[{path}]]" if self.is_list else f"[{path}]"

    @property
    def is_list(self) -> bool:
        """Whether the table may be repeated."""
        return self.section in lists()

    @property
    def parts_of(self) -> str:
        """The section whose parts it can name; empty where it names none.

        >>> [table.parts_of for table in sections() if table.section in ("data", "label", "labels")]
        ['', 'label', 'label']
        """
        is_part = issubclass(self.owner, Part)
        return next((of for of in SECTIONS if is_part and self.section in (of, f"{of}s")), "")


def sections() -> Iterator[Table]:
    """Give the sections in the order of the file; parts come apart, from :func:`parts`."""
    for name, field in Config.model_fields.items():
        kind: Any = field.annotation
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        yield _section(name, kind)
        for inner in kind.model_fields.values() if issubclass(kind, Section) else ():
            if isinstance(inner.annotation, type) and issubclass(inner.annotation, Part):
                yield _section("promotion", inner.annotation)


def parts() -> Iterator[Table]:
    """Give every part that a section can name; this imports what computes."""
    for section in SECTIONS:
        for name, part in registry(section).items():
            meanings = _meanings(part) | _meanings(getattr(part, "Settings", part))
            keys = tuple(
                Key(
                    parameter.name,
                    kind_of(parameter.annotation),
                    None if parameter.is_required else plain(parameter.annotation, parameter.default),
                    meanings.get(parameter.name, ""),
                    is_required=parameter.is_required,
                )
                for parameter in parameters(section, part)
            )
            yield Table(section, name, part, _prose(part), keys)


def kind_of(annotation: Any) -> str:
    """Say in words what kind of value a key takes.

    >>> kind_of(float | None), kind_of(tuple[str, ...]), kind_of(Literal["open", "worst_of"])
    ('number', 'list of text', '"open" or "worst_of"')
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_of(inner[0])
    if origin is Literal:
        return " or ".join(f'"{choice}"' for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(kind_of(choice) for choice in inner if choice is not type(None))
    if origin in (tuple, list, Sequence):
        return f"list of {kind_of(inner[0])}"
    return _KINDS.get(annotation, "table")


def plain(annotation: Any, default: Any) -> Any:
    """Give a default as the file writes it."""
    if default is None or isinstance(default, bool | int | float | str):
        return default
    return TypeAdapter(annotation).dump_python(default, mode="json")


def _section(name: str, kind: Any) -> Table:
    if not issubclass(kind, BaseModel):
        meanings = _meanings(kind)
        keys = [
            Key(one.name, kind_of(_resolved(kind, one.name)), one.default, meanings.get(one.name, ""))
            for one in fields(kind)
        ]
        return Table(name, "", kind, _prose(kind), tuple(keys))
    defaults = _defaults(name) or _own_defaults(kind)
    keys = [
        Key(
            field.serialization_alias or own,
            kind_of(field.annotation),
            defaults.get(field.serialization_alias or own),
            field.description or "",
            is_required=field.default is PydanticUndefined,
            example=(field.examples or [None])[0],
        )
        for own, field in kind.model_fields.items()
    ]
    return Table(name, "", kind, _prose(kind), tuple(keys))


def _own_defaults(kind: type[BaseModel]) -> dict[str, Any]:
    """Give the defaults of a section that stands in no default config."""
    return {
        field.serialization_alias or own: plain(field.annotation, field.default)
        for own, field in kind.model_fields.items()
        if field.default is not PydanticUndefined
    }


def _defaults(section: str) -> dict[str, Any]:
    if section in lists():
        _, _, items = lists()[section]
        return dict(items[0]) if items else {}
    tables: Any = Config().plain()
    for step in SECTIONS.get(section, (section,)):
        tables = tables[step]
    return dict(tables)


def _resolved(kind: type, name: str) -> Any:
    return get_type_hints(kind)[name]


def _prose(kind: type) -> str:
    """Give a class's docstring as Markdown: no examples, no numpydoc sections, no Sphinx roles."""
    text = inspect.getdoc(kind) or ""
    text = re.split(r"^(?:>>> |\w+\n-{4,}$)", text, maxsplit=1, flags=re.MULTILINE)[0]
    return _markdown(text)


def _markdown(text: str) -> str:
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`").strip()


def _meanings(kind: type) -> dict[str, str]:
    """Read what the docstrings of a class and its bases say of its fields under numpydoc's ``Parameters``."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        found |= _own_meanings(one)
    return found


def _own_meanings(kind: type) -> dict[str, str]:
    text = inspect.cleandoc(kind.__doc__ or "")
    found: dict[str, str] = {}
    listed = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    for names, said in re.findall(r"^(\S.*)\n((?:    .*(?:\n|\Z))+)", listed[1] if listed else "", re.MULTILINE):
        for name in names.split(" : ")[0].split(", "):
            found[name] = _markdown(" ".join(said.split()))
    return found
