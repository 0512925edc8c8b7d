"""The door to python-telegram-bot: what is sent to Telegram and heard from it, and what goes wrong on the way."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.live.notify.message import plain
from itb.live.notify.ways.way import LaterError, RefusedError, UnclearError
from itb.live.run.redaction import hide, shown

if TYPE_CHECKING:
    from telegram import Bot, InlineKeyboardMarkup

    from itb.live.notify.ways.way import Access, Outgoing

LIMIT, CAPTION_LIMIT = 4096, 1024  # what a message and a caption may show, in UTF-16 units
TELEGRAM = "https://api.telegram.org"
LONGEST_POLL_S = 30.0  # that Telegram is asked to wait for something to be said
_TIMEOUT_S = 20.0
_REJECTED_S = 300.0  # a token that is rejected stays so until a person does something
_NEVER_LEFT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}
_MARKUP = "can't parse entities"


@dataclass(frozen=True)
class Button:
    """A button below a message; ``data`` comes back when it is pressed (64 bytes at most)."""

    label: str
    data: str


Buttons = Sequence[Sequence[Button]]


@dataclass(frozen=True)
class Person:
    """Who a token belongs to."""

    user_id: int
    name: str


class TelegramLine:
    """A connection to the Bot API by one token, for one thread's loop. The token is hidden from logs from now on.

    Parameters
    ----------
    token
        The bot's token.
    address
        Where the Bot API is; empty: Telegram's own.
    timeout_s
        How long to wait for an answer.
    """

    def __init__(self, token: str, address: str = "", timeout_s: float = _TIMEOUT_S) -> None:
        hide([token])
        self._token, self._address, self._timeout_s = token, address, timeout_s
        self._bot: Bot | None = None
        self._is_known = False

    async def _open(self) -> Bot:
        if self._bot is None:
            os.environ.setdefault("PTB_TIMEDELTA", "1")  # the library's own way not to be warned of what will change
            logging.getLogger("telegram").setLevel(logging.CRITICAL)  # what fails is told here, and once
            from telegram import Bot
            from telegram.error import InvalidToken
            from telegram.request import HTTPXRequest

            def request() -> HTTPXRequest:
                return HTTPXRequest(
                    connection_pool_size=4, read_timeout=self._timeout_s, write_timeout=self._timeout_s,
                    connect_timeout=min(10.0, self._timeout_s), pool_timeout=self._timeout_s,
                    media_write_timeout=self._timeout_s,
                )  # fmt: skip

            where = self._address or TELEGRAM
            try:
                self._bot = Bot(
                    self._token, f"{where}/bot", f"{where}/file/bot", request=request(), get_updates_request=request()
                )
            except InvalidToken:
                raise LaterError("the token is not one of a bot; run `itb telegram setup`", _REJECTED_S) from None
        if not self._is_known:
            try:
                with _translated():
                    await self._bot.initialize()  # asks who the token belongs to
            except (UnclearError, RefusedError) as error:
                raise LaterError(str(error)) from None
            self._is_known = True
        return self._bot

    async def close(self) -> None:
        """Let go of the connections."""
        if self._bot is not None:
            with _translated():
                await self._bot.shutdown()
            self._bot, self._is_known = None, False

    # -- speaking

    async def send(
        self, chat: int | str, text: str, *, picture: bytes | None = None, buttons: Buttons = (), is_quiet: bool = False
    ) -> int:
        """Send a message and give its number; where Telegram cannot read the markup it goes without.

        Raises :class:`LaterError`, :class:`UnclearError` or :class:`RefusedError`.
        """
        try:
            return await self._send(chat, text, "HTML", picture, buttons, is_quiet)
        except RefusedError as error:
            if _MARKUP not in str(error).lower():
                raise
        return await self._send(chat, plain(text), None, picture, buttons, is_quiet)

    async def _send(
        self, chat: int | str, text: str, mode: str | None, picture: bytes | None, buttons: Buttons, is_quiet: bool
    ) -> int:
        bot = await self._open()
        with _translated():
            if picture is None:
                sent = await bot.send_message(
                    chat, text, parse_mode=mode, disable_notification=is_quiet, reply_markup=_keyboard(buttons)
                )
            else:
                sent = await bot.send_photo(
                    chat, picture, caption=text, parse_mode=mode, disable_notification=is_quiet,
                    reply_markup=_keyboard(buttons), filename="picture.png",
                )  # fmt: skip
            return sent.message_id

    async def edit(self, chat: int | str, message: int, text: str, buttons: Buttons = ()) -> None:
        """Write another text into a message of ours."""
        bot = await self._open()
        with _translated():
            await bot.edit_message_text(
                text, chat_id=chat, message_id=message, parse_mode="HTML", reply_markup=_keyboard(buttons)
            )

    async def acknowledge(self, pressed: str, text: str = "") -> None:
        """Let a pressed button stop blinking, perhaps with a short note."""
        bot = await self._open()
        with _translated():
            await bot.answer_callback_query(pressed, text=text or None, show_alert=bool(text))

    async def offer(self, commands: Sequence[tuple[str, str]]) -> None:
        """Let Telegram's menu show commands, each with what it does."""
        bot = await self._open()
        with _translated():
            await bot.set_my_commands(list(commands))

    async def who(self) -> Person:
        """Ask who the token belongs to."""
        bot = await self._open()
        with _translated():
            me = await bot.get_me()
        return Person(me.id, f"@{me.username}" if me.username else me.first_name)

    # -- hearing

    async def forget_pending(self) -> None:
        """Let Telegram drop what was said while nobody listened."""
        bot = await self._open()
        with _translated():
            await bot.delete_webhook(drop_pending_updates=True)

    async def updates(self, offset: int, wait_s: float) -> list[Any]:
        """Hear what was said since ``offset``, as Telegram's own JSON; waits ``wait_s`` seconds for something.

        One update that is not as it should be must not hide the others, so none of them is read here. Raises as
        :meth:`send` does; :class:`RefusedError` is another program that listens by the same token.
        """
        bot = await self._open()
        asked = {"offset": offset, "timeout": int(wait_s), "allowed_updates": ["message", "callback_query"]}
        with _translated():
            # Telegram's methods know no case; by its own spelling the library insists on reading updates itself.
            heard = await bot.do_api_request("GetUpdates", asked, read_timeout=wait_s + self._timeout_s)
        if not isinstance(heard, list):
            raise UnclearError("telegram: its answer is not understood")
        return heard


def _keyboard(buttons: Buttons) -> InlineKeyboardMarkup | None:
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup

    if not buttons:
        return None
    return InlineKeyboardMarkup([[InlineKeyboardButton(b.label, callback_data=b.data) for b in row] for row in buttons])


@contextlib.contextmanager
def _translated() -> Any:
    """Say what a failure means for a message: certainly not there, perhaps there, never taken."""
    from telegram import error as told

    try:
        yield
    except told.RetryAfter as error:
        after = error.retry_after
        raise LaterError(
            "telegram: too many messages", after if isinstance(after, int) else after.total_seconds()
        ) from None
    except told.Conflict:
        raise RefusedError("telegram: another program listens by the same token; stop it") from None
    except (told.InvalidToken, told.EndPointNotFound):
        raise LaterError("telegram: the token is rejected; run `itb telegram setup`", _REJECTED_S) from None
    except (told.BadRequest, told.Forbidden, told.ChatMigrated) as error:
        raise RefusedError(f"telegram: {shown(str(error))}") from None
    except told.NetworkError as error:
        cause = type(error.__cause__).__name__
        if cause in _NEVER_LEFT:
            raise LaterError(f"telegram: cannot be reached ({cause}); is this machine online?") from None
        raise UnclearError(f"telegram: {shown(str(error)).split(':')[0]}") from None
    except told.TelegramError as error:
        raise UnclearError(f"telegram: {shown(str(error))}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnclearError(f"telegram: its answer is not understood ({type(error).__name__})") from None


@dataclass(frozen=True)
class Telegram:
    """Send messages to a Telegram chat, group or channel, by the bot whose token is ``ITB_TELEGRAM_TOKEN``.

    Parameters
    ----------
    chat
        Number of the chat, or ``@name`` of a channel; 0: the one in ``[telegram]``.
    pace_s
        Seconds between two messages: Telegram takes one a second in a chat, twenty a minute in a group.
    address
        Where the Bot API is; empty: Telegram's own.
    timeout_s
        Seconds to wait for an answer; while nothing is said, Telegram is asked to hold it back as long (30 at most).
    """

    chat: int | str = 0
    pace_s: float = 1.0
    address: str = ""
    timeout_s: float = _TIMEOUT_S

    def __post_init__(self) -> None:
        if isinstance(self.chat, str) and not self.chat.startswith("@"):
            raise ValueError(f'chat must be a number or "@name", was {self.chat!r}')
        if not 0 <= self.pace_s <= 600:
            raise ValueError(f"pace_s must be from 0 to 600, was {self.pace_s}")
        if not 0 < self.timeout_s <= 120:
            raise ValueError(f"timeout_s must be above 0 and at most 120, was {self.timeout_s}")

    def open(self, access: Access) -> TelegramWay:
        """Open it."""
        chat = self.chat or access.telegram_chat
        if not chat:
            raise ValueError("chat must be set, here or in telegram.chat; `itb telegram setup` finds it")
        return TelegramWay(self.line(access.secret("telegram_token")), chat, self.pace_s)

    def line(self, token: str) -> TelegramLine:
        """Give a connection of its own for a bot that listens."""
        return TelegramLine(token, self.address, self.timeout_s)


@dataclass(frozen=True)
class TelegramWay:
    """One chat."""

    line: TelegramLine
    chat: int | str
    pace_s: float = 1.0
    limit: int = LIMIT
    caption_limit: int = CAPTION_LIMIT

    async def send(self, message: Outgoing) -> None:
        """Send a message."""
        await self.line.send(self.chat, message.text, picture=message.picture, is_quiet=message.is_quiet)

    async def close(self) -> None:
        """Let go of the connections."""
        await self.line.close()
