"""What makes a study this one and no other, and how to say in what two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from itb.errors import RunError


def refuse_other_plan(name: str, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to go on with a study that was begun for something else."""
    for key in sorted({*kept, *asked}):
        if kept.get(key) != asked.get(key):
            before, now = _apart(kept.get(key), asked.get(key))
            raise RunError(
                f"study {name!r}: was begun with other {key} ({_short(before)}) than is asked for ({_short(now)}); "
                f"give --study another name, or restore the settings"
            )


def leaves(tables: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Give what is in nested tables by its dotted name.

    >>> leaves({"costs": {"fee": 1, "tax": {"rate": 2}}})
    {'costs.fee': 1, 'costs.tax.rate': 2}
    """
    found: dict[str, Any] = {}
    for key, item in tables.items():
        found |= leaves(item, f"{at}{key}.") if isinstance(item, Mapping) else {f"{at}{key}": item}
    return found


def _apart(one: object, other: object) -> tuple[object, object]:
    """Leave out what two tables or lists have in common.

    >>> _apart([{"name": "a"}, {"name": "b"}], [{"name": "a"}]), _apart({"a": 1, "b": 2}, {"a": 1, "b": 3})
    (([{'name': 'b'}], []), ({'b': 2}, {'b': 3}))
    """
    if isinstance(one, dict) and isinstance(other, dict):
        differing = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        first, second = ({key: part[key] for key in differing if key in part} for part in (one, other))
        return first, second
    if isinstance(one, list) and isinstance(other, list) and sorted(map(str, one)) != sorted(map(str, other)):
        return [item for item in one if item not in other], [item for item in other if item not in one]
    return one, other


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
