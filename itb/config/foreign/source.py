"""A table of a foreign config that remembers what was taken from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from itb.config.secrets import is_secret_name

_NUMBER = (int, float)


@dataclass(frozen=True)
class Loss:
    """Something of a foreign config that has no counterpart: where it stood, its value, and why."""

    path: str
    value: Any
    why: str = ""

    @property
    def line(self) -> str:
        """One line; the values of secrets are left out.

        >>> Loss("trader.limit", 0.005, "comes with live trading").line
        'trader.limit = 0.005  (comes with live trading)'
        >>> Loss("api_key", "abc").line
        'api_key = "..."'
        """
        value = _masked(self.value, self.path.rpartition(".")[2])
        told = json.dumps(value, ensure_ascii=True)
        return f"{self.path} = {told}" + (f"  ({self.why})" if self.why else "")


class Source:
    """A table whose keys are taken one by one; what is left over has no counterpart.

    >>> table = Source({"freq": "1h", "x": {"y": 2}})
    >>> table.text("freq"), [loss.line for loss in table.losses()]
    ('1h', ['x = {"y": 2}'])
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = dict(values)
        self._path = path
        self._inner: list[Source] = []
        self._losses: list[Loss] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def at(self, key: str) -> str:
        """Say where a key of this table stands in the file."""
        return f"{self._path}.{key}" if self._path else key

    def text(self, key: str) -> str | None:
        """Take a text; anything else stays."""
        found: str | None = self._take(key, _is_text)
        return found

    def flag(self, key: str) -> bool | None:
        """Take a truth value; anything else stays."""
        found: bool | None = self._take(key, lambda value: isinstance(value, bool))
        return found

    def number(self, key: str) -> int | float | None:
        """Take a number; anything else stays."""
        found: int | float | None = self._take(key, _is_number)
        return found

    def count(self, key: str) -> int | None:
        """Take a whole number, written with a point or not; anything else stays."""
        found = self._take(key, lambda value: _is_number(value) and value == int(value))
        return None if found is None else int(found)

    def numbers(self, key: str) -> list[int | float]:
        """Take a list of numbers, or one; anything else stays."""
        found = self._take(key, lambda value: _is_number(value) or _is_list(value, _is_number))
        return found if isinstance(found, list) else [] if found is None else [found]

    def texts(self, key: str) -> list[str]:
        """Take a list of texts, or one; anything else stays."""
        found = self._take(key, lambda value: _is_text(value) or _is_list(value, _is_text))
        return found if isinstance(found, list) else [] if found is None else [found]

    def table(self, key: str) -> Source:
        """Take a table, whose own keys are then taken one by one; an empty one where there is none."""
        found = self._take(key, lambda value: isinstance(value, dict))
        return self._opened(found or {}, self.at(key))

    def tables(self, key: str) -> list[Source]:
        """Take a list of tables; anything else stays."""
        found = self._take(key, lambda value: _is_list(value, lambda item: isinstance(item, dict))) or []
        return [self._opened(item, f"{self.at(key)}[{number}]") for number, item in enumerate(found)]

    def texts_and_tables(self, key: str) -> list[str | Source]:
        """Take a list of texts and tables; anything else stays."""
        found = self._take(key, lambda value: _is_list(value, lambda item: _is_text(item) or isinstance(item, dict)))
        return [
            self._opened(item, f"{self.at(key)}[{number}]") if isinstance(item, dict) else item
            for number, item in enumerate(found or [])
        ]

    def lose(self, key: str, why: str) -> None:
        """Say why a key that may be there has no counterpart."""
        value = self._values.pop(key, None)
        if not _is_empty(value):
            self._losses.append(Loss(self.at(key), value, why))

    def lose_rest(self, why: str) -> None:
        """Say why nothing that is left has a counterpart."""
        for key in list(self._values):
            self.lose(key, why)

    def note(self, key: str, value: Any, why: str) -> None:
        """Tell of a value that was taken and is not in the result as it was."""
        self._losses.append(Loss(self.at(key), value, why))

    def losses(self) -> Iterator[Loss]:
        """Give what has no counterpart, this table's first; what is empty is not told."""
        yield from self._losses
        for key, value in self._values.items():
            if not _is_empty(value):
                yield Loss(self.at(key), value)
        for inner in self._inner:
            yield from inner.losses()

    def _take(self, key: str, fits: Any) -> Any:
        return self._values.pop(key) if key in self._values and fits(self._values[key]) else None

    def _opened(self, values: Mapping[str, Any], path: str) -> Source:
        self._inner.append(Source(values, path))
        return self._inner[-1]


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBER) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_list(value: Any, fits: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(fits, value))


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, key) for item in value]
    secret = is_secret_name(key) or key.lower() in {"apikey", "secret", "password"}
    return "..." if secret and value else value
