"""A day without Telegram, every failure of it, and a bot that is killed meanwhile: nothing is lost, all is in order."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from itb.live.notify.message import plain
from itb.live.orders.events import Traded
from itb.market.timeframe import DAY_MS
from tests.live.notify.bot_api import BotApi
from tests.runs.chatting import CONFIG, Chat

OUTPUTS = """
[strategy]
buy_threshold = 0.42
sell_threshold = 0.38
[[outputs]]
kind = "score_steps"
quiet_below = 0
template = "score of {{ time }}"
[[outputs]]
kind = "trades"
template = "closed at {{ time }}"
fill_template = "fill of {{ time }}: {{ qty }} at {{ price }}"
[[outputs]]
kind = "alerts"
"""
SETTINGS = CONFIG.replace('timeframe = "1m"', 'timeframe = "15m"').replace("train = 5000", "train = 2000")
SPEAKING = ("429:1", "502", "hang_after", "hang_before", "malformed", "reset", "nonsense")
HEARING = ("409", "502", "malformed", "429:1")
REPEAT = "may be a repeat"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    with BotApi() as api:
        talking = Chat(tmp_path, api, SETTINGS + OUTPUTS, ["--speed", "9000", "--bars", "6000"], timeout_s=2.0)
        try:
            yield talking
        finally:
            talking.end()


def rows(chat: Chat, asked: str) -> list[Any]:
    """Read the journal's database."""
    with sqlite3.connect(chat.home() / "journal.sqlite", timeout=60) as connection:
        found = connection.execute(asked).fetchall()
    connection.close()
    return found


def letters(chat: Chat) -> list[Any]:
    found = rows(chat, "select state, topic, time, text from outbox where way = 'telegram' order by number")
    return [(state, topic, time, plain(text)) for state, topic, time, text in found]


def waiting(chat: Chat) -> int:
    return sum(state in {"waiting", "sending"} for state, *_ in letters(chat))


def days_waiting(chat: Chat) -> float:
    times = [time for state, _, time, _ in letters(chat) if state in {"waiting", "sending"}]
    return (max(times) - min(times)) / DAY_MS if times else 0.0


def test_a_day_of_outage_and_two_kills_lose_nothing_and_repeat_nothing_unmarked(chat: Chat) -> None:
    api = chat.api
    chat.until(lambda: len(api.sent("sendMessage")) > 3, "the first messages")
    api.faults["sendMessage"] = deque(SPEAKING)
    api.faults["getUpdates"] = deque(HEARING)
    chat.until(lambda: not api.faults["sendMessage"] and not api.faults["getUpdates"], "the end of the faults")
    chat.ask("/version", "itb")
    api.outage = "502"
    chat.until(lambda: days_waiting(chat) > 0.3, "the outage")
    chat.kill()
    fill, notice = _forget_newest_fill(chat)
    chat.begin_again()
    chat.until(lambda: days_waiting(chat) > 1.0, "a day of outage")
    known = f"select count(*) from notices where key = '{notice}'"
    chat.until(lambda: rows(chat, known) == [(1,)], "the notice that the journal knew of")
    api.outage = ""
    arrived = len(api.sent("sendMessage"))
    chat.until(lambda: len(api.sent("sendMessage")) > arrived + 1, "the recovery")
    chat.kill()
    chat.begin_again()
    chat.until(lambda: waiting(chat) < 5, "what had waited")
    chat.stop()
    for _ in range(5):
        if waiting(chat):
            chat.begin_again()
            chat.until(lambda: waiting(chat) < 5, "what had waited")
            chat.stop()
    _check(chat)
    assert fill in "\n".join(chat.texts())


def _forget_newest_fill(chat: Chat) -> tuple[str, str]:
    """Make as if the kill had come between an execution's journal entry and its notice; give its text and key."""
    with sqlite3.connect(chat.home() / "journal.sqlite") as connection:
        number, key = connection.execute(
            "select number, key from notices where kind = 'fill' order by number desc limit 1"
        ).fetchone()
        (text,) = connection.execute(
            "select text from outbox where way = 'telegram' and key like '%/' || ?", (key.partition("/")[2],)
        ).fetchone()
        connection.execute("delete from notices where number >= ?", (number,))
        connection.execute("delete from outbox where text = ?", (text,))
    connection.close()
    return str(text), str(key)


def _check(chat: Chat) -> None:
    said = chat.texts()
    told = letters(chat)
    assert {state for state, *_ in told} == {"sent", "left_out"}
    assert {topic for state, topic, *_ in told if state == "left_out"} == {"score"}
    place = 0
    for state, _, _, text in told:
        if state == "sent":
            place = next(n for n, one in enumerate(said[place:], place) if text in one)
    for text in {text for state, _, _, text in told if state == "sent" and not text.startswith(("▶️", "⏹️", "⚠️", "✅"))}:
        again = [one for one in said if text in one.split("\n")[0] or text in one.split("\n")][1:]
        assert all(REPEAT in one for one in again), again
    executed = {f"fill/{e.trade.symbol}/{e.trade.trade_id}" for e in chat.journaled() if isinstance(e, Traded)}
    assert executed == {key for (key,) in rows(chat, "select key from notices where kind = 'fill'")}
    assert len(executed) > 4
