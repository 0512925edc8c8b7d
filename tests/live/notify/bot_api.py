"""Telegram's Bot API on this machine, as far as a bot needs it, and able to fail in every way that it is known to."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from itb.live.notify.message import size

TOKEN = "123456789:CANARY-never-show-this-token-anywhere"
OWNER, READER, STRANGER = 7001, 7002, 6666


@dataclass
class Call:
    """One call that the bot made, and whether it took effect."""

    method: str
    said: dict[str, Any]
    picture: bytes = b""
    had_effect: bool = False


@dataclass
class BotApi:
    """A server in a thread of its own; ``with BotApi() as api``.

    ``faults[method]`` holds what happens to the next calls of a method, ``faults["METHOD to CHAT"]`` to those that go
    to a chat: ``429:SECONDS``, ``502``, ``400:why``, ``403``, ``409``, ``401``, ``hang_before``, ``hang_after`` (took
    effect, no answer; hearing, the answer that does not arrive has updates), ``reset``, ``malformed``, ``nonsense``
    (JSON that is no answer) or ``ok``. ``outage``, one of these, is what happens to every call while it is set.
    """

    token: str = TOKEN
    calls: list[Call] = field(default_factory=list)
    faults: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    updates: deque[Any] = field(default_factory=deque)
    now: int = 1_700_000_000
    outage: str = ""
    hang_s: float = 120.0
    dropped: int = 0
    longest_poll_s: float = 0.2

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(60)

    async def _serve(self) -> None:
        self._loop, self._stopped, self._said = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._number, self._message = 100, 500
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stopped.wait()
        await runner.cleanup()

    # -- what people do

    def hear(self, raw: Any) -> None:
        """Let the bot hear an update as it is."""
        self._loop.call_soon_threadsafe(self._hear, raw)

    def _hear(self, raw: Any) -> None:
        if isinstance(raw, dict) and raw.get("update_id") == "next":
            self._number += 1
            raw = {**raw, "update_id": self._number}
        self.updates.append(raw)
        self._said.set()

    def say(self, text: str, user: int = OWNER, **more: Any) -> None:
        """Type something in a private chat."""
        self.hear({"update_id": "next", "message": message(text, user, self.now, **more)})

    def press(self, data: str, user: int = OWNER, number: int = 500, **more: Any) -> None:
        """Press a button below a message of the bot."""
        chat = {"id": user, "type": "private"}
        shown = {"message_id": number, "date": self.now, "chat": chat}
        press = {"id": f"press-{data}-{user}", "from": person(user), "message": shown, "data": data, **more}
        self.hear({"update_id": "next", "callback_query": press})

    # -- what the bot did

    def sent(self, *methods: str) -> list[Call]:
        """Give the calls that had an effect."""
        wanted = methods or ("sendMessage", "sendPhoto", "editMessageText")
        return [call for call in self.calls if call.method in wanted and call.had_effect]

    def texts(self) -> list[str]:
        """Give what people see of them."""
        return [call.said.get("text") or call.said.get("caption", "") for call in self.sent()]

    # -- answering

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self.token:
            return _refusal(401, "Unauthorized")
        method = request.match_info["method"]
        method = method[0].lower() + method[1:]
        said, picture = await _read(request)
        call = Call(method, said, picture)
        if method != "getUpdates" or self.faults[method]:
            self.calls.append(call)
        waiting = self.faults[f"{method} to {said.get('chat_id')}"] or self.faults[method]
        fault = waiting.popleft() if waiting else self.outage or "ok"
        if (refusal := await self._refuse(request, fault)) is not None:
            return refusal
        if fault == "hang_after" and method == "getUpdates":
            await self._until_said()
        answer = await self._act(call)
        if fault == "hang_after":
            await asyncio.sleep(self.hang_s)
        return answer

    async def _refuse(self, request: web.Request, fault: str) -> web.StreamResponse | None:
        kind, _, why = fault.partition(":")
        if kind == "hang_before":
            await asyncio.sleep(self.hang_s)
            return _refusal(504, "Gateway Timeout")
        if kind == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if kind == "malformed":
            return web.Response(text='{"ok": true, "result": [', content_type="application/json")
        if kind == "nonsense":
            return web.json_response({"ok": True, "result": {"surprise": 1}})
        if kind == "502":
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        if kind == "429":
            after = int(why or 1)
            return _refusal(429, f"Too Many Requests: retry after {after}", {"retry_after": after})
        if kind in {"400", "401", "403", "409"}:
            told = {"401": "Unauthorized", "403": "Forbidden: bot was blocked by the user",
                    "409": "Conflict: terminated by other getUpdates request"}  # fmt: skip
            return _refusal(int(kind), why or told.get(kind, "Bad Request"))
        return None

    async def _act(self, call: Call) -> web.StreamResponse:
        said = call.said
        if call.method == "getUpdates":
            return await self._give_updates(said)
        if call.method == "getMe":
            me = {"id": 123456789, "is_bot": True, "first_name": "Bot", "username": "the_bot"}
            return web.json_response({"ok": True, "result": me})
        if call.method == "deleteWebhook" and said.get("drop_pending_updates") in {True, "true", "True"}:
            self.dropped += len(self.updates)
            self.updates.clear()
        if call.method in {"sendMessage", "sendPhoto", "editMessageText"}:
            if (why := _wrong(call)) is not None:
                return _refusal(400, f"Bad Request: {why}")
            self._message += 1
            call.had_effect = True
            chat = {"id": OWNER, "type": "private"}
            sent = {"message_id": self._message, "date": self.now, "chat": chat, "text": said.get("text", "")}
            return web.json_response({"ok": True, "result": sent})
        call.had_effect = True
        return web.json_response({"ok": True, "result": True})

    async def _until_said(self) -> None:
        while not self.updates:
            self._said.clear()
            await self._said.wait()

    async def _give_updates(self, said: dict[str, Any]) -> web.StreamResponse:
        offset = int(said.get("offset", 0))
        wait = min(float(said.get("timeout", 0)), self.longest_poll_s)
        until = self._loop.time() + wait
        while True:
            while self.updates and _number(self.updates[0]) < offset:
                self.updates.popleft()
            left = until - self._loop.time()
            if self.updates or left <= 0:
                return web.json_response({"ok": True, "result": list(self.updates)[:100]})
            self._said.clear()
            try:
                async with asyncio.timeout(left):
                    await self._said.wait()
            except TimeoutError:
                continue


def person(user: int) -> dict[str, Any]:
    """A person as Telegram writes one."""
    return {"id": user, "is_bot": False, "first_name": f"User {user}"}


def message(text: str, user: int, date: int, **more: Any) -> dict[str, Any]:
    """A message typed in a private chat; ``more`` replaces or adds keys."""
    chat = {"id": user, "type": "private"}
    return {"message_id": 1, "date": date, "chat": chat, "from": person(user), "text": text, **more}


def _number(raw: Any) -> int:
    number = raw.get("update_id") if isinstance(raw, dict) else None
    return number if isinstance(number, int) else 1 << 60


async def _read(request: web.Request) -> tuple[dict[str, Any], bytes]:
    if request.content_type == "application/json":
        return dict(await request.json()), b""
    if request.content_type != "multipart/form-data":
        return dict(await request.post()), b""
    said, picture = {}, b""
    boundary = request.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
    for part in (b"\r\n" + await request.read()).split(b"\r\n--" + boundary)[1:-1]:  # aiohttp's own reader warns
        head, _, content = part.partition(b"\r\n\r\n")
        named = re.search(rb'[; ]name="([^"]*)"', head)
        assert named is not None
        if b"filename=" in head:
            picture = content
        else:
            said[named[1].decode()] = content.decode()
    return said, picture


def _refusal(code: int, why: str, parameters: dict[str, Any] | None = None) -> web.Response:
    body = {"ok": False, "error_code": code, "description": why} | ({"parameters": parameters} if parameters else {})
    return web.json_response(body, status=code)


def _wrong(call: Call) -> str | None:
    """Say what Telegram would refuse of a message: its length, its markup, its buttons."""
    text = str(call.said.get("caption" if call.method == "sendPhoto" else "text", ""))
    if call.said.get("parse_mode") == "HTML":
        stack: list[str] = []
        for close, tag in re.findall(r"<(/?)([^>]*)>", text):
            if tag not in {"b", "i", "code", "pre"} or (close and (not stack or stack.pop() != tag)):
                return f'can\'t parse entities: Unsupported start tag "{tag}"'
            if not close:
                stack.append(tag)
        if stack or re.search(r"&(?!(?:amp|lt|gt|quot|#\d+);)", text):
            return "can't parse entities: Can't find end tag"
    length = size(text)
    if length > (1024 if call.method == "sendPhoto" else 4096):
        return "message caption is too long" if call.method == "sendPhoto" else "message is too long"
    if not length and call.method != "sendPhoto":
        return "message text is empty"
    markup = json.loads(call.said.get("reply_markup") or "{}")
    if any(len(button["callback_data"].encode()) > 64 for row in markup.get("inline_keyboard", []) for button in row):
        return "BUTTON_DATA_INVALID"
    return None
