"""Commands that change something: each is the owner's alone, and asked back before it is done."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Literal

from itb.live.notify.chat.asking import known_symbol
from itb.live.notify.chat.command import Answer, WrongWordsError

if TYPE_CHECKING:
    from itb.live.notify.chat.command import Asking


def start(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Trade, or go on trading."""
    return Answer(escape(asking.bridge.resume(asking.by)))


def stop(asking: Asking, _: tuple[str, ...]) -> Answer:
    """End the program."""
    return Answer(escape(asking.bridge.stop(asking.by)))


def pause(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Enter nothing new."""
    return Answer(escape(asking.bridge.pause(asking.by)))


def force_enter(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Enter a market now."""
    side: Literal["long", "short"] = "long"
    if len(arguments) > 1:
        if arguments[1].lower() not in {"long", "short"}:
            raise WrongWordsError(f"expected long or short, was {arguments[1]}")
        side = "short" if arguments[1].lower() == "short" else "long"
    return Answer(escape(asking.bridge.force_enter(asking.by, known_symbol(asking, arguments[0]), side)))


def force_exit(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Close a position, or all of them."""
    symbol = "" if arguments[0].lower() == "all" else known_symbol(asking, arguments[0])
    return Answer(escape(asking.bridge.close(asking.by, symbol)))


def cancel(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Cancel an order by its key, or all."""
    key = "" if arguments[0].lower() == "all" else arguments[0]
    return Answer(escape(asking.bridge.cancel(asking.by, key)))


def reload_config(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Read the config again."""
    return Answer(escape(asking.bridge.reload_config(asking.by)))


def block(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Enter a market no more."""
    return Answer(escape(asking.bridge.block(asking.by, known_symbol(asking, arguments[0]))))


def unblock(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Lift a block."""
    return Answer(escape(asking.bridge.unblock(asking.by, arguments[0].upper())))


def unlock(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Lift the locks of a market, or all."""
    symbol = "" if arguments[0].lower() == "all" else known_symbol(asking, arguments[0])
    return Answer(escape(asking.bridge.unlock(asking.by, symbol)))
