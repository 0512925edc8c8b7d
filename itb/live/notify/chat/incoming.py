"""What a person said to the bot, read out of Telegram's JSON without trusting any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

_LONGEST = 1_000  # characters of a command with its arguments
_PASSED_ON = (
    "forward_origin", "forward_date", "forward_from", "forward_from_chat", "forward_sender_name", "via_bot",
    "sender_chat", "is_automatic_forward", "business_connection_id",
)  # fmt: skip


@dataclass
class Heard:
    """Up to where a chat has been heard: ``next`` is the update to hear next, ``None`` while nobody has listened.

    The lives that follow each other in one process share it: what is said while one ends is heard by the next.
    """

    next: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """Something said: a text typed, or a button pressed (``pressed`` is the press's own name, ``message`` its message).

    ``time`` is when the text was typed, UTC milliseconds; a press has none of its own: 0.
    """

    update: int
    user: int
    chat: int
    is_private: bool
    text: str
    time: int
    message: int = 0
    pressed: str = ""


def update_number(raw: Any) -> int | None:
    """Give an update's number, ``None`` where it has none: then it cannot be confirmed, and counts for nothing."""
    number = raw.get("update_id") if isinstance(raw, Mapping) else None
    return number if _is_number(number) else None


def read_update(raw: Any) -> Incoming | None:
    """Read an update; ``None`` for whatever is not a fresh text of a person, typed here, or a press of a button.

    Edited and forwarded messages, channel posts, messages in the name of a chat or through another bot, those of bots,
    and everything malformed are nothing.
    """
    number = update_number(raw)
    if number is None:
        return None
    if isinstance(raw.get("message"), Mapping):
        return _typed(number, raw["message"])
    if isinstance(raw.get("callback_query"), Mapping):
        return _pressed(number, raw["callback_query"])
    return None


def _typed(number: int, message: Mapping[str, Any]) -> Incoming | None:
    text, date = message.get("text"), message.get("date")
    chat, user = _chat(message), _user(message)
    if chat is None or user is None or not isinstance(text, str) or not _is_number(date) or len(text) > _LONGEST:
        return None
    if "edit_date" in message or any(name in message for name in _PASSED_ON):
        return None
    own = message.get("message_id")
    return Incoming(number, user, chat[0], chat[1], text, date * 1000, own if _is_number(own) else 0)


def _pressed(number: int, press: Mapping[str, Any]) -> Incoming | None:
    message, data, name = press.get("message"), press.get("data"), press.get("id")
    user = _user(press)
    if user is None or not isinstance(message, Mapping) or not isinstance(data, str) or not isinstance(name, str):
        return None
    chat, own = _chat(message), message.get("message_id")
    if chat is None or not name or not _is_number(own) or len(data) > 64:
        return None
    return Incoming(number, user, chat[0], chat[1], data, 0, own, name)


def _chat(message: Mapping[str, Any]) -> tuple[int, bool] | None:
    chat = message.get("chat")
    if not isinstance(chat, Mapping) or not _is_number(chat.get("id")):
        return None
    return chat["id"], chat.get("type") == "private"


def _user(said: Mapping[str, Any]) -> int | None:
    user = said.get("from")
    if not isinstance(user, Mapping) or not _is_number(user.get("id")) or user.get("is_bot") is not False:
        return None
    number: int = user["id"]
    return number


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62
