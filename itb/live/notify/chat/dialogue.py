"""The conversation itself, without any network: what was said goes in, what is said back comes out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from itb.errors import ItbError
from itb.live.notify.chat.command import Answer, Asking, Command, WrongWordsError
from itb.live.notify.chat.commands import COMMANDS, help_text
from itb.live.notify.chat.questions import Questions

if TYPE_CHECKING:
    from itb.live.notify.chat.bridge import Bridge
    from itb.live.notify.chat.gate import Gate, Role
    from itb.live.notify.chat.incoming import Incoming
    from itb.live.notify.people import People

_log = logging.getLogger(__name__)
YES, NO, GO = "y:", "n:", "c:"
_STRANGERS = 100  # told of once each, then no more


@dataclass(frozen=True)
class Reply:
    """What is done in return.

    ``answer`` is said, with ``buttons`` of (label, data); ``edits`` is the message of ours that it takes the place of
    (0: a new one), ``pressed`` the button press to acknowledge, with a ``note`` where that is all there is to say.
    """

    answer: Answer | None = None
    buttons: tuple[tuple[str, str], ...] = ()
    edits: int = 0
    pressed: str = ""
    note: str = ""


class Dialogue:
    """Answers those whom the gate admits. Others get nothing, not even a refusal, and are logged once each."""

    def __init__(self, bridge: Bridge, gate: Gate, people: People, *, within_s: float = 30.0) -> None:
        self._bridge, self._gate, self._people = bridge, gate, people
        self._questions = Questions(within_s)
        self._within_s = within_s
        self._strangers: set[int] = set()

    def hear(self, said: Incoming, now: int) -> Reply | None:
        """Give the reply to something said, ``None`` for silence."""
        role = self._gate.admit(said, now)
        if role is None:
            self._note_stranger(said)
            return None
        if said.pressed:
            return self._pressed(said, role, now)
        if not said.text.startswith("/"):
            return None
        return self._typed(said, role, now)

    def _note_stranger(self, said: Incoming) -> None:
        if said.user not in self._strangers and len(self._strangers) < _STRANGERS:
            self._strangers.add(said.user)
            _log.warning("chat: passed over what user %d said in chat %d", said.user, said.chat)

    def _typed(self, said: Incoming, role: Role, now: int) -> Reply:
        word, *arguments = said.text[1:].split()[:20] or [""]
        name = word.partition("@")[0].lower()  # /status@my_bot, as menus of groups write it
        if name == "help":
            return Reply(Answer(help_text(role)))
        try:
            command = self._command(name, role)
            _check_words(command, tuple(arguments))
        except WrongWordsError as error:
            return Reply(Answer(escape(str(error))))
        if not command.question:
            return self._done(command, tuple(arguments), said, now)
        nonce = self._questions.ask(name, tuple(arguments), user=said.user, chat=said.chat, now=now)
        question = command.question.format(*(*arguments, "", "")).replace("  ", " ").replace(" ?", "?")
        text = f"{escape(question)}\n<i>Within {self._within_s:g} seconds.</i>"
        return Reply(Answer(text), (("Yes", f"{YES}{nonce}"), ("No", f"{NO}{nonce}")))

    def _command(self, name: str, role: Role) -> Command:
        command = COMMANDS.get(name)
        if command is None or command.role > role:  # a reader need not know what owners can do
            raise WrongWordsError(f"/{name} is not a command here; /help lists them")
        return command

    def _pressed(self, said: Incoming, role: Role, now: int) -> Reply:
        kind, data = said.text[:2], said.text[2:]
        if kind == GO:
            command = COMMANDS.get(data)
            if command is None or command.role > role or command.question:
                return Reply(pressed=said.pressed)
            reply = self._done(command, (), said, now)
            return Reply(reply.answer, reply.buttons, said.message, said.pressed)
        asked = self._questions.answer(data, user=said.user, chat=said.chat, now=now) if kind in {YES, NO} else None
        if asked is None:
            return Reply(pressed=said.pressed, note="This question is over; give the command again.")
        if kind == NO:
            return Reply(Answer(f"/{asked.command}: nothing was done."), edits=said.message, pressed=said.pressed)
        command = COMMANDS[asked.command]
        if command.role > role:
            return Reply(pressed=said.pressed)
        done = self._done(command, asked.arguments, said, now)
        return Reply(done.answer, (), said.message, said.pressed)

    def _done(self, command: Command, arguments: tuple[str, ...], said: Incoming, now: int) -> Reply:
        try:
            market_now = self._bridge.status().time or now  # a played market's time is not that of the wall
            asking = Asking(self._bridge, self._people, f"telegram user {said.user}", market_now)
            answer = command.act(asking, arguments)
        except (WrongWordsError, ItbError) as error:
            return Reply(Answer(escape(str(error))))
        except Exception:  # noqa: BLE001  whatever fails behind the cockpit, the conversation goes on
            _log.exception("chat: /%s failed", command.name)
            return Reply(Answer(f"/{command.name} failed; the log says why."))
        return Reply(answer, tuple((f"/{name}", f"{GO}{name}") for name in answer.then))


def _check_words(command: Command, arguments: tuple[str, ...]) -> None:
    if not command.least <= len(arguments) <= command.most:
        raise WrongWordsError(f"expected /{command.name} {command.usage}".rstrip())
