"""A command of the chat: its name, who may give it, whether it is asked back, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from itb.live.notify.chat.gate import Role

if TYPE_CHECKING:
    from itb.live.notify.chat.bridge import Bridge, Report
    from itb.live.notify.message import Drawing
    from itb.live.notify.people import People


@dataclass(frozen=True)
class Answer:
    """What is said back: HTML as in a message, a picture to be drawn, commands to go on with, or work to wait for."""

    text: str
    drawing: Drawing | None = None
    then: tuple[str, ...] = ()
    work: Callable[[], Awaitable[Report]] | None = None


@dataclass(frozen=True)
class Asking:
    """Whom a command speaks to, and for whom: ``by`` is journaled, ``now`` is the market's time."""

    bridge: Bridge
    people: People
    by: str
    now: int


Act: TypeAlias = Callable[[Asking, tuple[str, ...]], Answer]


@dataclass(frozen=True)
class Command:
    """One command.

    ``question`` (with ``{0}``, ``{1}`` for arguments) is asked back before it is done; empty: it is done at once.
    ``least`` and ``most`` count its arguments, ``usage`` names them.
    """

    name: str
    help: str
    act: Act
    role: Role = Role.READER
    usage: str = ""
    least: int = 0
    most: int = 0
    question: str = ""


class WrongWordsError(Exception):
    """What was said is no command as it should be; the message says what would be."""
