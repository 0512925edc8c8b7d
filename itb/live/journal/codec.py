"""Events as lines of JSON: decimals keep every digit, and what does not fit its type is refused when read."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from itb.errors import JournalError
from itb.live.orders.events import EVENTS, Event

_KINDS: dict[type[Any], str] = {cls: kind for kind, cls in EVENTS.items()}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(EVENTS[kind])


def kind_of(event: Event) -> str:
    """Give the name that an event's kind has in the journal."""
    return _KINDS[type(event)]


def encode(event: Event) -> str:
    """Write an event as one line of JSON.

    >>> from itb.live.orders.events import Halted
    >>> encode(Halted(5, "kill switch"))
    '{"time":5,"reason":"kill switch"}'
    """
    text: str = _adapter(kind_of(event)).dump_json(event).decode()
    return text


def decode(kind: str, body: str) -> Event:
    """Read an event back, equal to what was written.

    >>> decode("halted", '{"time":5,"reason":"kill switch"}')
    Halted(time=5, reason='kill switch')
    """
    if kind not in EVENTS:
        raise JournalError(f"journal: unknown event {kind!r}; it was written by a newer itb, use that one")
    try:
        event: Event = _adapter(kind).validate_json(body)
    except ValidationError as error:
        cause = error.errors()[0]
        where = ".".join(str(part) for part in cause["loc"])
        raise JournalError(f"journal: event {kind!r} cannot be read: {where}: {cause['msg']}") from None
    return event
