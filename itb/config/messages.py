"""What is wrong with a setting, in one line: the key, the value found, what was expected, the next step."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]

_EXPECTED = {
    "bool_type": "true or false",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "model_type": "a table",
    "string_type": "text in quotes",
    "tuple_type": "a list",
    "list_type": "a list",
}
_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}
_MISSING = {"missing", "missing_argument", "missing_keyword_only_argument"}
_LONGEST_VALUE = 60


def dotted(location: Location) -> str:
    """Write where a setting stands the way people say it; items of a list are counted from 1.

    >>> dotted(("features", 1, "windows"))
    'features[2].windows'
    """
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return _printable(text.removeprefix("."))


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Say that a key is unknown and which one was probably meant.

    >>> unknown_key("buy_treshold", ["buy_threshold", "sell_threshold"])
    'unknown key; did you mean "buy_threshold"?'
    >>> unknown_key("colour", ["width", "height"])
    'unknown key; expected one of width, height'
    """
    names = list(known)
    close = closest(key, names)
    if close is not None:
        return f'unknown key; did you mean "{close}"?'
    return f"unknown key; expected {'one of ' if len(names) > 1 else ''}{', '.join(names)}" if names else "unknown key"


def closest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that was probably meant, if there is one."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is not in a table of parts.

    >>> unknown_name("label", "futur_return", ["future_return", "highlow2"])
    'unknown label "futur_return"; did you mean "future_return"?'
    """
    names = list(known)
    close = closest(name, names)
    hint = f'did you mean "{close}"?' if close else f"expected one of {', '.join(names)}"
    return f'unknown {what} "{name}"; {hint}'


def problems(error: ValidationError, keys: Mapping[Location, list[str]]) -> list[tuple[Location, str]]:
    """Turn what pydantic found into places and messages; ``keys`` lists the known keys of each table.

    Alternatives of one setting that all failed become one message.
    """
    details = error.errors(include_url=False)
    places = [detail["loc"] for detail in details]
    found: dict[Location, list[ErrorDetails]] = {}
    for detail in details:
        at = detail["loc"]
        if detail["type"] == "too_short" and any(place != at and place[: len(at)] == at for place in places):
            continue  # pydantic leaves items that failed out of the count
        found.setdefault(_place(detail["loc"], keys), []).append(detail)
    return [_problem(place, details, keys) for place, details in found.items()]


def own_key(at: Location, message: str, known: Iterable[str]) -> tuple[Location, str]:
    """Where a part's own message begins with one of its keys, let the key say the place.

    >>> own_key(("label",), "horizon must be at least 1 bar, was 0", ["horizon"])
    (('label', 'horizon'), 'must be at least 1 bar, was 0')
    """
    for name in known:
        for start in (f"{name} must", f"{name}: "):
            if message.startswith(start):
                return (*at, name), message.removeprefix(name).lstrip(": ")
    return at, message


def shown(value: Any) -> str:
    """Print a value as a config file would, cut when long.

    >>> shown("on"), shown(True), shown([1, 2])
    ('"on"', 'true', '[1, 2]')
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = _printable(text)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def _place(location: Location, keys: Mapping[Location, list[str]]) -> Location:
    """Cut the tags that pydantic adds behind a setting's own key for each alternative of its type."""
    for length in range(len(location)):
        table, name = location[:length], location[length]
        names = keys.get(_pattern(table))
        is_table = any(_pattern((*table, name, *item)) in keys for item in ((), (0,)))
        if names is not None and name in names and not is_table:
            rest = location[length + 1 :]
            items = rest[:1] if rest and isinstance(rest[0], int) else ()
            return (*location[: length + 1], *items)
    return location


def _pattern(location: Location) -> Location:
    return tuple(0 if isinstance(part, int) else part for part in location)


def _problem(place: Location, details: list[ErrorDetails], keys: Mapping[Location, list[str]]) -> tuple[Location, str]:
    first = details[0]
    kind = first["type"]
    if kind in _UNKNOWN:
        return place, unknown_key(str(place[-1]), keys.get(_pattern(place[:-1]), []))
    if kind in _MISSING:
        return place, "missing; this key has no default"
    if kind == "value_error":
        message = str(first["ctx"]["error"])
        if place and message.startswith(f"{place[-1]} "):
            return place, message.removeprefix(f"{place[-1]} ")
        return own_key(place, message, keys.get(_pattern(place), []))
    wanted = " or ".join(dict.fromkeys(_wanted(detail) for detail in details))
    return place, f"expected {wanted}, was {shown(first['input'])}"


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind == "literal_error":
        return str(context["expected"]).replace("'", '"')
    if kind in {"too_short", "string_too_short"}:
        return f"a list of {context['min_length']} or more" if kind == "too_short" else "a name"
    signs = {
        "greater_than": "above",
        "greater_than_equal": "at least",
        "less_than": "below",
        "less_than_equal": "at most",
    }
    if kind in signs:
        return f"a number {signs[kind]} {float(next(iter(context.values()))):g}"
    return re.sub(r"^Input should be ", "", detail["msg"])
