"""A running bot in a process, Telegram on this machine, and a person who writes to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from itb.live.journal.store import Journal
from itb.live.notify.message import plain
from itb.live.orders.book import Book
from itb.live.orders.events import Event
from tests.live.notify.bot_api import OWNER, READER, TOKEN, BotApi
from tests.runs.exchanges import end_exchanges

CONFIG = f"""
[data]
timeframe = "1m"
[walkforward]
train = 5000
refit_every = 1000
workers = 1
[model]
rounds = 20
[telegram]
chat = {OWNER}
owners = [{OWNER}]
readers = [{READER}]
max_age = "10m"
answer_within = "10m"
"""
WAY = """
[[ways]]
kind = "telegram"
address = "{url}"
pace_s = 0
timeout_s = {timeout_s}
chat = {chat}
"""
_NOTICES = ("₿", "🟢 B", "🔴 S")  # a score, something bought or sold


class Chat:
    """A bot in a process, and a person who writes to it; ``config`` is what the bot shall do beside talking."""

    def __init__(
        self,
        folder: Path,
        api: BotApi,
        config: str,
        options: Sequence[str],
        *,
        timeout_s: float = 20.0,
        chat: int = OWNER,
    ) -> None:
        self.folder, self.api, self.options = folder, api, tuple(options)
        (folder / "itb.toml").write_text(config + WAY.format(url=api.url, timeout_s=timeout_s, chat=chat))
        self.log = (folder / "log").open("ab")
        self.begin()

    def begin(self) -> None:
        """Begin a life; what is said before it listens is passed over."""
        self._listened = len(self.api.sent("setMyCommands"))
        command = [sys.executable, "-c", "from itb.cli import main; main()", "live", "--practice", *self.options]
        environment = {**os.environ, "ITB_TELEGRAM_TOKEN": TOKEN}
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=self.log, stderr=self.log)

    def begin_again(self) -> None:
        """Begin another life and wait until it is at work."""
        before = self.said.count("state in")
        self.begin()
        self.until(lambda: self.said.count("state in") > before, "another life")

    def kill(self) -> None:
        """End a life as a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Let a life end in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(300) == 0, self.said[-2000:]

    @property
    def said(self) -> str:
        """What the bot wrote on its terminal."""
        return (self.folder / "log").read_text(errors="replace")

    def home(self, kind: str = "practice") -> Path:
        """Give the folder of the bot's life."""
        return self.folder / "runs" / "live" / f"bot-{kind}"

    def until(self, is_so: Callable[[], Any], what: str, seconds: float = 300) -> Any:
        """Wait for something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := is_so():
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come; {self.api.texts()[-5:]}; {self.said[-2000:]}")

    def ask(self, text: str, wanted: str | tuple[str, ...], user: int = OWNER) -> str:
        """Say something and give the answer, which has what is wanted (one of it) and is no notice of the outputs."""
        self.until(lambda: len(self.api.sent("setMyCommands")) > self._listened, "somebody who listens")
        before = len(self.api.sent())
        self.api.now = int(time.time())
        self.api.say(text, user)
        return str(self.until(lambda: self._said(before, wanted), f"the answer to {text}"))

    def _said(self, before: int, wanted: str | tuple[str, ...]) -> str:
        any_of = (wanted,) if isinstance(wanted, str) else wanted
        texts = [call.said.get("text") or call.said.get("caption", "") for call in self.api.sent()[before:]]
        return next(
            (text for text in texts if any(one in text for one in any_of) and not text.startswith(_NOTICES)),
            "",
        )

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

    def texts(self) -> list[str]:
        """Give what people see, without markup."""
        return [plain(text) for text in self.api.texts()]

    def journaled(self) -> list[Event]:
        """Read the journal."""
        journal = Journal(self.home() / "journal.sqlite")
        try:
            return list(journal.events())
        finally:
            journal.close()

    def book(self) -> Book:
        """Give all that the journal says."""
        return Book().replay(self.journaled())

    def end(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        end_exchanges(self.folder)
