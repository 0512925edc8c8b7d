"""A notifier: a value object that turns what happened into messages, one event at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from itb.live.notify.people import People, render

if TYPE_CHECKING:
    from itb.live.notify.events import Event
    from itb.live.notify.message import Message


class Reporter(Protocol):
    """A notifier at work: what it remembers follows from the events that it was told, so a restart changes nothing."""

    def tell(self, event: Event) -> list[Message]:
        """Take the next event, in order of time, and say what there is to say."""


class Notifier(Protocol):
    """One of ``[[outputs]]``: its keys are the fields of a frozen dataclass."""

    def reporter(self, people: People) -> Reporter:
        """Begin to work for people who want times told in their zone."""


def checked(source: str, sample: Mapping[str, Any]) -> None:
    """Refuse a template that cannot be filled in with values such as it will be given."""
    render(People().template(source), sample)
