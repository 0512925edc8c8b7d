"""JSON Schema of the config file, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from itb.config.catalogue import Table, parts, sections
from itb.config.model import lists
from itb.config.parts import keys_model
from itb.config.sections import Part

_NULL = {"type": "null"}


def schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of ``itb.toml``, with the keys of every part that it can name.

    A strategy or feature of the user's own may have any keys.

    >>> schema()["properties"]["costs"]["properties"]["slippage_bps"]["default"]
    5.0
    """
    definitions: dict[str, Any] = {}
    variants: dict[str, list[Table]] = {}
    for part in parts():
        variants.setdefault(part.section, []).append(part)
    tables = {table.section: _section(table, variants.get(table.parts_of, []), definitions) for table in sections()}
    by_name = {"type": "string", "enum": [part.part for part in variants["promotion"]]}
    tables["walkforward"]["properties"]["promotion"] = {"anyOf": [by_name, tables.pop("promotion")]}
    for name, (_, _, items) in lists().items():
        tables[name] = {"type": "array", "minItems": min(1, len(items)), "items": tables[name]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "itb.toml",
        "type": "object",
        "properties": tables,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _section(table: Table, variants: list[Table], definitions: dict[str, Any]) -> dict[str, Any]:
    own = _object(table, definitions)
    if not variants:
        return own
    assert issubclass(table.owner, Part)
    selector = table.owner.selector
    if selector is None:
        return _joined(own, _object(variants[0], definitions))
    choices = []
    for part in variants:
        choice = _joined(own, _object(part, definitions))
        choice["properties"] = {**choice["properties"], selector: {**own["properties"][selector], "const": part.part}}
        if own["properties"][selector].get("default") != part.part:
            choice["required"] = [*dict.fromkeys([selector, *choice.get("required", [])])]
        choices.append(choice)
    if table.section in {"strategy", "features"}:
        choices.append({"properties": {selector: {"type": "string", "pattern": ":"}}, "required": [selector]})
    return {"type": "object", "description": table.meaning, "anyOf": choices}


def _object(table: Table, definitions: dict[str, Any]) -> dict[str, Any]:
    types = TypeAdapter(keys_model(table.section, table.owner) if table.part else table.owner).json_schema()
    if table.part:
        definitions.update(types.get("$defs", {}))
    properties = {}
    for key in table.keys:
        kind = _without_null(types["properties"][key.name])
        described = {"description": key.meaning} if key.meaning else {}
        properties[key.name] = kind | described | ({} if key.default is None else {"default": key.default})
    required = [key.name for key in table.keys if key.is_required]
    return {
        "type": "object",
        "description": table.meaning,
        "properties": properties,
        "additionalProperties": False,
    } | ({"required": required} if required else {})


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    required = [*dict.fromkeys([*one.get("required", []), *other.get("required", [])])]
    both = {"properties": {**one["properties"], **other["properties"]}, "description": other["description"]}
    return {**one, **both} | ({"required": required} if required else {})


def _without_null(kind: Mapping[str, Any]) -> dict[str, Any]:
    """Drop titles and ``null``, which TOML does not have."""
    kept = {name: item for name, item in kind.items() if name not in {"title", "default"}}
    choices = [choice for choice in kept.pop("anyOf", []) if choice != _NULL]
    if len(choices) == 1:
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if choices else kept
