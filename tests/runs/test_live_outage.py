"""A day without Telegram, every failure of it, and a bot that is killed meanwhile: nothing is lost, all is in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
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
SHORT = """
[live]
retrain = false
[synthetic]
bars = 8000
"""
HOURS = CONFIG.replace('timeframe = "1m"', 'timeframe = "1h"').replace("train = 5000", "train = 1000")
QUARTERS = CONFIG.replace('timeframe = "1m"', 'timeframe = "15m"').replace("train = 5000", "train = 2000")
CHANNEL = -100_700_800
SPEAKING = ("429:1", "502", "hang_after", "hang_before", "malformed")
HEARING = ("409", "502", "malformed", "429:1", "hang_before", "hang_after")
REPEAT = "may be a repeat"


def talk(folder: Path, config: str, speed: str) -> Iterator[Chat]:
    """Let a bot speak in a channel and listen to its owner."""
    with BotApi() as api:
        options = ["--speed", speed, "--bars", "6000"]
        talking = Chat(folder, api, config + OUTPUTS, options, timeout_s=1.0, chat=CHANNEL)
        try:
            yield talking
        finally:
            talking.end()


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    """A bot whose day takes five seconds."""
    yield from talk(tmp_path, HOURS + SHORT, "18000")


@pytest.fixture
def slow_chat(tmp_path: Path) -> Iterator[Chat]:
    """A bot whose day takes ten seconds, with four times the messages."""
    yield from talk(tmp_path, QUARTERS, "9000")


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


def fills(chat: Chat) -> int:
    return int(rows(chat, "select count(*) from notices where kind = 'fill'")[0][0])


def test_a_day_of_outage_and_a_kill_lose_nothing_and_repeat_nothing_unmarked(chat: Chat) -> None:
    _fail_in_every_way(chat, [one for fault in SPEAKING for one in (fault, "ok")])
    fill = _miss_a_day(chat)
    _recover(chat)
    _check(chat, fill)


@pytest.mark.soak
def test_a_day_of_outage_and_two_kills_lose_nothing_and_repeat_nothing_unmarked(slow_chat: Chat) -> None:
    _fail_in_every_way(slow_chat, [*SPEAKING, "reset", "nonsense"])
    fill = _miss_a_day(slow_chat)
    arrived = len(slow_chat.api.sent("sendMessage"))
    slow_chat.api.outage = ""
    slow_chat.until(lambda: len(slow_chat.api.sent("sendMessage")) > arrived + 1, "the recovery")
    slow_chat.kill()
    slow_chat.begin_again()
    _recover(slow_chat)
    _check(slow_chat, fill)


def _fail_in_every_way(chat: Chat, speaking: Sequence[str]) -> None:
    """Let each way of failing befall what the bot tells, and meanwhile what it hears: it is answered every time."""
    api = chat.api
    chat.until(lambda: len(api.sent("sendMessage")) > 3, "the first messages")
    telling = api.faults[f"sendMessage to {CHANNEL}"]
    telling.extend(speaking)
    for fault in HEARING:
        api.faults["getUpdates"].append(fault)
        chat.until(lambda: not api.faults["getUpdates"], f"hearing after {fault}")
        answers = sum(text.startswith("itb ") for text in chat.texts())
        chat.ask("/version", "itb ")
        assert sum(text.startswith("itb ") for text in chat.texts()) == answers + 1
    chat.until(lambda: not telling, "the end of the faults")


def _miss_a_day(chat: Chat) -> str:
    """Let Telegram be gone for a day of the market, and the bot be killed in it; give a fill that it must tell."""
    chat.until(lambda: fills(chat) > 2, "some trades")
    chat.api.outage = "502"
    unsent = "select count(*) from outbox where state in ('waiting', 'sending') and text like 'fill of %'"
    chat.until(lambda: rows(chat, unsent) > [(0,)] and days_waiting(chat) > 0.3, "the outage")
    chat.kill()
    fill, notice = _forget_newest_fill(chat)
    chat.begin_again()
    chat.until(lambda: days_waiting(chat) > 1.0, "a day of outage")
    known = f"select count(*) from notices where key = '{notice}'"
    chat.until(lambda: rows(chat, known) == [(1,)], "the notice that the journal knew of")
    return fill


def _recover(chat: Chat) -> None:
    chat.api.outage = ""
    chat.until(lambda: waiting(chat) < 5, "what had waited")
    chat.stop()
    for _ in range(5):
        if waiting(chat):
            chat.begin_again()
            chat.until(lambda: waiting(chat) < 5, "what had waited")
            chat.stop()


def _forget_newest_fill(chat: Chat) -> tuple[str, str]:
    """Make as if the kill had come between an execution's journal entry and its notice; give its text and key."""
    with sqlite3.connect(chat.home() / "journal.sqlite") as connection:
        number, key, text = connection.execute(
            "select notices.number, notices.key, text from notices join outbox on kind = 'fill' "
            "and state in ('waiting', 'sending') "
            "and outbox.key like '%/' || substr(notices.key, instr(notices.key, '/') + 1) "
            "order by notices.number desc limit 1"
        ).fetchone()
        connection.execute("delete from notices where number >= ?", (number,))
        connection.execute("delete from outbox where text = ?", (text,))
    connection.close()
    return str(text), str(key)


def _check(chat: Chat, fill: str) -> None:
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
    assert fill in "\n".join(said)
