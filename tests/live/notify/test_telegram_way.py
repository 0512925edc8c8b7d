"""Notifications through python-telegram-bot: the outbox keeps its promise whatever the Bot API does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from itb.live.notify.alert_notifier import Alerts
from itb.live.notify.bands import Band
from itb.live.notify.clerk import Clerk, Output
from itb.live.notify.diagram_notifier import Diagram
from itb.live.notify.events import EquityAt, Event, FillSeen, ScoreSaid, SignalSent, StateChanged, TradeClosed
from itb.live.notify.mailroom import Draft, Mailroom
from itb.live.notify.message import plain, size
from itb.live.notify.outputs import OUTPUTS
from itb.live.notify.people import People
from itb.live.notify.postman import Postman
from itb.live.notify.score_notifier import ScoreBands
from itb.live.notify.telegram import Telegram, TelegramLine, TelegramWay
from itb.live.notify.ways.way import Access, LaterError, RefusedError, UnclearError
from itb.market.timeframe import DAY_MS
from tests.live.notify.bot_api import OWNER, TOKEN, BotApi

HOUR = 3_600_000
UTC = People()


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi() as served:
        yield served


def send_all(mailroom: Mailroom, api: BotApi, timeout_s: float = 60.0) -> list[float]:
    """Deliver everything without waiting; give the waits that were asked for."""
    waits: list[float] = []

    async def work() -> None:
        way = TelegramWay(TelegramLine(TOKEN, api.url, timeout_s), OWNER, pace_s=0.0)
        postman = Postman("telegram", way, mailroom, UTC, lambda: DAY_MS)
        while (pause := await postman.round()) is not None:
            waits.append(pause)
        await way.close()

    asyncio.run(work())
    return [wait for wait in waits if wait]


def post(mailroom: Mailroom, count: int) -> None:
    mailroom.post([], [Draft("telegram", f"k{n}", "alert", n * 60_000, f"letter {n}") for n in range(count)])


@pytest.mark.parametrize(
    ("fault", "arrivals"),
    [
        ("ok", ["letter 0", "letter 1"]),
        ("429:7", ["letter 0", "letter 1"]),
        ("502", ["letter 0 ↻", "letter 1"]),
        ("hang_before", ["letter 0 ↻", "letter 1"]),
        ("hang_after", ["letter 0", "letter 0 ↻", "letter 1"]),
        ("reset", ["letter 0 ↻", "letter 1"]),
        ("malformed", ["letter 0 ↻", "letter 1"]),
        ("nonsense", ["letter 0 ↻", "letter 1"]),
        ("401", ["letter 0", "letter 1"]),
        ("403", ["letter 1"]),
        ("400:chat not found", ["letter 1"]),
    ],
)
def test_a_failure_of_the_bot_api_costs_no_message(
    api: BotApi, mailroom: Mailroom, fault: str, arrivals: list[str]
) -> None:
    api.faults["sendMessage"].append(fault)
    post(mailroom, 2)
    waits = send_all(mailroom, api, 1.0 if fault.startswith("hang") else 60.0)
    seen = [re.sub(r"\n↻ #\w{4}: may be a repeat", " ↻", plain(text)) for text in api.texts()]
    assert seen == arrivals
    assert waits == {"ok": [], "429:7": [7.0], "401": [300.0], "403": [], "400:chat not found": []}.get(fault, [2.0])


def test_nothing_listens_is_no_repeat(mailroom: Mailroom, api: BotApi) -> None:
    async def work() -> None:
        line = TelegramLine(TOKEN, "http://127.0.0.1:1", 0.3)
        with pytest.raises(LaterError):
            await line.send(OWNER, "hello")
        await line.close()

    asyncio.run(work())


def test_markup_that_telegram_cannot_read_is_sent_without(api: BotApi) -> None:
    async def work() -> None:
        line = TelegramLine(TOKEN, api.url, 60.0)
        await line.send(OWNER, "<b>open <u>bad</u>")
        with pytest.raises(RefusedError, match="Message is too long"):
            await line.send(OWNER, "x" * 5000)
        api.faults["sendMessage"].append("502")
        with pytest.raises(UnclearError):
            await line.send(OWNER, "x")
        await line.close()

    asyncio.run(work())
    assert api.texts() == ["open bad"]


EVENTS: list[Event] = [
    ScoreSaid(HOUR, "BTC/USDT", "1h", 24_000, 24_100, 23_900, 24_033, {"up": 0.34}),
    SignalSent(HOUR, "BTC/USDT", "buy", 24_033.0, 0.34, "up"),
    FillSeen(HOUR, "BTC/USDT", "buy", 0.1, 24_040.0, 2.4, "entry", "1"),
    EquityAt(HOUR, 10_000.0, "USDT"),
    ScoreSaid(DAY_MS, "BTC/USDT", "1h", 24_000, 24_100, 23_900, 24_500, {"up": -0.4}),
    SignalSent(DAY_MS, "BTC/USDT", "sell", 24_500.0, -0.4, "up"),
    TradeClosed(DAY_MS, "BTC/USDT", "long", HOUR, 0.1, 24_040.0, 24_490.0, 4.9, 40.1, 0.0167, "signal"),
    EquityAt(DAY_MS + HOUR, 10_040.0, "USDT"),
    StateChanged(DAY_MS, "degraded", "no bars <for> & of a minute", "feed"),
]


def test_every_notifier_reaches_the_chat(api: BotApi, mailroom: Mailroom) -> None:
    bands = ScoreBands((Band(0.2, bold=True),), (Band(-0.2),))
    made = {
        name: bands if kind is ScoreBands else Diagram(every="1d") if kind is Diagram else kind()
        for name, kind in OUTPUTS.items()
    }
    way = TelegramWay(TelegramLine(TOKEN, api.url, 60.0), OWNER)
    outputs = [Output(name, one, ("telegram",)) for name, one in made.items()]
    clerk = Clerk(mailroom, outputs, {"telegram": way}, UTC)
    mailroom.note(EVENTS)
    clerk.write()
    send_all(mailroom, api)
    assert mailroom.counts("telegram") == {"sent": len(api.sent())}
    said = [plain(text) for text in api.texts()]
    for start in ("₿ 24,033 Indicator: +0.34", "₿ 24.033 📈📈📈📈 Score: +0.34", "🟢 BUY: ₿ 24,033 Score: +0.34",
                  "⚡💰 SOLD: Profit: +1.94%", "🟢 Bought 0.1 BTC/USDT", "💰 BTC/USDT long closed", "📗 Thu 1 Jan",
                  "⚠️ Degraded: no bars <for> & of a minute", "BTC/USDT 1h at"):  # fmt: skip
        assert any(text.startswith(start) for text in said), (start, said)
    assert [call.picture[:4] for call in api.sent("sendPhoto")] == [b"\x89PNG"]
    assert all(size(call.said["caption"]) <= 1024 for call in api.sent("sendPhoto"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Telegram(chat="me"), 'chat must be a number or "@name"'),
        (lambda: Telegram(pace_s=-1), "pace_s must be from 0 to 600"),
        (lambda: Telegram().open(Access({"telegram_token": "t"})), "chat must be set"),
        (lambda: Telegram(chat=1).open(Access()), "expected ITB_TELEGRAM_TOKEN in the environment"),
        (lambda: Alerts(states=("x",)), "states must be"),
    ],
)
def test_a_way_that_lacks_something_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
