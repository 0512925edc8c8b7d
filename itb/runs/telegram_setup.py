"""`itb telegram setup`: from a token to a test picture on the owner's phone, in two minutes."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING

from itb.config.environment import write_env_file
from itb.config.told import ways
from itb.errors import ConfigError, GatewayError
from itb.live.notify.chat.incoming import read_update, update_number
from itb.live.notify.telegram import Telegram, TelegramLine
from itb.live.notify.ways.way import LaterError, RefusedError, UnclearError
from itb.runs.said import Said
from itb.runs.try_ways import sample_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.live.notify.telegram import Person
    from itb.runs.workspace import Workspace

_TOKEN = re.compile(r"[0-9]{6,}:[A-Za-z0-9_-]{30,}")
_POLL_S = 5.0


def setup(
    workspace: Workspace,
    ask: Callable[[], str],
    tell: Callable[[str], None],
    *,
    address: str = "",
    patience_s: float = 300.0,
    code: str | None = None,
) -> Said:
    """Ask for a bot's token, wait until its owner has said ``/start`` with a code, keep both, send a picture.

    The code stands on this terminal alone, so that whoever says it first is the person who sits here. Token and
    numbers go to the owner-only ``.env`` beside the config, and nowhere else.

    Parameters
    ----------
    ask
        Asks for the token without showing it.
    tell
        Says what to do next.
    address
        Where the Bot API is; empty: where a configured way finds it, else Telegram's own.
    """
    configured = (part for part in ways(workspace.config).values() if isinstance(part, Telegram))
    address = address or next((part.address for part in configured), "")
    token = ask().strip()
    if not _TOKEN.fullmatch(token):
        told = "this is not the token of a bot; expected one such as 123456789:AA…, as @BotFather gives it"
        raise ConfigError(f"{told}; try again")
    code = code or f"{secrets.randbelow(1_000_000):06d}"
    try:
        bot, owner = asyncio.run(_meet(TelegramLine(token, address), code, tell, patience_s))
    except (LaterError, UnclearError, RefusedError) as error:
        raise GatewayError(f"{error}; nothing was kept, try again") from None
    kept = {
        "ITB_TELEGRAM_TOKEN": token, "ITB_TELEGRAM__CHAT": str(owner), "ITB_TELEGRAM__OWNERS": f"[{owner}]"
    }  # fmt: skip
    env_file = write_env_file(workspace.config.folder, kept)
    try:
        asyncio.run(_greet(TelegramLine(token, address), owner, workspace))
    except (LaterError, UnclearError, RefusedError) as error:
        raise GatewayError(f"{error}; the numbers are kept, `itb notify test` tries again") from None
    lines = [f"{bot.name} knows you as user {owner}; token and number are in {env_file}, readable by you alone."]
    if not any(part.kind == "telegram" for part in workspace.config.ways):
        lines.append('Add to itb.toml what it shall tell you, for example:\n\n[[ways]]\nkind = "telegram"\n')
        lines.append('[[outputs]]\nkind = "trades"\n\n[[outputs]]\nkind = "summary"\n\n[[outputs]]\nkind = "alerts"')
    return Said({"bot": bot.name, "owner": owner, "file": str(env_file)}, tuple(lines))


async def _meet(line: TelegramLine, code: str, tell: Callable[[str], None], patience_s: float) -> tuple[Person, int]:
    try:
        bot = await line.who()
        await line.forget_pending()
        name = bot.name.removeprefix("@")
        tell(f"Send to {bot.name} on Telegram:  /start {code}     (or open https://t.me/{name}?start={code})")
        loop = asyncio.get_running_loop()
        until, offset = loop.time() + patience_s, 0
        while loop.time() < until:
            for raw in await line.updates(offset, _POLL_S):
                offset = max(offset, (update_number(raw) or 0) + 1)
                said = read_update(raw)
                if said is not None and said.is_private and said.chat == said.user and not said.pressed:
                    if said.text.split() == ["/start", code]:
                        return bot, said.user
                    if said.text.startswith("/start"):
                        tell("Somebody said /start without the code on this screen; still waiting.")
    finally:
        await line.close()
    raise GatewayError(
        f"nobody said /start {code} to {bot.name} within {patience_s:.0f} s; nothing was kept, try again"
    )


async def _greet(line: TelegramLine, owner: int, workspace: Workspace) -> None:
    try:
        text = "✅ <b>itb</b> is set up: only you can order this bot. /help lists what it can do while it trades."
        await line.send(owner, text, picture=sample_picture().png(workspace.config.notify.theme))
    finally:
        await line.close()
