"""Plain tables as TOML text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from itb.config.messages import Location

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?Z)?")


def to_toml(tables: Mapping[str, Any], notes: Mapping[Location, str] | None = None) -> str:
    """Write tables whose values are text, numbers, truth values, lists and tables; ISO dates are written as dates.

    ``notes`` puts a comment behind a key.

    >>> print(to_toml({"data": {"from": "2024-03-01", "symbols": ["BTC/USDT"]}, "features": [{"family": "talib"}]}))
    [data]
    from = 2024-03-01
    symbols = ["BTC/USDT"]
    <BLANKLINE>
    [[features]]
    family = "talib"
    <BLANKLINE>
    """
    return "\n".join(_table(tables, (), notes or {})).lstrip("\n") + "\n"


def value(item: Any) -> str:
    """Write one value.

    >>> [value(item) for item in (1e-8, True, "a", [1, 2.0], {"family": "talib"})]
    ['0.00000001', 'true', '"a"', '[1, 2.0]', '{ family = "talib" }']
    """
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return item if _is_date(item) else _quoted(item)
    if isinstance(item, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {value(inner)}" for name, inner in item.items()) + " }"
    if isinstance(item, list | tuple):
        return "[" + ", ".join(value(inner) for inner in item) + "]"
    return f"{Decimal(repr(item)):f}" if isinstance(item, float) and 0 < abs(item) < 1 else repr(item)


def key(name: str) -> str:
    """Write a key, in quotes where TOML wants them.

    >>> key("buy"), key("a b")
    ('buy', '"a b"')
    """
    return name if _BARE_KEY.fullmatch(name) else _quoted(name)


def _is_date(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # the one character JSON lets through


def _table(table: Mapping[str, Any], at: Location, notes: Mapping[Location, str]) -> list[str]:
    lines = []
    plain = {name: item for name, item in table.items() if not _is_table(item) and not _is_tables(item)}
    for name, item in plain.items():
        note = notes.get((*at, name))
        lines.append(f"{key(name)} = {value(item)}" + (f"  # {note}" if note else ""))
    for name, item in table.items():
        here = (*at, name)
        title = ".".join(key(part) for part in here if isinstance(part, str))
        if _is_table(item):
            lines += ["", f"[{title}]", *_table(item, here, notes)]
        elif _is_tables(item):
            for number, inner in enumerate(item):
                lines += ["", f"[[{title}]]", *_table(inner, (*here, number), notes)]
    return lines


def _is_table(item: Any) -> bool:
    return isinstance(item, Mapping)


def _is_tables(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(inner, Mapping) for inner in item)
