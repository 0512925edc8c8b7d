"""The bot: listens to Telegram, lets the dialogue answer, and never stops trying."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING, TypeVar

from itb.live.notify.chat.commands import COMMANDS
from itb.live.notify.chat.incoming import Heard, read_update, update_number
from itb.live.notify.message import split
from itb.live.notify.telegram import CAPTION_LIMIT, LIMIT, LONGEST_POLL_S, Button
from itb.live.notify.ways.way import LaterError, RefusedError, UnclearError

if TYPE_CHECKING:
    from itb.live.notify.chat.command import Answer
    from itb.live.notify.chat.dialogue import Dialogue, Reply
    from itb.live.notify.chat.incoming import Incoming
    from itb.live.notify.message import Drawing
    from itb.live.notify.telegram import TelegramLine

_log = logging.getLogger(__name__)
Value = TypeVar("Value")
_FAILED = (LaterError, UnclearError, RefusedError)
_LONGEST_WAIT_S = 60.0
_WORKS = 3  # longer works, such as backtests, at the same time


async def _here(act: Callable[[], Value]) -> Value:
    return act()


def _draw(drawing: Drawing) -> bytes:
    return drawing.png()


class ChatBot:
    """Hears updates one after the other and answers them.

    What was said before anybody listened is dropped. One that is cancelled still says what it has decided, and leaves
    what it has not to whoever goes on with the same ``heard``.

    Parameters
    ----------
    clock
        UTC milliseconds now.
    call
        Runs what speaks to the cockpit where that may be done; the default is this thread.
    draw
        Draws a picture; whatever it raises costs the picture alone. Called in a thread.
    wait_s
        How long Telegram may hold an answer back while nothing is said.
    nap
        Lets seconds pass.
    heard
        Up to where the life before has heard, and where this one writes it down.
    """

    def __init__(
        self,
        line: TelegramLine,
        dialogue: Dialogue,
        clock: Callable[[], int],
        *,
        call: Callable[[Callable[[], Reply | None]], Awaitable[Reply | None]] | None = None,
        draw: Callable[[Drawing], bytes] = _draw,
        wait_s: float = LONGEST_POLL_S,
        nap: Callable[[float], Awaitable[None]] = asyncio.sleep,
        heard: Heard | None = None,
    ) -> None:
        self._line, self._dialogue, self._clock, self._call, self._wait_s = line, dialogue, clock, call or _here, wait_s
        self._draw = draw
        self._nap = nap
        self._heard = Heard() if heard is None else heard
        self._failed = 0
        self._works: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            await self._begin()
            while True:
                try:
                    await self.listen()
                except Exception:  # noqa: BLE001  whatever one update brings, the next one is heard
                    _log.exception("chat: hearing failed")
                    await self._nap(5.0)
        finally:
            for work in self._works:
                work.cancel()
            await asyncio.gather(*self._works, return_exceptions=True)
            await self._line.close()

    async def _begin(self) -> None:
        while True:
            try:
                if self._heard.next is None:
                    await self._line.forget_pending()
                    self._heard.next = 0
                await self._line.offer([(one.name, one.help) for one in COMMANDS.values()])
            except _FAILED as error:
                await self._wait_after(error)
            else:
                return

    async def listen(self) -> None:
        """Hear once, and answer what was said."""
        begin = self._heard.next or 0
        try:
            heard = await self._line.updates(begin, self._wait_s)
        except _FAILED as error:
            await self._wait_after(error)
            return
        if self._failed:
            _log.info("chat: hears again after %d failures", self._failed)
        self._failed = 0
        for raw in heard:
            number = update_number(raw)
            if number is None or number < (self._heard.next or 0):
                continue
            self._heard.next = number + 1
            said = read_update(raw)
            if said is not None:
                await self._answer(said)
        if heard and not any(update_number(raw) is not None for raw in heard):
            await self._nap(1.0)  # nothing in it can be confirmed: the same would come again at once

    async def _answer(self, said: Incoming) -> None:
        now = self._clock()
        try:
            reply = await self._call(lambda: self._dialogue.hear(said, now))
        except asyncio.CancelledError:
            self._heard.next = said.update
            raise
        if reply is None:
            return
        replying = asyncio.create_task(self._reply(said, reply))
        try:
            await asyncio.shield(replying)
        except asyncio.CancelledError:
            await replying  # whoever cannot wait for it cancels again
            raise

    async def _reply(self, said: Incoming, reply: Reply) -> None:
        try:
            if reply.pressed:
                await self._line.acknowledge(reply.pressed, reply.note)
            if reply.answer is not None:
                await self._say(said.chat, reply, reply.answer)
        except _FAILED as error:
            _log.warning("chat: an answer did not arrive: %s", error)
        except Exception:  # noqa: BLE001  a picture that cannot be drawn must not end the conversation
            _log.exception("chat: an answer failed")

    async def _say(self, chat: int, reply: Reply, answer: Answer) -> None:
        buttons = [[Button(*one) for one in reply.buttons]] if reply.buttons else []
        if answer.drawing is not None:
            await self._drawn(chat, answer.text, answer.drawing)
            return
        parts = split(answer.text, LIMIT)
        if reply.edits and len(parts) == 1:
            await self._line.edit(chat, reply.edits, parts[0], buttons)
        else:
            for place, part in enumerate(parts):
                await self._patiently(chat, part, buttons if place == len(parts) - 1 else [])
        if answer.work is not None:
            self._begin_work(chat, answer)

    async def _patiently(self, chat: int, text: str, buttons: list[list[Button]]) -> None:
        """Send a part; where Telegram asks to wait a little, wait once."""
        try:
            await self._line.send(chat, text, buttons=buttons)
        except LaterError as error:
            await self._nap(min(error.after_s or 1.0, 30.0))
            await self._line.send(chat, text, buttons=buttons)

    async def _drawn(self, chat: int, text: str, drawing: Drawing) -> None:
        try:
            picture = await asyncio.to_thread(self._draw, drawing)
        except Exception as error:  # noqa: BLE001  an answer without its picture is better than none
            await self._patiently(chat, f"{text}\n<i>{escape(str(error)) or 'no picture'}</i>", [])
        else:
            await self._picture(chat, text, picture)

    async def _picture(self, chat: int, text: str, picture: bytes) -> None:
        head, *rest = split(text, CAPTION_LIMIT)
        await self._line.send(chat, head, picture=picture)
        for part in rest:
            await self._line.send(chat, part)

    def _begin_work(self, chat: int, answer: Answer) -> None:
        assert answer.work is not None
        if len(self._works) >= _WORKS:
            return
        task = asyncio.create_task(self._work(chat, answer.work))
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    async def _work(self, chat: int, work: Callable[[], Awaitable[object]]) -> None:
        from itb.errors import ItbError
        from itb.live.notify.chat.bridge import Report

        try:
            report = await work()
        except asyncio.CancelledError:
            report = Report("It was not finished: the bot has ended or begun anew. Ask again.")
        except ItbError as error:
            report = Report(str(error))
        except Exception:  # noqa: BLE001  whatever fails behind the cockpit, the conversation goes on
            _log.exception("chat: a longer work failed")
            report = Report("It failed; the log says why.")
        assert isinstance(report, Report)
        try:
            text = escape(report.text)
            if report.picture is not None:
                await self._picture(chat, text, report.picture)
            else:
                for part in split(text, LIMIT):
                    await self._line.send(chat, part)
        except _FAILED as error:
            _log.warning("chat: what a longer work found did not arrive: %s", error)

    async def _wait_after(self, error: Exception) -> None:
        if not self._failed:
            _log.warning("chat: %s", error)
        self._failed += 1
        after = error.after_s if isinstance(error, LaterError) else 0.0
        await self._nap(after or min(_LONGEST_WAIT_S, 2.0 ** min(self._failed - 1, 6)))
