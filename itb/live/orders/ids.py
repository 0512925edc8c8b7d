"""Client order ids: the same intent has the same id in every life of the program."""

from __future__ import annotations

import base64
import hashlib

_OWNER, _DIGEST = 6, 16
PREFIX = "itb"


def _code(text: str, length: int) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()[:length]


def owner_prefix(owner: str) -> str:
    """Give the beginning of every client id of one bot on one account; all other orders are foreign.

    >>> owner_prefix("demo")
    'itbvxjlvv-'
    """
    return f"{PREFIX}{_code(owner, _OWNER)}-"


def client_id(owner: str, key: str, attempt: int) -> str:
    """Name attempt 1, 2, … of an intent: at most 32 characters of ``[a-z0-9-]``, as venues allow.

    80 bits of the intent's key stand in it, so two intents share an id once in about 10^12 intents squared.

    >>> client_id("demo", "threshold|BTC/USDT|0|entry|1", 1) == client_id("demo", "threshold|BTC/USDT|0|entry|1", 1)
    True
    """
    if not 1 <= attempt <= 9999:
        raise ValueError(f"attempt must be between 1 and 9999, was {attempt}")
    return f"{owner_prefix(owner)}{_code(key, _DIGEST)}-{attempt}"
