"""Which keys of a config hold secrets, so that they can be refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from itb.config.messages import Location

_SECRET_NAME = re.compile(
    r"(^|[_.-])(api_?key|apikey|secret|token|passw(or)?d|passphrase|private_?key|credentials?)([_.-]|$)"
)


def is_secret_name(key: str) -> bool:
    """Whether a key's name says that its value is a secret.

    >>> [is_secret_name(key) for key in ("api_key", "exchange_secret", "telegram-token", "monkey", "tokens_per_bar")]
    [True, True, True, False, False]
    """
    return _SECRET_NAME.search(key.lower()) is not None


def secret_keys(table: Mapping[str, Any], at: Location = ()) -> list[Location]:
    """Find the keys of a config, at any depth, whose names say that they hold secrets."""
    found: list[Location] = []
    for key, value in table.items():
        here = (*at, key)
        if is_secret_name(key):
            found.append(here)
        for place, item in (
            [(here, value)] if not isinstance(value, list) else [((*here, i), v) for i, v in enumerate(value)]
        ):
            if isinstance(item, Mapping):
                found.extend(secret_keys(item, place))
    return found
