"""Questions that must be answered before something is done: each once, soon, by who was asked."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MOST = 50  # that wait at the same time; older ones are forgotten


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: a command with its arguments, by whom, in which chat, until when."""

    command: str
    arguments: tuple[str, ...]
    user: int
    chat: int
    until: int


class Questions:
    """Keeps questions until they are answered.

    >>> questions = Questions(30.0)
    >>> nonce = questions.ask("stop", (), user=7, chat=7, now=0)
    >>> questions.answer(nonce, user=8, chat=7, now=1_000) is None
    True
    >>> questions.answer(nonce, user=7, chat=7, now=2_000).command
    'stop'
    >>> questions.answer(nonce, user=7, chat=7, now=3_000) is None
    True

    Parameters
    ----------
    within_s
        How long a question waits.
    draw
        Gives nonces that nobody can guess.
    """

    def __init__(self, within_s: float = 30.0, draw: Callable[[], str] = lambda: secrets.token_urlsafe(12)) -> None:
        self._within_ms, self._draw = round(within_s * 1000), draw
        self._open: OrderedDict[str, Asked] = OrderedDict()

    def ask(self, command: str, arguments: tuple[str, ...], *, user: int, chat: int, now: int) -> str:
        """Keep a question and give its nonce."""
        nonce = self._draw()
        self._open[nonce] = Asked(command, arguments, user, chat, now + self._within_ms)
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return nonce

    def answer(self, nonce: str, *, user: int, chat: int, now: int) -> Asked | None:
        """Take the question out that a nonce stands for; ``None`` unless it waits for this person in this chat."""
        asked = self._open.get(nonce)
        if asked is None or (asked.user, asked.chat) != (user, chat):
            return None
        del self._open[nonce]
        return asked if now <= asked.until else None
