"""A message as notifiers make it and ways out carry it: text with light markup, perhaps a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any, Literal, Protocol, TypeAlias

Topic: TypeAlias = Literal["score", "signal", "trade", "diagram", "summary", "alert"]

_TAG = re.compile(r"</?([a-z]+)>")
_PIECE = re.compile(r"</?[a-z]+>|&[#\w]+;|.", re.DOTALL)


Theme: TypeAlias = Literal["dark", "light"]


class Drawing(Protocol):
    """A picture that is not drawn before somebody wants to see it."""

    def plain(self) -> dict[str, Any]:
        """Give what is drawn as JSON knows it, for a process that draws."""

    def png(self, theme: Theme = "dark") -> bytes:
        """Draw it here."""


@dataclass(frozen=True)
class Message:
    """Something to say at a ``time`` (UTC milliseconds).

    ``text`` is HTML that knows only ``<b>``, ``<i>``, ``<code>`` and ``<pre>``, without attributes; everything else in
    it is escaped. A message ``is_quiet`` when it need not make a phone ring.
    """

    time: int
    topic: Topic
    text: str
    picture: Drawing | None = None
    is_quiet: bool = False

    @property
    def plain(self) -> str:
        """The text without markup.

        >>> Message(0, "score", "<b>1 &lt; 2</b>").plain
        '1 < 2'
        """
        return plain(self.text)


def plain(text: str) -> str:
    """Take the markup off."""
    return unescape(_TAG.sub("", text))


def size(text: str) -> int:
    """Count as Telegram does: UTF-16 units of what is shown.

    >>> size("<b>₿ 📈</b>")
    4
    """
    return len(plain(text).encode("utf-16-le")) // 2


def split(text: str, limit: int) -> list[str]:
    r"""Split a text into parts that show at most ``limit`` UTF-16 units each, at line ends where that is possible.

    Markup that is open at a cut is closed there and opened again. ``limit`` is at least 2.

    >>> split("<b>one\ntwo</b> three", 5)
    ['<b>one</b>', '<b>two</b> t', 'hree']
    """
    if size(text) <= limit:
        return [text]
    parts: list[str] = []
    pieces = _PIECE.findall(text)
    start = 0
    open_before: list[str] = []
    while start < len(pieces):
        stop, cut, used, stack = start, 0, 0, list(open_before)
        stack_at_cut: list[str] = []
        while stop < len(pieces):
            piece = pieces[stop]
            if tag := _TAG.fullmatch(piece):
                stack = stack[:-1] if piece[1] == "/" else [*stack, tag[1]]
            else:
                used += size(piece)
                if used > limit:
                    break
                if piece == "\n":
                    cut, stack_at_cut = stop, list(stack)
            stop += 1
        if stop < len(pieces) and cut > start:
            stop, stack = cut, stack_at_cut
        opened = "".join(f"<{tag}>" for tag in open_before)
        closed = "".join(f"</{tag}>" for tag in reversed(stack))
        part = opened + "".join(pieces[start:stop]) + closed
        if plain(part).strip():
            parts.append(part)
        start = stop + 1 if stop < len(pieces) and pieces[stop] == "\n" else stop
        open_before = stack
    return parts
