"""The herald: what is told reaches people by every way, whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import create_engine, text

from itb.errors import JournalError
from itb.ledger.trades import TradeBook
from itb.live.gateways.port import VenueTrade
from itb.live.notify.alert_notifier import Alerts
from itb.live.notify.clerk import Clerk, Output
from itb.live.notify.events import ScoreSaid, SignalSent
from itb.live.notify.from_live import of_change, of_execution, of_trade
from itb.live.notify.letters import Flood
from itb.live.notify.mailroom import Mailroom
from itb.live.notify.message import plain, size
from itb.live.notify.postman import Postman
from itb.live.notify.score_notifier import ScoreSteps
from itb.live.notify.trade_notifier import Signals, SimulatedTrades, Trades
from itb.live.notify.ways.way import LaterError
from itb.live.run.health import HealthBoard
from itb.market.fills import Fill
from itb.market.timeframe import DAY_MS
from tests.live.notify.test_outbox import HOUR, MINUTE, UTC, Clock, deliver, halted, post, texts
from tests.live.notify.ways import Receiver, patient_herald

# -- lives and deaths


LIFE = dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from itb.live.notify.alert_notifier import Alerts
    from itb.live.notify.clerk import Clerk, Output
    from itb.live.notify.events import StateChanged
    from itb.live.notify.mailroom import Mailroom
    from itb.live.notify.people import People
    from itb.live.notify.postman import Postman
    from itb.live.notify.ways.plain import LinesWay

    journal, out, die_at, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    passed = 0

    def reach(point):
        global passed
        passed += 1
        if passed == die_at:
            os.kill(os.getpid(), 9)

    room = Mailroom(journal, reach=reach)
    way = LinesWay(out)
    people = People()
    room.recover()
    clerk = Clerk(room, [Output("alerts", Alerts(), ("file",))], {"file": way}, people)
    clerk.remember()
    postman = Postman("file", way, room, people, lambda: 0)

    async def deliver():
        while await postman.round() is not None:
            pass

    for n in range(count):
        room.note([StateChanged((n + 1) * 60_000, "halted", f"event {n}")])
        clerk.write()
        asyncio.run(deliver())
    print("passed", passed)
    """
)


def live(journal: Path, out: Path, die_at: int, count: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIFE, str(journal), str(out), str(die_at), str(count)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def killed_at(folder: Path, points: list[int], count: int) -> None:
    """Die at each of the points in turn, then live to the end; nothing is lost and a repeat shows its id."""
    journal, out = folder / "journal.db", folder / "out.jsonl"
    for point in points:
        assert live(journal, out, point, count).returncode == -9
    end = live(journal, out, 0, count)
    assert end.returncode == 0, end.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    first = [line for line in lines if not line["repeat"]]
    order = [re.findall(r"event (\d+)", line["text"])[0] for line in lines]
    assert list(dict.fromkeys(order)) == [str(n) for n in range(count)]
    assert [int(n) for n in order] == sorted(int(n) for n in order)
    assert len({line["id"] for line in first}) == len(first)
    for line in lines:
        assert line["repeat"] == ("↻ #" in line["text"])


def test_a_process_killed_between_any_two_steps_loses_no_message(tmp_path: Path) -> None:
    killed_at(tmp_path, [2, 5, 6, 7], count=3)


@pytest.mark.soak
@pytest.mark.parametrize("point", range(1, 22))
def test_a_process_killed_at_every_fail_point_loses_no_message(point: int, tmp_path: Path) -> None:
    killed_at(tmp_path, [point], count=3)


def test_what_reporters_remember_survives_a_restart(mailroom: Mailroom) -> None:
    outputs = [Output("sim", SimulatedTrades(), ("phone",))]
    signals = [("buy", 100.0), ("sell", 110.0), ("buy", 105.0)]
    for n, (side, price) in enumerate(signals):
        clerk = Clerk(mailroom, outputs, {"phone": Receiver()}, UTC)  # each event in a life of its own
        clerk.remember()
        mailroom.note([SignalSent(n * HOUR, "BTC/USDT", side, price, 0.1)])  # type: ignore[arg-type]
        clerk.write()
    assert [plain(letter.text).splitlines()[0] for letter in mailroom.waiting("phone")] == [
        "🟢 BUY: ₿ 100 Score: +0.10",
        "⚡💰 SOLD: Profit: +10.00% +10.00₮",
        "⚡💰 BOUGHT: Profit: +4.55% +5.00₮",
    ]


def test_old_things_are_forgotten_by_the_time_of_the_market(mailroom: Mailroom) -> None:
    outputs = [Output("a", Alerts(), ("phone",))]

    def tell(day: int) -> None:
        mailroom.note([halted(day * 1440)])
        Clerk(mailroom, outputs, {"phone": Receiver()}, UTC).write()

    mailroom.note([ScoreSaid(MINUTE, "BTC/USDT", "1m", 1, 1, 1, 1, {"a": 0.5})])
    tell(1)
    post(mailroom, 9, way="mail")
    deliver(mailroom, Receiver(), Clock())
    years_later = 20_000 * DAY_MS  # on the wall, while an old market is played again
    mailroom.prune(years_later)
    assert len(list(mailroom.told())) == 2
    assert (mailroom.counts("phone"), mailroom.counts("mail")) == ({}, {"waiting": 1})
    tell(40)
    mailroom.prune(years_later)
    assert [one.time // DAY_MS for one in mailroom.told()] == [1, 40]
    assert mailroom.counts("mail") == {}
    tell(500)
    mailroom.prune(years_later)
    assert [one.time // DAY_MS for one in mailroom.told()] == [500]


# -- the thread


def test_the_herald_delivers_by_all_ways_that_an_output_names(mailroom: Mailroom) -> None:
    phone, mail = Receiver(), Receiver()
    outputs = [Output("alerts", Alerts(), ("phone", "mail")), Output("signals", Signals(), ("mail",))]
    with patient_herald(mailroom, outputs, {"phone": phone, "mail": mail}, UTC, Clock()) as herald:
        herald.tell(halted(1), SignalSent(HOUR, "BTC/USDT", "buy", 24033.0, 0.34))
    assert texts(phone) == ["🛑 Halted: event 1"]
    assert texts(mail) == ["🛑 Halted: event 1", "🟢 BUY: ₿ 24,033 Score: +0.34"]


def test_every_trouble_is_told_when_it_begins_and_when_it_is_over_and_not_between(mailroom: Mailroom) -> None:
    way, outputs, time = Receiver(), [Output("alerts", Alerts(), ("phone",))], iter(range(HOUR, 99 * HOUR, HOUR))
    with patient_herald(mailroom, outputs, {"phone": way}, UTC, Clock()) as herald:
        board = HealthBoard(lambda: next(time), lambda change: herald.tell(of_change(change)))
        for _ in range(5):
            board.trouble("venue", "no answer")
        board.trouble("loss", "lost 6 % today", halts=True)
        board.well("venue")
        board.well("loss")
        board.trouble("venue", "no answer")
    assert texts(way) == [
        "⚠️ Degraded: no answer",
        "🛑 Halted: lost 6 % today",
        "✅ Recovered: no answer (after 6 h, 5 times)",
        "▶️ Resumed: lost 6 % today (after 2 h)",
        "⚠️ Degraded: no answer",
    ]


def test_an_execution_and_a_trade_are_told_as_the_ledger_has_them(mailroom: Mailroom) -> None:
    book = TradeBook("BTC/USDT")
    book.add(Fill(0, HOUR, 1, "BTC/USDT", 0.5, 100.0, 0.05, 0.05, reason="entry"))
    book.add(Fill(4, 5 * HOUR, 2, "BTC/USDT", -0.5, 112.0, 0.056, 0.056, reason="target"))
    trade = of_trade(book.closed[0], 6 * HOUR)
    half = Decimal("0.5")
    sold = VenueTrade("t7", "o1", "BTC/USDT", "sell", half, Decimal(112), Decimal("0.056"), "USDT", 6 * HOUR)
    way, outputs = Receiver(), [Output("trades", Trades(), ("phone",))]
    with patient_herald(mailroom, outputs, {"phone": way}, UTC, Clock()) as herald:
        herald.tell(of_execution(sold, "target", 0.056), trade)
    assert texts(way)[0] == "🔴 Sold 0.5 BTC/USDT at 112 (target), fee 0.06₮"
    assert texts(way)[1].splitlines()[0] == "💰 BTC/USDT long closed: +11.79% +5.89₮"
    assert trade.pnl == pytest.approx(0.5 * 12 - 0.106)


def test_a_way_that_is_down_holds_up_no_other(mailroom: Mailroom) -> None:
    down, up = Receiver(lambda _: LaterError("gone", 600.0)), Receiver()
    outputs = [Output("alerts", Alerts(), ("down", "up"))]
    with patient_herald(mailroom, outputs, {"down": down, "up": up}, UTC, Clock()) as herald:
        herald.tell(*(halted(n) for n in range(5)))
    assert len(up.arrived) == 5
    assert mailroom.counts("down") == {"waiting": 5}


def test_what_was_not_delivered_waits_for_the_next_life(mailroom: Mailroom) -> None:
    outputs = [Output("alerts", Alerts(), ("phone",))]
    with patient_herald(
        mailroom, outputs, {"phone": Receiver(lambda _: LaterError("gone", 600.0))}, UTC, Clock()
    ) as herald:
        herald.tell(halted(1))
    way = Receiver()
    with patient_herald(mailroom, outputs, {"phone": way}, UTC, Clock()) as herald:
        herald.tell(halted(1), halted(2))
    assert texts(way) == ["🛑 Halted: event 1", "🛑 Halted: event 2"]


def test_telling_never_raises_and_what_cannot_be_written_is_kept(mailroom: Mailroom, journal_file: Path) -> None:
    way = Receiver()
    herald = patient_herald(mailroom, [Output("alerts", Alerts(), ("phone",))], {"phone": way}, UTC, Clock())
    holder = create_engine(f"sqlite:///{journal_file}")
    with holder.connect() as connection:
        connection.execute(text("BEGIN IMMEDIATE"))
        herald.tell(halted(1))
        connection.rollback()
    herald.tell(halted(2))
    holder.dispose()
    with herald:
        pass
    assert texts(way) == ["🛑 Halted: event 1", "🛑 Halted: event 2"]


def test_a_database_that_is_busy_at_the_start_is_waited_for(mailroom: Mailroom, journal_file: Path) -> None:
    way, holder = Receiver(), create_engine(f"sqlite:///{journal_file}")
    post(mailroom, 1)
    herald = patient_herald(mailroom, [Output("a", Alerts(), ("phone",))], {"phone": way}, UTC, Clock(), retry_s=0.05)
    with holder.connect() as connection:
        connection.execute(text("BEGIN IMMEDIATE"))
        herald.start()
        herald.tell(halted(1))
        connection.rollback()
    holder.dispose()
    herald.stop()
    assert texts(way) == ["letter 1", "🛑 Halted: event 1"]


def test_what_is_told_just_before_the_end_still_goes_out(mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while the herald is writing, and so does the end."""
    way = Receiver()
    herald = patient_herald(mailroom, [Output("a", Alerts(), ("phone",))], {"phone": way}, UTC, Clock())
    write, entered, leave = herald._clerk.write, threading.Event(), threading.Event()

    def slowly() -> None:
        write()
        entered.set()
        assert leave.wait(60)

    monkeypatch.setattr(herald._clerk, "write", slowly)  # as slow as a picture
    herald.start()
    assert entered.wait(60)
    herald.tell(halted(1))
    assert herald._loop is not None
    assert herald._stopping is not None
    herald._loop.call_soon_threadsafe(herald._stopping.set)
    herald._loop.call_soon_threadsafe(leave.set)  # in this order
    herald.stop()
    assert texts(way) == ["🛑 Halted: event 1"]


def test_what_cannot_be_written_down_as_arrived_comes_again_with_its_id(mailroom: Mailroom, journal_file: Path) -> None:
    holder = create_engine(f"sqlite:///{journal_file}")
    connection = holder.connect()

    def hold(number: int) -> None:
        if number == 1:
            connection.execute(text("BEGIN IMMEDIATE"))

    post(mailroom, 1, 2)
    way = Receiver(after=hold)
    postman = Postman("phone", way, mailroom, UTC, Clock())
    assert asyncio.run(postman.round()) == 2.0
    assert mailroom.counts("phone") == {"sending": 1, "waiting": 1}
    assert asyncio.run(postman.round()) == 4.0
    connection.rollback()
    connection.close()
    holder.dispose()
    asyncio.run(postman.round())
    asyncio.run(postman.round())
    assert [one.partition("\n")[0] for one in texts(way)] == ["letter 1", "letter 1", "letter 2"]
    assert [message.is_repeat for message in way.arrived] == [False, True, False]


def test_a_way_that_raises_anything_is_tried_again(mailroom: Mailroom) -> None:
    post(mailroom, 1)
    way = Receiver(lambda n: ZeroDivisionError("a bug") if n == 1 else None)
    deliver(mailroom, way, Clock())
    assert texts(way)[0].startswith("letter 1\n↻ #")


def test_a_notice_that_cannot_be_read_is_passed_over(mailroom: Mailroom, journal_file: Path) -> None:
    mailroom.note([halted(1), halted(2)])
    engine = create_engine(f"sqlite:///{journal_file}")
    with engine.begin() as connection:
        connection.execute(text("update notices set kind = 'dream' where number = 1"))
    engine.dispose()
    way = Receiver()
    for _ in range(2):
        with patient_herald(mailroom, [Output("a", Alerts(), ("phone",))], {"phone": way}, UTC, Clock()):
            pass
    assert texts(way) == ["🛑 Halted: event 2"]


def test_a_long_text_is_sent_in_parts_and_a_picture_with_the_first(mailroom: Mailroom) -> None:
    long = "\n".join(f"line {n:04d}" for n in range(300))
    outputs = [Output("alerts", Alerts(template="{{ text }}"), ("phone",))]
    way = Receiver(limit=1500)
    Clerk(mailroom, outputs, {"phone": way}, UTC)
    with patient_herald(mailroom, outputs, {"phone": way}, UTC, Clock()) as herald:
        herald.tell(halted(1, long))
    assert len(way.arrived) == 3
    assert "\n".join(texts(way)) == long
    assert all(size(message.text) <= 1500 for message in way.arrived)


def test_an_output_that_fails_on_an_event_fails_alone(mailroom: Mailroom, caplog: pytest.LogCaptureFixture) -> None:
    bad = ScoreSteps(template="{{ 1 / (score - 0.5) }}", quiet_below=0.0)
    outputs = [Output("bad", bad, ("phone",)), Output("good", ScoreSteps(), ("phone",))]
    way = Receiver()
    with patient_herald(mailroom, outputs, {"phone": way}, UTC, Clock()) as herald:
        herald.tell(ScoreSaid(HOUR, "BTC/USDT", "1h", 1, 1, 1, 24000, {"a": 0.5}))
    assert texts(way) == ["₿ 24.000 📈📈📈📈📈📈📈📈 Score: +0.50"]
    assert "output bad: ValueError: template: ZeroDivisionError" in caplog.text


def test_many_threads_may_tell(mailroom: Mailroom) -> None:
    way = Receiver()
    outputs = [Output("alerts", Alerts(), ("phone",))]
    with patient_herald(mailroom, outputs, {"phone": way}, UTC, Clock(), flood=Flood(behind=1000)) as herald:

        def tell(first: int) -> None:
            for number in range(first, first + 20):
                herald.tell(halted(number))

        threads = [threading.Thread(target=tell, args=(100 * k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({message.key for message in way.arrived}) == len(way.arrived) == 80


def test_an_output_by_a_way_that_is_not_there_is_refused(mailroom: Mailroom) -> None:
    with pytest.raises(ValueError, match="ways must be among phone, was 'fax'"):
        patient_herald(mailroom, [Output("alerts", Alerts(), ("fax",))], {"phone": Receiver()}, UTC, Clock())


def test_a_database_that_cannot_be_opened_is_told_without_its_password() -> None:
    with pytest.raises(JournalError, match="unable to open") as caught:
        Mailroom("sqlite:////nowhere/at/all.db")
    assert "free the disk or restore the file" in str(caught.value)
