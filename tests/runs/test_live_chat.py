"""A running bot, followed and steered from a chat: real processes, the real client, Telegram on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.runs.rehearsal import find_exchange
from tests.live.notify.bot_api import OWNER, READER, STRANGER, TOKEN, BotApi

CONFIG = """
[data]
timeframe = "1m"
[synthetic]
bars = 16000
[walkforward]
train = 5000
refit_every = 1000
workers = 1
[model]
rounds = 20
[strategy]
buy_threshold = 0.42
sell_threshold = 0.38
[[protections]]
kind = "cooldown"
stop_duration = 600
[telegram]
chat = {owner}
owners = [{owner}]
readers = [{reader}]
[[ways]]
kind = "telegram"
address = "{url}"
pace_s = 0
[[outputs]]
kind = "score_steps"
[[outputs]]
kind = "signals"
[[outputs]]
kind = "trades"
[[outputs]]
kind = "alerts"
[[outputs]]
kind = "summary"
[[outputs]]
kind = "diagram"
every = "15m"
"""
ASKED = {
    "/status": "BTC/USDT", "/profit": "", "/daily": "", "/weekly": "", "/monthly": "", "/performance": "",
    "/balance": "USDT", "/count": "positions", "/trades": "", "/orders": "", "/score BTC/USDT": "up_12",
    "/scoreboard": "", "/model": "up_12", "/shadow": "", "/optimize status": "no search", "/health": "",
    "/logs 3": "TICK", "/backtest": "Backtest asked by",
    "/show_config data": "1m", "/whitelist": "BTC/USDT", "/blacklist": "None", "/locks": "", "/version": "itb",
    "/help": "/forceenter",
}  # fmt: skip


class Chat:
    """A bot in a process, and a person who writes to it."""

    def __init__(self, folder: Path, api: BotApi) -> None:
        self.folder, self.api = folder, api
        (folder / "itb.toml").write_text(CONFIG.format(owner=OWNER, reader=READER, url=api.url))
        command = [
            sys.executable,
            "-c",
            "from itb.cli import main; main()",
            "live",
            "--practice",
            "--speed",
            "600",
            "--bars",
            "9000",
        ]
        environment = {**os.environ, "ITB_TELEGRAM_TOKEN": TOKEN}
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=self.log, stderr=self.log)

    def until(self, is_so: Callable[[], Any], what: str, seconds: float = 240) -> Any:
        """Wait for something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := is_so():
                return found
            time.sleep(0.02)
        log = (self.folder / "log").read_text()[-2000:]
        raise AssertionError(f"{what} did not come; {self.api.texts()[-5:]}; {log}")

    def ask(self, text: str, wanted: str, user: int = OWNER) -> str:
        """Say something and give the answer, which is not a notice of the outputs."""
        before = len(self.api.sent())
        self.api.now = int(time.time())
        self.api.say(text, user)
        return str(self.until(lambda: self._said(before, wanted), f"the answer to {text}"))

    def _said(self, before: int, wanted: str) -> str:
        texts = [call.said.get("text") or call.said.get("caption", "") for call in self.api.sent()[before:]]
        return next((text for text in texts if wanted in text and not text.startswith(("₿", "🟢", "🔴"))), "")

    def order(self, text: str, wanted: str) -> str:
        """Give an order and say yes."""
        before = len(self.api.sent("sendMessage"))
        self.ask(text, "Within")
        call = next(one for one in self.api.sent("sendMessage")[before:] if "Within" in str(one.said.get("text")))
        keys = call.said["reply_markup"]
        keys = json.loads(keys) if isinstance(keys, str) else keys
        edits = len(self.api.sent("editMessageText"))
        self.api.press(keys["inline_keyboard"][0][0]["callback_data"])
        found = self.until(lambda: self.api.sent("editMessageText")[edits:], f"the end of {text}")
        answer = str(found[0].said["text"])
        assert wanted in answer
        return answer

    def book(self) -> Book:
        """Read the journal."""
        journal = Journal(self.folder / "runs" / "live" / "bot-practice" / "journal.sqlite")
        try:
            return Book().replay(journal.events())
        finally:
            journal.close()

    def end(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        found = find_exchange(self.folder / "runs" / "live" / "bot-practice")
        if found is not None:
            found.stop()


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    with BotApi() as api:
        talking = Chat(tmp_path, api)
        try:
            yield talking
        finally:
            talking.end()


def test_a_bot_is_followed_and_steered_from_a_chat(chat: Chat) -> None:
    chat.until(lambda: any("📈" in text or "📉" in text or "₿" in text for text in chat.api.texts()), "the first score")
    chat.api.say("/status", STRANGER)
    for text, wanted in ASKED.items():
        assert wanted in chat.ask(text, wanted)
    assert "/forceenter" not in chat.ask("/help", "/status", READER)
    assert "not a command" in chat.ask("/stop", "not a command", READER)
    chart = len(chat.api.sent("sendPhoto"))
    chat.ask("/chart BTC/USDT", "")
    chat.until(lambda: len(chat.api.sent("sendPhoto")) > chart, "the chart")

    chat.order("/pause", "paused")
    chat.until(lambda: chat.book().halted, "the pause")
    chat.order("/resume", "resumed")
    chat.until(lambda: not chat.book().halted, "the end of the pause")
    chat.order("/block BTC/USDT", "blocked")
    assert "BTC/USDT" in chat.ask("/blacklist", "BTC/USDT")
    chat.order("/unblock BTC/USDT", "again")
    chat.order("/unlock all", "")
    _enter(chat)
    chat.until(lambda: any(chat.book().positions.values()), "the position")
    chat.order("/cancel all", "cancelling")
    chat.order("/forceexit all", "closing")
    chat.until(lambda: not any(chat.book().positions.values()), "the exit")
    chat.order("/reload_config", "sound")
    chat.until(lambda: (chat.folder / "log").read_text().count("Beginning anew"), "the new life")
    chat.until(lambda: (chat.folder / "log").read_text().count("state in") > 1, "the new life")
    time.sleep(1)
    chat.order("/stop", "stopping")
    assert chat.process.wait(60) == 0
    told = {str(call.said["chat_id"]) for call in chat.api.sent("sendMessage")}
    assert told <= {str(OWNER), str(READER)}
    assert TOKEN not in (chat.folder / "log").read_text()
    assert any("Started" in text for text in chat.api.texts())
    assert any("BUY" in text.upper() for text in chat.api.texts())


def _enter(chat: Chat) -> None:
    """Enter unless the strategy has done so by itself."""
    if not any(chat.book().positions.values()):
        chat.order("/forceenter BTC/USDT long", "")
