"""Diagrams and summaries come when they are due, and show what happened until then."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from itb.live.notify.diagram_notifier import Diagram, ScoreDrawing
from itb.live.notify.events import EquityAt, Event, FillSeen, ScoreSaid, SignalSent, TradeClosed
from itb.live.notify.message import Message
from itb.live.notify.notifier import Notifier
from itb.live.notify.people import People
from itb.live.notify.summary_notifier import EquityDrawing, Summary
from itb.market.timeframe import DAY_MS

HOUR = 3_600_000
MONDAY = 4 * DAY_MS


def bar(hour: int, symbol: str = "BTC/USDT", score: float = 0.1) -> ScoreSaid:
    close = 100.0 + hour
    return ScoreSaid((hour + 1) * HOUR, symbol, "1h", close, close + 1, close - 1, close, {"a": score, "b": -score})


def told(notifier: Notifier, events: list[Event], zone: str = "UTC") -> list[Message]:
    reporter = notifier.reporter(People(zone))
    return [message for event in events for message in reporter.tell(event)]


def test_a_diagram_comes_when_a_bar_closes_on_its_raster() -> None:
    messages = told(Diagram(every="4h", column="b"), [bar(hour) for hour in range(24)])
    assert [message.time // HOUR for message in messages] == [4, 8, 12, 16, 20, 24]
    assert messages[-1].plain == "BTC/USDT 1h at 1970-01-02 00:00 UTC: 123, score -0.10"


def test_a_diagram_shows_the_last_blocks_of_its_market_and_its_marks() -> None:
    events: list[Event] = []
    for hour in range(48):
        events += [bar(hour), bar(hour, "ETH/USDT", math.nan)]
    fills = [FillSeen(HOUR * at, "BTC/USDT", "buy", 1.0, 100.0, 0.1, "entry", str(at)) for at in (5, 40)]
    events[-2:-2] = [*fills, SignalSent(HOUR * 45, "BTC/USDT", "sell", 90.0, 0.2)]
    drawn = [message.picture for message in told(Diagram(resample="4h", blocks=5, thresholds=(0.2,)), events)]
    assert isinstance(drawn[-2], ScoreDrawing)
    shown = drawn[-2].picture()
    assert shown.title == "BTC/USDT 4h"
    assert shown.blocks.time.tolist() == [hour * HOUR for hour in (28, 32, 36, 40, 44)]
    assert shown.blocks.high[-1] == 148
    assert [mark.time // HOUR for mark in shown.marks] == [40]
    assert shown.note == "2 Jan 04:00 to 3 Jan 00:00 UTC, 1 fills"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": "5 minutes"}, "every must be a length"),
        ({"resample": "soon"}, "resample must be a length"),
        ({"blocks": 1}, "blocks must be from 2 to 2000"),
        ({"price_averages": (1, 2, 3)}, "price_averages must be two lengths"),
        ({"score_averages": (0,)}, "score_averages must be two lengths"),
        ({"marks": "crosses"}, 'marks must be "fills" or "signals"'),
    ],
)
def test_a_diagram_that_makes_no_sense_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Diagram(**settings)


def account(first: int, values: list[float]) -> list[Event]:
    return [EquityAt(first + (n + 1) * HOUR, value, "USDT") for n, value in enumerate(values)]


def test_a_day_is_summed_up_with_the_first_value_after_it() -> None:
    day = [1000.0] * 6 + [1100.0] * 6 + [990.0] * 6 + [1050.0] * 6
    trades: list[Event] = [
        TradeClosed(MONDAY + 9 * HOUR, "BTC/USDT", "long", MONDAY, 1.0, 1.0, 1.0, 2.0, pnl, pnl / 1000, "signal")
        for pnl in (60.0, -10.0)
    ]
    events = account(MONDAY, day)
    events[10:10] = trades
    messages = told(Summary(), [*events, *account(MONDAY + DAY_MS, [1060.0])])
    assert len(messages) == 1
    assert messages[0].plain.splitlines() == [
        "📗 Mon 5 Jan: +5.00 %, +50.00₮",
        "Account 1,050.00₮, deepest below its peak −10.00 %",
        "2 trades, 1 won, best +6.0 %, worst −1.0 %, fees 4.00₮",
    ]


def test_days_join_without_a_gap() -> None:
    values = [1000.0 + n for n in range(24 * 4 + 1)]
    messages = told(Summary(curve_days=0, template="{{ start }} {{ equity }}"), account(MONDAY, values))
    days = [tuple(map(float, message.plain.split())) for message in messages]
    assert len(days) == 4
    assert all(before[1] == after[0] for before, after in pairwise(days))
    assert messages[0].picture is None


def test_a_week_ends_with_sunday_in_the_zone_of_the_reader() -> None:
    weeks = told(Summary("week"), account(MONDAY - 2 * DAY_MS, [1000.0] * (24 * 12)), "Asia/Tokyo")
    assert [message.plain.splitlines()[0] for message in weeks] == [
        "📗 Week from Mon 29 Dec: 0.00 %, 0.00₮",
        "📗 Week from Mon 5 Jan: 0.00 %, 0.00₮",
    ]
    assert (weeks[1].time - MONDAY) / HOUR == 7 * 24 - 9 + 1


def test_a_summary_shows_the_curve_of_its_days() -> None:
    messages = told(Summary(curve_days=2), account(MONDAY, [1000.0 + n for n in range(24 * 5 + 1)]))
    drawn = messages[-1].picture
    assert isinstance(drawn, EquityDrawing)
    shown = drawn.picture()
    assert (int(shown.time[0]) - MONDAY) // HOUR == 24 * 5 - 48
    assert shown.equity[-1] == 1000 + 24 * 5 - 1


@pytest.mark.parametrize(
    ("settings", "message"), [({"period": "year"}, "period must be"), ({"curve_days": -1}, "days")]
)
def test_a_summary_that_makes_no_sense_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Summary(**settings)
