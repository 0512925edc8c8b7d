"""A running bot, followed and steered from a chat: real processes, the real client, Telegram on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from itb.live.notify.outputs import OUTPUTS
from tests.live.notify.bot_api import OWNER, READER, STRANGER, TOKEN, BotApi, Call
from tests.runs.chatting import CONFIG, Chat

TOLD = """
[synthetic]
bars = 12000
[live]
retrain = false
[strategy]
buy_threshold = 0.42
sell_threshold = 0
[[protections]]
kind = "cooldown"
stop_duration = 600
[[live.shadows]]
called = "eager"
buy_threshold = 0.40
[[live.shadows]]
called = "steps"
tranches = 3
[[outputs]]
kind = "score_bands"
positive_bands = [{edge = 0.1, sign = "up"}]
[[outputs]]
kind = "score_steps"
[[outputs]]
kind = "signals"
[[outputs]]
kind = "simulated_trades"
[[outputs]]
kind = "trades"
[[outputs]]
kind = "alerts"
[[outputs]]
kind = "summary"
[[outputs]]
kind = "diagram"
every = "1h"
"""
ASKED = {
    "/backtest 1": "has begun", "/status": "BTC/USDT", "/profit": "Profit", "/daily": "By day", "/weekly": "By week",
    "/monthly": "By month", "/performance": "By market", "/balance": "USDT", "/count": "positions", "/trades": "Trades",
    "/orders": "Orders", "/score BTC/USDT": "up_12", "/scoreboard": "up_12", "/model": "up_12",
    "/shadow": "steps (watched)", "/optimize status": "no search", "/health": "running for", "/logs 50": "TICK",
    "/show_config data": "1m", "/whitelist": "BTC/USDT", "/blacklist": "None", "/locks": "locked", "/version": "itb",
    "/help": "/forceenter",
}  # fmt: skip


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    with BotApi() as api:
        shortly_before_midnight = ["--start", "2023-01-03T23:40", "--bars", "7000", "--speed", "600"]
        talking = Chat(tmp_path, api, CONFIG.replace("5000", "1000") + TOLD, shortly_before_midnight)
        try:
            yield talking
        finally:
            talking.end()


def test_a_bot_is_followed_and_steered_from_a_chat(chat: Chat) -> None:
    chat.until(lambda: any("₿" in text for text in chat.texts()), "the first score")
    chat.api.say("/status", STRANGER)
    for text, wanted in ASKED.items():
        assert wanted in chat.ask(text, wanted)
    assert "/forceenter" not in chat.ask("/help", "/status", READER)
    assert "not a command" in chat.ask("/stop", "not a command", READER)
    chat.ask("/shadow", "eager (watched)")
    chat.until(lambda: any("Backtest asked by" in text for text in chat.texts()), "the picture of the backtest")
    _draw(chat)

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
    chat.until(lambda: OUTPUTS.keys() <= outputs(chat), "a message of every notifier")
    chat.order("/reload_config", "sound")
    chat.until(lambda: chat.said.count("state in") > 1, "the new life")
    assert "Beginning anew: the config was read again" in chat.said
    chat.until(lambda: sum("Started" in text for text in chat.texts()) > 1, "the new life")
    chat.ask("/version", "itb")
    chat.order("/stop", "stopping")
    assert chat.process.wait(120) == 0
    told = {str(call.said["chat_id"]) for call in chat.api.sent("sendMessage")}
    assert told <= {str(OWNER), str(READER)}
    assert TOKEN not in chat.said
    assert any("Started" in text for text in chat.api.texts())
    assert any("BUY" in text.upper() for text in chat.api.texts())


def outputs(chat: Chat) -> set[str]:
    """Give the outputs of which a message has arrived."""
    with contextlib.closing(sqlite3.connect(chat.home() / "journal.sqlite", timeout=60)) as connection:
        keys = connection.execute("select key from outbox where state = 'sent'").fetchall()
    return {key.partition("/")[0].rpartition("-")[0] for (key,) in keys}


def _draw(chat: Chat) -> None:
    """Ask for a chart; kill who draws, perhaps in the middle of another picture, and ask again."""
    chat.until(partial(_has_charts, chat, 1), "the chart")
    for pid in children(chat.process.pid):
        with contextlib.suppress(OSError):  # one that has just ended
            if b"draw_child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
    chat.until(partial(_has_charts, chat, 2), "the chart by another process")


def _has_charts(chat: Chat, wanted: int) -> bool:
    """Ask for a chart and wait for the end of its answer, picture or not."""
    chat.ask("/chart BTC/USDT", "BTC/USDT")
    chat.ask("/version", "itb")
    return len(charts(chat)) >= wanted


def charts(chat: Chat) -> list[Call]:
    return [call for call in chat.api.sent("sendPhoto") if call.said.get("caption") == "BTC/USDT"]


def children(parent: int) -> list[int]:
    """Give the processes that a process has begun."""
    found: list[int] = []
    for told in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += map(int, told.read_text().split())
    return found


def _enter(chat: Chat) -> None:
    """Enter unless the strategy has done so by itself."""
    if not any(chat.book().positions.values()):
        chat.order("/forceenter BTC/USDT long", "")
