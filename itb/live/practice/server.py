"""HTTP and websockets around the practice exchange; it listens on this machine only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

from itb.live.practice import control, refusals, socket_api
from itb.live.practice.exchange import Call, Exchange, Reply
from itb.live.practice.params import Params
from itb.live.practice.refusals import RefusedError
from itb.live.practice.streams import Listener

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

HOST = "127.0.0.1"
_MOST_BYTES = 64 * 1024
_HTML = "<html><body><h1>Under maintenance</h1></body></html>"
_ERRORS = ((500, json.dumps(RefusedError(refusals.INTERNAL).body)), (502, _HTML), (503, ""), (504, _HTML))
_STREAM_PATHS = ("/ws", "/stream/ws")
_LISTEN_KEY = "practice-listen-key"


class Server:
    """Serves an exchange; ``hold_s`` is how long an answer that never comes keeps its connection."""

    def __init__(self, exchange: Exchange, *, hold_s: float = 60.0) -> None:
        self.exchange, self._hold_s = exchange, hold_s
        self._runner: web.AppRunner | None = None
        self._time: asyncio.Task[None] | None = None
        self.url = ""
        self._asked_at = time.monotonic()

    async def start(self, port: int = 0) -> str:
        """Listen on a port (0: any that is free), let time run, and give the address."""
        app = web.Application(client_max_size=_MOST_BYTES)
        for path in ("/ws", "/ws/{tail:.*}", "/stream", "/stream/ws", "/stream/ws/{tail:.*}"):
            app.router.add_get(path, self._market_socket)
        app.router.add_get("/ws-api/v3", self._api_socket)
        for method in ("POST", "PUT", "DELETE"):
            app.router.add_route(method, "/api/v3/userDataStream", self._listen_key)
        app.router.add_route("*", "/practice/{name}", self._control)
        app.router.add_route("*", "/{tail:.*}", self._rest)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://{HOST}:{bound}"
        self._time = asyncio.get_running_loop().create_task(self.exchange.keep_time())
        return self.url

    async def stop(self) -> None:
        """Stop: time first, then listeners, then the socket."""
        if self._time is not None:
            self._time.cancel()
            await asyncio.gather(self._time, return_exceptions=True)
        self.exchange.streams.close()
        await asyncio.sleep(0)
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def failure(self) -> BaseException | None:
        """What stopped the time, if anything did."""
        task = self._time
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    @property
    def idle_s(self) -> float:
        """Seconds since the last request."""
        return time.monotonic() - self._asked_at

    # ---- REST

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self._asked_at = time.monotonic()
        body = await request.text()
        payload = re.sub(r"&?signature=[0-9a-zA-Z%+/=]*", "", request.query_string + body)
        texts = dict(parse_qsl(request.query_string, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True))
        call = Call(request.method, request.path, Params(texts), payload, request.headers.get("X-MBX-APIKEY"))
        reply = await self.exchange.answer(call)
        return await self._send(request, reply)

    async def _send(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        text = json.dumps(reply.body, separators=(",", ":"))
        headers = {**self.exchange.meter.headers, **reply.headers}
        broken = reply.broken
        if broken in {"error_before", "error_after"}:
            status, error_text = _ERRORS[int(self.exchange.faults.share(broken) * len(_ERRORS))]
            return web.Response(text=error_text, status=status, headers=headers)
        if broken in {"reset_before", "reset_after"}:
            return _abort(request)
        if broken in {"timeout_before", "timeout_after"}:
            await asyncio.sleep(self._hold_s)
            return _abort(request)
        if broken == "cut_body":
            return await _cut(request, text)
        if broken == "html":
            return web.Response(text=_HTML, content_type="text/html", headers=headers)
        if broken is not None:
            text = "" if broken == "empty" else text[: len(text) // 2]
        return web.Response(text=text, status=reply.status, content_type="application/json", headers=headers)

    async def _listen_key(self, request: web.Request) -> web.StreamResponse:
        try:
            self.exchange.guard.check_key(request.headers.get("X-MBX-APIKEY"))
        except RefusedError as error:
            return web.json_response(error.body, status=error.words.status)
        return web.json_response({"listenKey": _LISTEN_KEY} if request.method == "POST" else {})

    async def _control(self, request: web.Request) -> web.StreamResponse:
        self._asked_at = time.monotonic()
        try:
            sent: Any = await request.json() if request.can_read_body else {}
            name = request.match_info["name"]
            return web.json_response(control.control(self.exchange, request.method, name, sent))
        except RefusedError as error:
            return web.json_response(error.body, status=error.words.status)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"code": -1100, "msg": f"cannot read the request: {error!r}"}, status=400)

    # ---- websockets

    async def _market_socket(self, request: web.Request) -> web.StreamResponse:
        listener = Listener(is_combined=request.path == "/stream")
        tail = request.match_info.get("tail", "")
        named = request.query.get("streams", "") or (tail if "@" in tail else "")
        if tail == _LISTEN_KEY:
            listener.user = "plain"
        with contextlib.suppress(ValueError):
            listener.subscribe(filter(None, named.split("/")))
        return await self._listen(request, listener, self._subscribe)

    async def _api_socket(self, request: web.Request) -> web.StreamResponse:
        return await self._listen(request, Listener(), self._ask)

    async def _listen(self, request: web.Request, listener: Listener, react: Any) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False, max_msg_size=_MOST_BYTES)
        await socket.prepare(request)
        self.exchange.streams.listeners.add(listener)
        writer = asyncio.get_running_loop().create_task(_write(socket, listener, request))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await react(listener, message.data)
        finally:
            self.exchange.streams.listeners.discard(listener)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def _subscribe(self, listener: Listener, text: str) -> None:
        try:
            sent = json.loads(text)
            method, names, number = sent.get("method"), sent.get("params") or [], sent.get("id")
            if method == "SUBSCRIBE":
                listener.subscribe(names)
            elif method == "UNSUBSCRIBE":
                listener.names -= set(names)
            found = sorted(listener.names) if method == "LIST_SUBSCRIPTIONS" else None
            listener.put(json.dumps({"result": found, "id": number}))
        except (ValueError, TypeError, AttributeError) as error:
            words = {"code": 2, "msg": f"Invalid request: {error}"}
            listener.put(json.dumps({"error": words, "id": None}))

    async def _ask(self, listener: Listener, text: str) -> None:
        frame = await socket_api.ask(self.exchange, listener, text)
        if frame is not None:
            listener.put(frame)


async def _write(socket: web.WebSocketResponse, listener: Listener, request: BaseRequest) -> None:
    while (frame := await listener.frames.get()) is not None:
        await socket.send_str(frame)
    if request.transport is not None:
        request.transport.abort()


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, text: str) -> web.StreamResponse:
    whole = text.encode() or b"{}"
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@contextlib.contextmanager
def serving(exchange: Exchange, *, port: int = 0, hold_s: float = 60.0) -> Iterator[Server]:
    """Serve an exchange from a thread of its own while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="practice-exchange", daemon=True)
    thread.start()
    server = Server(exchange, hold_s=hold_s)
    try:
        asyncio.run_coroutine_threadsafe(server.start(port), loop).result()
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
