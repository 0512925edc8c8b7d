"""What every way out has in common, and what can become of a message on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from itb.live.notify.message import plain


@dataclass(frozen=True)
class Outgoing:
    """A message as it leaves: ``key`` is the same every time it is sent, ``text`` is HTML as in a message."""

    key: str
    time: int
    topic: str
    text: str
    picture: bytes | None = None
    is_quiet: bool = False
    is_repeat: bool = False

    @property
    def plain(self) -> str:
        """The text without markup."""
        return plain(self.text)


class LaterError(Exception):
    """It has certainly not arrived; try again, after ``after_s`` seconds if that is known."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


class UnclearError(Exception):
    """It may have arrived: nobody knows."""


class RefusedError(Exception):
    """It will not be taken, however often it is sent."""


class Way(Protocol):
    """An open way out: ``limit`` and ``caption_limit`` are what a message, and one with a picture, may show.

    At least ``pace_s`` seconds pass between two messages.
    """

    @property
    def limit(self) -> int: ...
    @property
    def caption_limit(self) -> int: ...
    @property
    def pace_s(self) -> float: ...

    async def send(self, message: Outgoing) -> None:
        """Send a message and return when it has arrived.

        Else raises :class:`LaterError`, :class:`UnclearError` or :class:`RefusedError`, and nothing else.
        """

    async def close(self) -> None:
        """Let go of what is open."""


@dataclass(frozen=True)
class Access:
    """What opening a way may need: secrets by name (never written down), the project's folder, the owner's chat."""

    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path = Path()
    telegram_chat: int | str = 0

    def secret(self, name: str) -> str:
        """Give a secret; raise ``ValueError`` that names its variable where there is none."""
        if not self.secrets.get(name):
            raise ValueError(f"expected ITB_{name.upper()} in the environment or in .env, found none")
        return self.secrets[name]


class WayPart(Protocol):
    """One of ``[[ways]]``: its keys are the fields of a frozen dataclass."""

    def open(self, access: Access) -> Way:
        """Open it; nothing is sent yet. Raises ``ValueError`` when something it needs is not there."""
