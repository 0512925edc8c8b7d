"""The clerk: turns what happened into letters, once, and remembers across restarts what reporters must know."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from itb.live.notify.artist import NobodyDrawsError, draw_here
from itb.live.notify.grader import sent_of
from itb.live.notify.letters import DIGEST_ROOM, REPEAT_ROOM
from itb.live.notify.mailroom import Draft
from itb.live.notify.message import Message, Theme, size, split

if TYPE_CHECKING:
    from itb.live.notify.artist import Draw
    from itb.live.notify.events import Event
    from itb.live.notify.mailroom import Mailroom
    from itb.live.notify.notifier import Notifier, Reporter
    from itb.live.notify.people import People
    from itb.live.notify.ways.way import Way

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Output:
    """A notifier, the name by which its letters are known, and the ways that they go."""

    name: str
    notifier: Notifier
    ways: tuple[str, ...]


class Clerk:
    """Writes letters for what has been noted.

    What reporters remember follows from the notices that were told before: :meth:`remember` reads them again, so that
    the band of the last score, the last purchase and four weeks of profits survive a restart. Scores and signals of the
    columns in ``binary`` are kept for grading when a message about them goes out. ``draw`` makes pictures; where it
    cannot, the text goes without.
    """

    def __init__(
        self,
        mailroom: Mailroom,
        outputs: Sequence[Output],
        ways: Mapping[str, Way],
        people: People,
        theme: Theme = "dark",
        binary: Mapping[str, bool] = MappingProxyType({}),
        draw: Draw = draw_here,
    ) -> None:
        self._mailroom, self._ways, self._theme, self._binary = mailroom, dict(ways), theme, binary
        self._draw = draw
        self._at_work: list[tuple[Output, Reporter]] = [(one, one.notifier.reporter(people)) for one in outputs]

    def remember(self) -> None:
        """Let the reporters know what was told in an earlier life."""
        for happened in self._mailroom.told():
            for output, reporter in self._at_work:
                self._messages(output, reporter, happened)

    def write(self) -> int:
        """Turn what has been noted into letters; give how many notices that were."""
        count = 0
        while noted := self._mailroom.untold():
            for number, happened in noted:
                if happened is None:
                    self._mailroom.post([number], [])
                    continue
                said = [(output, self._messages(output, reporter, happened)) for output, reporter in self._at_work]
                drafts = [
                    draft
                    for output, messages in said
                    for place, message in enumerate(messages)
                    for draft in self._drafts(output, happened, place, message)
                ]
                topics: set[str] = {message.topic for output, messages in said if output.ways for message in messages}
                self._mailroom.post([number], drafts, sent_of(happened, topics, self._binary))
            count += len(noted)
        return count

    def _messages(self, output: Output, reporter: Reporter, happened: Event) -> list[Message]:
        try:
            return reporter.tell(happened)
        except Exception as error:  # noqa: BLE001  a person's template may fail on a value that nobody foresaw
            _log.warning("output %s: %s: %s", output.name, type(error).__name__, error)
            return []

    def _drafts(self, output: Output, happened: Event, place: int, message: Message) -> list[Draft]:
        picture = None
        if message.picture is not None:
            try:
                picture = self._draw(message.picture, self._theme)
            except NobodyDrawsError:
                pass  # told by whoever has it drawn
            except Exception as error:  # noqa: BLE001  a message without its picture is better than none
                _log.warning("output %s: its picture: %s: %s", output.name, type(error).__name__, error)
        kind, _, rest = happened.key.partition("/")
        symbol, _, moment = rest.rpartition("/")
        base = f"{output.name}/{kind}/{symbol}/{moment}" + (f".{place}" if place else "")
        return [draft for name in output.ways for draft in _for_way(name, self._ways[name], base, message, picture)]


def _for_way(name: str, way: Way, key: str, message: Message, picture: bytes | None) -> list[Draft]:
    """Split a message into what a way can take; a picture goes first, with as much of the text as its caption holds."""
    room = REPEAT_ROOM + DIGEST_ROOM
    first = way.caption_limit - room if picture is not None else way.limit - room
    parts = [message.text] if size(message.text) <= first else []
    if not parts:
        head, *rest = split(message.text, first)
        parts = [head, *(part for piece in rest for part in split(piece, way.limit - room))]
    return [
        Draft(
            name,
            key if n == 0 else f"{key}+{n}",
            message.topic,
            message.time,
            text,
            picture if n == 0 else None,
            message.is_quiet,
        )
        for n, text in enumerate(parts)
    ]
