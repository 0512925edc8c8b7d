"""From a config to what tells people: ways opened, outputs at work, the bot listening."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config.environment import load_secrets
from itb.config.told import outputs, ways
from itb.errors import ConfigError
from itb.live.notify.artist import Artist
from itb.live.notify.herald import Herald
from itb.live.notify.mailroom import Mailroom
from itb.live.notify.people import People
from itb.live.notify.ways.way import Access, Way
from itb.runs.children import keyless_environment
from itb.runs.graded import binary_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from itb.config import Config
    from itb.live.notify.chat.bot import ChatBot
    from itb.live.notify.chat.bridge import Bridge
    from itb.live.notify.chat.dialogue import Reply
    from itb.live.notify.chat.incoming import Heard
    from itb.live.notify.message import Drawing


def open_ways(config: Config) -> dict[str, Way]:
    """Open every configured way; nothing is sent yet.

    Raises :class:`itb.errors.ConfigError` that names the key where a secret or a number is missing.
    """
    access = _access(config)
    opened: dict[str, Way] = {}
    for number, (name, part) in enumerate(ways(config).items()):
        try:
            opened[name] = part.open(access)
        except ValueError as error:
            key, _, rest = str(error).partition(" ")
            at = ("ways", number, key) if key in type(part).__dataclass_fields__ else ("ways", number)  # type: ignore[attr-defined]  # every part is a dataclass
            raise ConfigError(config.complaint(at, rest if len(at) == 3 else str(error))) from None
    return opened


def build_herald(
    config: Config,
    journal: str | Path,
    clock: Callable[[], int],
    bridge: Bridge | None = None,
    call: Callable[[Callable[[], Reply | None]], Awaitable[Reply | None]] | None = None,
    *,
    trouble: Callable[[str], None] = lambda _text: None,
    heard: Heard | None = None,
) -> Herald:
    """Build what tells people of a live run, from ``[[outputs]]``, ``[[ways]]`` and ``[telegram]``.

    ``journal`` is the journal's file or URL, ``clock`` gives UTC milliseconds. With a ``bridge`` and a token the bot
    listens as well, from where the life before has ``heard``; ``call`` runs what it asks of the bridge on the thread
    where that may be done. ``trouble`` hears, in some thread, that pictures cannot be drawn, and an empty text when
    they can be again.
    """
    opened = open_ways(config)
    people = People(config.notify.zone)
    others = []
    artist = Artist(keyless_environment(), trouble)
    if bridge is not None and (bot := _bot(config, bridge, people, clock, call, artist, heard)) is not None:
        others.append(bot.run)
    return Herald(
        Mailroom(journal), outputs(config), opened, people, clock, theme=config.notify.theme, others=others,
        binary=binary_of(config), artist=artist,
    )  # fmt: skip


def _bot(
    config: Config,
    bridge: Bridge,
    people: People,
    clock: Callable[[], int],
    call: Callable[[Callable[[], Reply | None]], Awaitable[Reply | None]] | None,
    artist: Artist,
    heard: Heard | None,
) -> ChatBot | None:
    from itb.live.notify.chat.bot import ChatBot
    from itb.live.notify.chat.dialogue import Dialogue
    from itb.live.notify.chat.gate import Gate
    from itb.live.notify.telegram import LONGEST_POLL_S, Telegram

    told, token = config.telegram, _access(config).secrets.get("telegram_token")
    if not token or not (told.owners or told.readers):
        return None
    gate = Gate(frozenset(told.owners), frozenset(told.readers), frozenset(told.groups), told.max_age.ms / 1000)
    dialogue = Dialogue(bridge, gate, people, within_s=told.answer_within.ms / 1000)
    way = next((part for part in ways(config).values() if isinstance(part, Telegram)), Telegram())

    def draw(drawing: Drawing) -> bytes:
        return artist.draw(drawing, config.notify.theme)

    wait_s = min(max(way.timeout_s, 1.0), LONGEST_POLL_S)
    return ChatBot(way.line(token), dialogue, clock, call=call, draw=draw, wait_s=wait_s, heard=heard)


def _access(config: Config) -> Access:
    secrets = load_secrets(config.folder)
    found = {name: value.get_secret_value() for name, value in secrets if value is not None}
    return Access(found, config.folder, config.telegram.chat)
