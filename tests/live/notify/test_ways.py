"""The other ways out: signed webhooks, files, the console, apprise."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from itb.live.notify.ways.apprised import Apprise
from itb.live.notify.ways.plain import ConsoleWay, Lines, LinesWay
from itb.live.notify.ways.way import Access, LaterError, Outgoing, RefusedError, UnclearError, Way
from itb.live.notify.ways.webhook import SIGNATURE, STAMP, Webhook, WebhookWay

MESSAGE = Outgoing("k1#abcd", 1_700_000_000_000, "alert", "<b>🛑 Halted:</b> 1 &lt; 2\nnow", b"\x89PNG", is_quiet=True)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def exchange(handler: Handler, make: Callable[[str], Way]) -> Exception | None:
    """Send the message to a server on this machine; give what the way raised."""

    async def work() -> Exception | None:
        app = web.Application()
        app.router.add_post("/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        way = make(f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
        try:
            await way.send(MESSAGE)
        except (LaterError, UnclearError, RefusedError) as error:
            return error
        finally:
            await way.close()
            await runner.cleanup()
        return None

    return asyncio.run(work())


def hook(url: str, timeout_s: float = 60.0) -> Way:
    return WebhookWay(Webhook(url, timeout_s=timeout_s), "key", lambda: 1_700_000_001.5)


def test_a_webhook_is_json_that_its_receiver_can_verify() -> None:
    seen = []

    async def receive(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen.append((body, request.headers[STAMP], request.headers[SIGNATURE]))
        return web.Response(status=204)

    assert exchange(receive, hook) is None
    ((body, stamp, signed),) = seen
    assert stamp == "1700000001"
    assert signed == "sha256=" + hmac.new(b"key", b"1700000001." + body, hashlib.sha256).hexdigest()
    assert json.loads(body) == {
        "id": "k1#abcd",
        "time": 1_700_000_000_000,
        "topic": "alert",
        "text": "🛑 Halted: 1 < 2\nnow",
        "html": "<b>🛑 Halted:</b> 1 &lt; 2\nnow",
        "quiet": True,
        "repeat": False,
        "picture": base64.b64encode(b"\x89PNG").decode(),
    }


@pytest.mark.parametrize(
    ("status", "headers", "kind", "after"),
    [
        (429, {"Retry-After": "17"}, LaterError, 17.0),
        (429, {}, LaterError, 0.0),
        (500, {}, UnclearError, None),
        (503, {"Retry-After": "17"}, UnclearError, None),
        (400, {}, RefusedError, None),
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, RefusedError, None),
    ],
)
def test_an_answer_says_what_became_of_the_message(
    status: int, headers: dict[str, str], kind: type[Exception], after: float | None
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    error = exchange(answer, hook)
    assert type(error) is kind
    if isinstance(error, LaterError):
        assert error.after_s == after


def test_no_answer_may_have_been_an_arrival_and_no_connection_was_none() -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert isinstance(exchange(hang, lambda url: hook(url, timeout_s=0.3)), UnclearError)
    assert isinstance(exchange(reset, hook), UnclearError)
    assert isinstance(exchange(reset, lambda _: hook("http://127.0.0.1:1/hook")), LaterError)


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://127.0.0.1", "https://me:secret@host/x", "hook", ""])
def test_a_webhook_goes_over_https_and_holds_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="url must") as caught:
        Webhook(url)
    assert "secret@" not in str(caught.value)


def test_lines_are_appended(tmp_path: Path) -> None:
    way = Lines("sub/said.jsonl").open(Access(folder=tmp_path))
    asyncio.run(way.send(MESSAGE))
    asyncio.run(way.send(MESSAGE))
    lines = [json.loads(line) for line in (tmp_path / "sub" / "said.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == ["🛑 Halted: 1 < 2\nnow"] * 2


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LaterError, match=r"Not a directory|File exists"):
        asyncio.run(LinesWay(tmp_path / "file" / "said.jsonl").send(MESSAGE))


def test_the_console_shows_plain_text() -> None:
    said: list[str] = []
    asyncio.run(ConsoleWay(said.append).send(MESSAGE))
    assert said == ["2023-11-14 22:13 🛑 Halted: 1 < 2\nnow (with a picture)\n"]


def test_apprise_needs_its_extra_and_its_addresses() -> None:
    with pytest.raises(ValueError, match=r"extra|expected ITB_APPRISE_URLS"):
        Apprise().open(Access())
    with pytest.raises(ValueError, match="limit must be"):
        Apprise(limit=5)


@pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning", "ignore::ResourceWarning")
def test_apprise_sends_text_and_picture_and_says_when_nobody_took_it() -> None:
    pytest.importorskip("apprise", reason="the extra apprise is not installed")
    seen: list[dict[str, object]] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        seen.append(await request.json())
        return web.Response(status=200 if len(seen) == 1 else 500)

    def make(url: str) -> Way:
        return Apprise().open(Access({"apprise_urls": url.replace("http://", "json://")}))

    assert exchange(receive, make) is None
    assert "Halted:" in str(seen[0]["message"])
    attached = seen[0]["attachments"]
    assert isinstance(attached, list)
    assert len(attached) == 1
    assert isinstance(exchange(receive, make), UnclearError)
    with pytest.raises(ValueError, match="address 2 of ITB_APPRISE_URLS is none that apprise knows"):
        Apprise().open(Access({"apprise_urls": "json://127.0.0.1/ nonsense://x"}))
