"""JSON with comments and trailing commas, read as data."""

from __future__ import annotations

import json
import re
from typing import Any

_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.DOTALL)


def read_jsonc(text: str) -> Any:
    """Read JSON that may have ``//`` and ``/* */`` comments and commas before a closing bracket.

    Raises ``ValueError`` with line and column for anything else: numbers that are not finite and keys that are there
    twice included.

    >>> read_jsonc('{"a": [1, 2,], /* old */ "b": "// text", // new' + chr(10) + '}')
    {'a': [1, 2], 'b': '// text'}
    """
    plain = _TOKEN.sub(_blank, text)
    try:
        return json.loads(plain, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("its brackets are nested too deeply to be a config") from None


def _blank(found: re.Match[str]) -> str:
    """Keep strings; replace the rest by spaces, so that lines and columns stay what they are."""
    token = found[0]
    return token if token.startswith('"') else re.sub(r"[^\n]", " ", token)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text} is no finite number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice in one table; leave one of them out")
    return table
