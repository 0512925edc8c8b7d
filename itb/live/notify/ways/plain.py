"""Ways out that need nobody else: the console and a file of JSON lines."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from itb.live.notify.ways.way import LaterError

if TYPE_CHECKING:
    from itb.live.notify.ways.way import Access, Outgoing

_LONG = 1_000_000


def _stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@dataclass(frozen=True)
class Console:
    """Write messages where the program runs; pictures are mentioned only."""

    def open(self, access: Access) -> ConsoleWay:
        """Open it."""
        del access
        return ConsoleWay()


@dataclass(frozen=True)
class ConsoleWay:
    """The standard output."""

    write: Callable[[str], None] = _stdout
    limit: int = _LONG
    caption_limit: int = _LONG
    pace_s: float = 0.0

    async def send(self, message: Outgoing) -> None:
        """Print a message."""
        clock = datetime.fromtimestamp(message.time / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        note = " (with a picture)" if message.picture else ""
        self.write(f"{clock} {message.plain}{note}\n")

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Lines:
    """Append messages to a file, one JSON object a line, pictures in base64.

    Parameters
    ----------
    file
        The file, seen from the project folder.
    """

    file: str = "messages.jsonl"

    def __post_init__(self) -> None:
        if not self.file or self.file.endswith("/"):
            raise ValueError(f"file must name a file, was {self.file!r}")

    def open(self, access: Access) -> LinesWay:
        """Open it."""
        return LinesWay(access.folder / self.file)


@dataclass(frozen=True)
class LinesWay:
    """A file that grows."""

    path: Path
    limit: int = _LONG
    caption_limit: int = _LONG
    pace_s: float = 0.0

    async def send(self, message: Outgoing) -> None:
        """Append a line."""
        line = json.dumps(as_json(message), ensure_ascii=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise LaterError(f"{self.path}: {error.strerror}") from None

    async def close(self) -> None:
        """Nothing is open."""


def as_json(message: Outgoing) -> dict[str, object]:
    """Give a message as JSON has it."""
    return {
        "id": message.key,
        "time": message.time,
        "topic": message.topic,
        "text": message.plain,
        "html": message.text,
        "quiet": message.is_quiet,
        "repeat": message.is_repeat,
        "picture": None if message.picture is None else base64.b64encode(message.picture).decode(),
    }
