"""The bot through python-telegram-bot against a Bot API on this machine: every command, and every way it can fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from itb.live.cockpit import OrderLine
from itb.live.notify.chat.bot import ChatBot
from itb.live.notify.chat.bridge import LockLine
from itb.live.notify.chat.commands import COMMANDS
from itb.live.notify.chat.dialogue import Dialogue
from itb.live.notify.chat.gate import Gate, Role
from itb.live.notify.message import Drawing, plain
from itb.live.notify.people import People
from itb.live.notify.telegram import TelegramLine
from tests.live.notify.bot_api import OWNER, READER, STRANGER, TOKEN, BotApi
from tests.live.notify.cockpit import LedgerCockpit

GATE = Gate(frozenset({OWNER}), frozenset({READER}))


class Talk:
    """A bot that listens in a thread, and a person who speaks to it."""

    def __init__(self, api: BotApi, cockpit: LedgerCockpit, timeout_s: float = 60.0, **more: Any) -> None:
        self.api, self.cockpit = api, cockpit
        self.naps: list[float] = []
        line = TelegramLine(TOKEN, api.url, timeout_s)
        dialogue = Dialogue(cockpit, GATE, People())
        self.bot = ChatBot(line, dialogue, lambda: api.now * 1000, wait_s=1.0, nap=self._nap, **more)
        before = self._offers()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.until(lambda: self._offers() > before)

    def _offers(self) -> int:
        return len(self.api.sent("setMyCommands"))

    async def _nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self.bot_task = self._loop.create_task(self.bot.run())
        try:
            self._loop.run_until_complete(self.bot_task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    def end(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self.bot_task.cancel)
        self._thread.join(60)
        assert not self._thread.is_alive()

    def until(self, done: Callable[[], bool], patience_s: float = 60.0) -> None:
        """Wait for what another thread does."""
        waited = threading.Event()
        for _ in range(round(patience_s / 0.005)):
            if done():
                return
            waited.wait(0.005)
        raise AssertionError(f"it did not happen; the bot said {self.api.texts()}")

    def ask(self, text: str, user: int = OWNER) -> str:
        """Type something and give what is said in return."""
        count = len(self.api.sent())
        self.api.say(text, user)
        self.until(lambda: len(self.api.sent()) > count)
        return plain(self.api.texts()[count])

    def press(self, label: str, user: int = OWNER) -> None:
        """Press a button below the last message that has some, and wait until the press is acknowledged."""
        shown = next(call for call in reversed(self.api.sent()) if call.said.get("reply_markup"))
        rows = json.loads(shown.said["reply_markup"])["inline_keyboard"]
        data = next(b["callback_data"] for row in rows for b in row if b["text"] == label)
        self.press_data(data, user)

    def press_data(self, data: str, user: int = OWNER) -> None:
        count = len(self.api.sent("answerCallbackQuery"))
        self.api.press(data, user)
        self.until(lambda: len(self.api.sent("answerCallbackQuery")) > count)
        self.silence()

    def silence(self, user: int = OWNER) -> None:
        """Let the bot hear everything that was said before: it answers in order."""
        count = len(self.api.sent())
        self.api.say("/version", user)
        self.until(lambda: any("itb " in text for text in self.api.texts()[count:]))


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi() as served:
        yield served


@pytest.fixture
def talk(api: BotApi) -> Iterator[Talk]:
    cockpit = LedgerCockpit()
    cockpit.trade("BTC/USDT", 0.1, "entry")
    cockpit.prices["BTC/USDT"] = 25_000.0
    cockpit.now += 3_600_000
    cockpit.trade("BTC/USDT", -0.1, "target")
    cockpit.trade("ETH/USDT", 2.0, "entry")
    api.now = cockpit.now // 1000
    talking = Talk(api, cockpit)
    yield talking
    talking.end()


READS = {
    "/status": [r"🟢 hourly paper, normal", r"market   qty price  gain\nETH/USDT   2 1,600 −3\.20"],
    "/status eth/usdt": [r"ETH/USDT long 2, strategy MLThreshold", r"1,600 → 1,600, gain −3\.20"],
    "/profit": [r"\+95\.10 in 1 trades, 1 won \(100%\)", r"fees 4\.90"],
    "/profit 3": ["Profit of 3 days"],
    "/daily": [r"2023-11-14 \+95\.10 +1"],
    "/weekly 2": [r"2023-11-13 \+95\.10 +1\n2023-11-06 +0\.00 +0"],
    "/monthly": [r"2023-11-01 \+95\.10 +1"],
    "/performance": [r"BTC/USDT \+95\.10 +1"],
    "/balance": ["USDT +6,891", "ETH +2 3,200", "Together 10,091"],
    "/count": ["1 positions, 1 open orders, 2 markets"],
    "/trades": [r"BTC/USDT long \+4\.0 % \+95\.10", r"ETH/USDT long +open +–"],
    "/orders": [r"stop-1 stop sell 2 ETH/USDT at 1,500, open"],
    "/score btc": ["BTC/USDT, bar of 2023-11-14 22:13 UTC", r"up_lightgbm \+0\.340", "down_svc +–"],
    "/scoreboard": ["12 signals graded, 7 right"],
    "/model": ["up_lightgbm", "30 h ago", "AUC 0.56", "next one due", r"challenger of .* 0\.0123 on 1,360 bars"],
    "/shadow": [r"Patient \(watched\) 10,100\.00 \+100\.50"],
    "/optimize status": ["The studies are being read"],
    "/health": ["normal, running for 5 h, 120 bars decided on"],
    "/logs 2": ["line 0 <&>\nline 1 <&>"],
    "/show_config costs": ["costs.taker_fee_bps = 10.0"],
    "/whitelist": ["BTC/USDT\nETH/USDT"],
    "/blacklist": ["None."],
    "/locks": ["ETH/USDT until 2023-11-14 23:13 UTC: two stops"],
    "/version": [r"itb \d"],
    "/help": ["/status \\[SYMBOL\\] - what it does", "/forceexit"],
}


def _is_said(talk: Talk, count: int, patterns: list[str]) -> bool:
    """Whether one of the messages since then has all of it."""
    said = [plain(text) for text in talk.api.texts()[count:]]
    return any(all(re.search(pattern, text) for pattern in patterns) for text in said)


def test_every_command_that_looks_answers_from_the_ledger(talk: Talk) -> None:
    talk.cockpit.locked.append(LockLine("ETH/USDT", talk.cockpit.now, "two stops"))
    order = OrderLine(
        "stop-1", "itb-1", "MLThreshold", "ETH/USDT", "sell", "stop", Decimal(2), Decimal(0), None, Decimal(1500),
        "open", "", "protection", 1, 1,
    )  # fmt: skip
    talk.cockpit.resting.append(order)
    for asked, patterns in READS.items():
        count = len(talk.api.sent())
        talk.api.say(asked, OWNER)  # what is read aside answers later, between other answers
        talk.until(lambda: _is_said(talk, count, patterns))
    assert talk.cockpit.ordered == []


def test_a_chart_comes_as_a_picture(talk: Talk) -> None:
    talk.ask("/chart BTC/USDT")
    (photo,) = talk.api.sent("sendPhoto")
    assert photo.picture.startswith(b"\x89PNG")
    assert photo.said["caption"] == "BTC/USDT"


def test_a_chart_that_cannot_be_drawn_is_answered_without(talk: Talk) -> None:
    def fail(_drawing: Drawing) -> bytes:
        raise ValueError("no <ink>")

    talk.bot._draw = fail
    assert talk.ask("/chart BTC/USDT") == "BTC/USDT\nno <ink>"


def test_a_backtest_answers_at_once_and_sends_its_picture_later(talk: Talk) -> None:
    assert talk.ask("/backtest") == "A backtest of the last 30 days has begun; its picture follows."
    talk.until(lambda: len(talk.api.sent("sendPhoto")) == 1)
    assert talk.api.sent("sendPhoto")[0].said["caption"] == "A week: +1.2 %"
    talk.ask("/backtest 7")
    talk.until(lambda: len(talk.api.sent("sendPhoto")) == 2)
    assert talk.cockpit.ordered == [("backtest", f"telegram user {OWNER}", days) for days in ("30", "7")]


def test_searches_are_read_beside_the_bot(talk: Talk) -> None:
    talk.ask("/optimize status")
    talk.until(lambda: "BTCUSDT-1h: running, 12 of 40 trials" in talk.api.texts())


ORDERS = {
    "/start": (("resume",), "Trade from the next bar on?"),
    "/resume": (("resume",), "Trade from the next bar on?"),
    "/pause": (("pause",), "Enter nothing new until /resume?"),
    "/stopentry": (("pause",), "Enter nothing new until /resume?"),
    "/stop": (("stop",), "End the program? Nothing is traded then."),
    "/forceenter btc short": (("force_enter", "BTC/USDT", "short"), "Enter btc short now?"),
    "/forceexit eth": (("close", "ETH/USDT"), "Close eth now?"),
    "/forceexit all": (("close", ""), "Close all now?"),
    "/cancel stop-1": (("cancel", "stop-1"), "Cancel stop-1?"),
    "/cancel all": (("cancel", ""), "Cancel all?"),
    "/block sol": ((), "Enter sol no more?"),
    "/block btc": (("block", "BTC/USDT"), "Enter btc no more?"),
    "/unblock btc/usdt": (("unblock", "BTC/USDT"), "Let btc/usdt be entered again?"),
    "/unlock all": (("unlock", ""), "Lift locks of all?"),
    "/reload_config": (("reload_config",), "Work by the config as it is now, from the next bar on?"),
}


def test_what_trades_or_stops_is_asked_back_and_done_once_the_owner_says_yes(talk: Talk) -> None:
    for asked, (ordered, question) in ORDERS.items():
        talk.cockpit.ordered.clear()
        if not talk.cockpit.books["ETH/USDT"].position:
            talk.cockpit.trade("ETH/USDT", 1.0, "entry")
        said = talk.ask(asked)
        assert said.splitlines()[0] == question
        assert talk.cockpit.ordered == []
        talk.press("Yes")
        assert [(what, *rest) for what, _, *rest in talk.cockpit.ordered] == ([ordered] if ordered else [])
        assert talk.api.sent()[-2].method == "editMessageText"


def test_every_command_is_tried_here() -> None:
    tried = {asked.split()[0][1:] for asked in [*READS, *ORDERS]} | {"chart", "backtest"}
    assert tried == {*COMMANDS, "help"}
    assert {name for name, one in COMMANDS.items() if one.question} == {asked.split()[0][1:] for asked in ORDERS}
    assert all(one.role is Role.OWNER for one in COMMANDS.values() if one.question)


def test_a_forced_trade_is_money_in_the_ledger(talk: Talk) -> None:
    before = talk.cockpit.equity
    talk.ask("/forceexit all")
    talk.press("Yes")
    assert talk.cockpit.books["ETH/USDT"].position == 0
    assert talk.cockpit.equity == pytest.approx(before - 3_200 * 0.001)
    assert "ETH/USDT long" in talk.ask("/trades")


def test_no_does_nothing_and_a_question_is_answered_once(talk: Talk) -> None:
    talk.ask("/stop")
    shown = talk.api.sent()[-1]
    yes = json.loads(shown.said["reply_markup"])["inline_keyboard"][0][0]["callback_data"]
    talk.press("No")
    assert talk.api.texts()[-2] == "/stop: nothing was done."
    talk.press_data(yes)
    assert talk.api.sent("answerCallbackQuery")[-1].said["text"] == "This question is over; give the command again."
    assert talk.cockpit.ordered == []
    assert talk.cockpit.is_running


def test_a_question_is_over_after_half_a_minute(talk: Talk) -> None:
    talk.ask("/stop")
    talk.api.now += 31
    talk.press("Yes")
    assert talk.cockpit.ordered == []


def test_nobody_answers_for_another(talk: Talk) -> None:
    talk.ask("/stop")
    shown = talk.api.sent()[-1]
    yes = json.loads(shown.said["reply_markup"])["inline_keyboard"][0][0]["callback_data"]
    talk.press_data(yes, READER)
    talk.api.press(yes, STRANGER)
    talk.silence()
    assert talk.cockpit.ordered == []
    talk.press_data(yes)
    assert talk.cockpit.ordered == [("stop", f"telegram user {OWNER}")]


def test_a_reader_reads_and_nothing_else(talk: Talk) -> None:
    assert "/forceexit" not in talk.ask("/help", READER)
    assert "normal" in talk.ask("/status", READER)
    for name, command in COMMANDS.items():
        if command.role is Role.OWNER:
            assert talk.ask(f"/{name} btc", READER) == f"/{name} is not a command here; /help lists them"
    talk.press_data("c:stop", READER)
    talk.press_data("c:logs", READER)
    assert talk.cockpit.ordered == []
    assert not any("line 0" in text for text in talk.api.texts())


def test_buttons_go_on_from_the_status_in_the_same_message(talk: Talk) -> None:
    talk.ask("/status")
    talk.press("/profit")
    assert talk.api.sent()[-2].method == "editMessageText"
    assert "in 1 trades" in plain(talk.api.sent()[-2].said["text"])
    for data in ("c:pause", "c:stop", "c:forceexit", "c:sing", "x:1", ""):  # no button says so, and none may
        talk.press_data(data)
    assert talk.cockpit.ordered == []
    assert talk.cockpit.is_running


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("/sing", "/sing is not a command here; /help lists them"),
        ("/profit many", "expected a number of days from 1 to 365, was many"),
        ("/profit 1 2", "expected /profit [DAYS]"),
        ("/forceenter", "expected /forceenter SYMBOL [long|short]"),
        ("/score doge", "expected one of BTC/USDT, ETH/USDT, was doge"),
        ("/status btc", "btc is not held; held is ETH/USDT"),
        ("/show_config secrets", "no section secrets; there are data, costs"),
        ("/status@the_bot 1 2 3", "expected /status [SYMBOL]"),
        ("/ <b>&", "/<b>& is not a command here; /help lists them"),
    ],
)
def test_words_that_are_no_command_are_told_what_would_be(talk: Talk, asked: str, answer: str) -> None:
    assert talk.ask(asked) == answer


def test_what_the_cockpit_refuses_is_told(talk: Talk) -> None:
    talk.ask("/unblock eth/usdt")
    talk.press("Yes")
    assert talk.api.sent()[-2].said["text"] == "ETH/USDT is not blocked"


def test_a_long_answer_comes_in_parts(talk: Talk) -> None:
    talk.cockpit.logs = lambda most=20: tuple(f"line {n} " + "x" * 60 for n in range(200))  # type: ignore[method-assign]
    talk.ask("/logs 200")
    talk.silence()
    said = [plain(text) for text in talk.api.texts() if "line " in text]
    assert len(said) > 2
    assert "\n".join(said).count("line ") == 200


def test_what_was_said_before_the_bot_listened_is_dropped(api: BotApi) -> None:
    api.say("/stop")
    api.say("/status")
    talking = Talk(api, LedgerCockpit())
    talking.silence()
    assert api.dropped == 2
    assert len(api.sent()) == 1
    talking.end()


FAULTS = ["429:1", "502", "409", "malformed", "nonsense", "reset", "hang_before", "401", "400:why"]


def test_the_bot_hears_again_after_every_failure(api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    talking = Talk(api, LedgerCockpit(), timeout_s=1.0)  # on top of the second that an answer may be held back
    for fault in FAULTS:
        api.faults["getUpdates"].append(fault)
        talking.until(lambda: not api.faults["getUpdates"])
        assert "itb" in talking.ask("/version")
    talking.end()
    assert talking.naps == [1.0] * 7 + [300.0, 1.0]  # a rejected token is not worth asking again so soon
    assert "another program listens by the same token" in caplog.text
    assert len(api.texts()) == len(FAULTS)


def test_an_answer_waits_when_telegram_asks_for_it(talk: Talk) -> None:
    talk.api.faults["sendMessage"].append("429:1")
    assert talk.ask("/version").startswith("itb")
    assert [call.had_effect for call in talk.api.calls if call.method == "sendMessage"] == [False, True]
    assert talk.naps == [1.0]


def test_an_answer_that_cannot_be_sent_does_not_end_the_conversation(talk: Talk) -> None:
    talk.api.faults["sendMessage"].extend(["403", "502", "400:message is too long"])
    for _ in range(3):
        talk.api.say("/version")
    assert talk.ask("/count") == "1 positions, 0 open orders, 2 markets"


def test_the_token_is_in_no_log_and_no_error(api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "telegram", "itb", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    talking = Talk(api, LedgerCockpit())
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection", "telegram"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    api.faults["getUpdates"].extend(["502", "malformed"])
    talking.ask("/version")

    def fail(most: int = 20) -> tuple[str, ...]:
        return ("x",) * (most // 0)

    talking.cockpit.logs = fail  # type: ignore[method-assign]
    assert talking.ask("/logs") == "/logs failed; the log says why."
    talking.end()
    assert "ZeroDivisionError" in caplog.text
    assert len(caplog.records) > 20
    secret = TOKEN.partition(":")[2]
    assert secret not in caplog.text
    for record in caplog.records:
        assert secret not in record.getMessage() + str(record.args) + str(record.exc_text)
