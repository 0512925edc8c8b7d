"""The outbox: nothing lost that no rule left out, order kept, no repeat without its id, whatever breaks in between."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from itb.live.journal.store import Journal
from itb.live.notify.events import StateChanged
from itb.live.notify.letters import USUAL, Flood, Letter, next_parcel
from itb.live.notify.mailroom import Draft, Mailroom
from itb.live.notify.message import plain, size
from itb.live.notify.people import People
from itb.live.notify.postman import Postman
from itb.live.notify.ways.way import LaterError, Outgoing, RefusedError, UnclearError
from itb.market.timeframe import DAY_MS
from tests.live.notify.ways import Receiver

HOUR, MINUTE = 3_600_000, 60_000
UTC = People()


def halted(number: int, why: str = "") -> StateChanged:
    return StateChanged(number * MINUTE, "halted", why or f"event {number}")


def post(mailroom: Mailroom, *numbers: int, topic: str = "alert", way: str = "phone") -> None:
    mailroom.post([], [Draft(way, f"{topic}/{n}", topic, n * MINUTE, f"letter {n}") for n in numbers])


class Clock:
    """A time that a postman's waits move on."""

    def __init__(self) -> None:
        self.now = DAY_MS

    def __call__(self) -> int:
        return self.now


def deliver(mailroom: Mailroom, way: Receiver, clock: Clock, *, until: int = 1 << 60, flood: Flood = USUAL) -> Postman:
    """Let a postman work, in virtual time, until nothing waits."""
    postman = Postman("phone", way, mailroom, UTC, clock, flood)

    async def work() -> None:
        while clock.now < until:
            pause = await postman.round()
            if pause is None:
                return
            clock.now += round(pause * 1000)

    asyncio.run(work())
    return postman


def texts(way: Receiver) -> list[str]:
    return [message.plain for message in way.arrived]


# -- noting


def test_what_is_told_twice_is_noted_once(mailroom: Mailroom) -> None:
    mailroom.note([halted(1), halted(1)])
    mailroom.note([halted(1), halted(2)])
    assert [happened for _, happened in mailroom.untold()] == [halted(1), halted(2)]


def test_a_letter_with_a_key_that_was_posted_before_is_not_posted_again(mailroom: Mailroom) -> None:
    post(mailroom, 1, 2)
    post(mailroom, 2, 3)
    post(mailroom, 2, way="mail")
    assert [letter.text for letter in mailroom.waiting("phone")] == ["letter 1", "letter 2", "letter 3"]
    assert len(mailroom.waiting("mail")) == 1


def test_the_outbox_lies_in_the_journals_database(journal_file: Path, mailroom: Mailroom) -> None:
    mailroom.note([halted(1)])
    with Journal(journal_file) as journal:
        assert list(journal.events()) == []
    engine = create_engine(f"sqlite:///{journal_file}")
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from notices")).scalar() == 1
    engine.dispose()


# -- delivering


def test_letters_arrive_in_order_and_once(mailroom: Mailroom) -> None:
    way = Receiver()
    post(mailroom, *range(10))
    deliver(mailroom, way, Clock())
    assert texts(way) == [f"letter {n}" for n in range(10)]
    assert mailroom.counts("phone") == {"sent": 10}


def test_an_answer_that_says_when_to_come_back_is_obeyed(mailroom: Mailroom) -> None:
    asked: list[int] = []
    clock = Clock()

    def behave(number: int) -> Exception | None:
        asked.append(clock.now)
        return LaterError("flood", 37.0) if number == 2 else None

    post(mailroom, 1, 2, 3)
    way = Receiver(behave)
    deliver(mailroom, way, clock)
    assert texts(way) == ["letter 1", "letter 2", "letter 3"]
    assert asked[2] - asked[1] == 37_000


def test_a_message_that_may_have_arrived_comes_again_with_its_id(mailroom: Mailroom) -> None:
    post(mailroom, 1, 2)
    way = Receiver(after=lambda n: UnclearError("timed out") if n == 1 else None)
    deliver(mailroom, way, Clock())
    assert len(way.arrived) == 3
    assert way.arrived[0].key == way.arrived[1].key
    short = way.arrived[0].key.rpartition("#")[2]
    assert way.arrived[1].plain == f"letter 1\n↻ #{short}: may be a repeat"
    assert [message.is_repeat for message in way.arrived] == [False, True, False]


def test_a_message_that_certainly_did_not_arrive_comes_without_an_id(mailroom: Mailroom) -> None:
    post(mailroom, 1)
    way = Receiver(lambda n: LaterError("no network") if n < 5 else None)
    clock = Clock()
    deliver(mailroom, way, clock)
    assert texts(way) == ["letter 1"]
    assert clock.now - DAY_MS == (2 + 4 + 8 + 16) * 1000


def test_a_refused_message_does_not_hold_up_the_next(mailroom: Mailroom, caplog: pytest.LogCaptureFixture) -> None:
    post(mailroom, 1, 2)
    way = Receiver(lambda n: RefusedError("chat not found") if n == 1 else None)
    deliver(mailroom, way, Clock())
    assert texts(way) == ["letter 2"]
    assert mailroom.counts("phone") == {"refused": 1, "sent": 1}
    assert "phone: a message about alert is refused and left out: chat not found" in caplog.text


def test_the_waits_double_up_to_five_minutes(mailroom: Mailroom) -> None:
    post(mailroom, 1)
    clock = Clock()
    times: list[int] = []

    def behave(_: int) -> Exception:
        times.append(clock.now)
        return LaterError("gone")

    deliver(mailroom, Receiver(behave), clock, until=DAY_MS + HOUR)
    waits = [(b - a) // 1000 for a, b in pairwise(times)]
    assert waits[:9] == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert set(waits[9:]) == {300}


# -- floods


def letters(spec: str) -> list[Letter]:
    topics = {"s": "score", "d": "diagram", "t": "trade", "a": "alert"}
    return [
        Letter(n + 1, f"out/{topics[c]}/BTC/{n}", topics[c], n * MINUTE, f"{topics[c]} {n}", has_picture=c == "d")
        for n, c in enumerate(spec)
    ]


def all_parcels(waiting: list[Letter], flood: Flood) -> tuple[list[str], list[str]]:
    """Send everything; give the texts of what was sent and of what was left out, in order."""
    sent, gone = [], []
    while waiting:
        parcel = next_parcel(waiting, 500, UTC, flood)
        assert size(parcel.text(UTC)) <= 500
        sent += [letter.text for letter in parcel.letters]
        gone += [letter.text for letter in parcel.left_out]
        used = {letter.number for letter in (*parcel.letters, *parcel.left_out)}
        waiting = [letter for letter in waiting if letter.number not in used]
    return sent, gone


@given(st.text("sdta", min_size=1, max_size=120), st.integers(1, 30), st.integers(0, 6), st.integers(30, 100))
def test_only_what_a_rule_names_is_left_out_and_the_rest_stays_in_order(
    spec: str, behind: int, scores: int, most: int
) -> None:
    waiting = letters(spec)
    sent, gone = all_parcels(waiting, Flood(behind, scores, most))
    assert sent == [letter.text for letter in waiting if letter.text in set(sent)]
    assert sorted(sent + gone) == sorted(letter.text for letter in waiting)
    if len(spec) <= behind:
        assert gone == []
    trades = [letter.text for letter in waiting if letter.topic in {"trade", "alert"}]
    if len(spec) <= most:
        assert [text for text in gone if text in trades] == []
    newest = [letter.text for letter in waiting if letter.topic == "diagram"][-1:]
    assert set(newest) <= set(sent)


def test_a_flood_is_packed_and_what_is_left_out_is_counted() -> None:
    waiting = letters("s" * 30 + "dd" + "t" * 5)
    first = next_parcel(waiting, 4096, UTC)
    assert [letter.text for letter in first.letters] == [f"score {n}" for n in range(25, 30)]
    assert plain(first.text(UTC)).splitlines()[:2] == [
        "Left out while you could not be reached, 1 Jan 00:00 to 1 Jan 00:24 UTC: 25 score",
        "00:25 score 25",
    ]
    rest = [letter for letter in waiting if letter.number > 30]
    second = next_parcel([*letters("t" * 20), *rest], 4096, UTC)
    assert len(second.letters) == 20


def test_a_parcel_that_may_have_arrived_is_sent_again_as_it_was(mailroom: Mailroom) -> None:
    post(mailroom, *range(1, 31))
    post(mailroom, *range(31, 61), topic="score")
    way = Receiver(after=lambda n: UnclearError("timed out") if n == 1 else None, limit=500)
    clock = Clock()
    deliver(mailroom, way, clock, until=DAY_MS + 1)  # one try
    post(mailroom, *range(61, 70))
    deliver(mailroom, way, clock)
    first, again = way.arrived[:2]
    assert again.plain.startswith(first.plain)
    assert again.plain.removeprefix(first.plain).startswith("\n↻ #")
    seen = re.findall(r"letter \d+", "\n".join(texts(way)[1:]))
    assert seen == [f"letter {n}" for n in [*range(1, 31), *range(56, 61), *range(61, 70)]]


def test_nothing_is_added_to_a_parcel_that_may_have_arrived(mailroom: Mailroom) -> None:
    post(mailroom, 1, 2)
    way = Receiver(after=lambda n: UnclearError("timed out") if n == 1 else None)
    clock, flood = Clock(), Flood(behind=1, most=9)
    deliver(mailroom, way, clock, until=DAY_MS + 1, flood=flood)
    post(mailroom, 3)
    deliver(mailroom, way, clock, flood=flood)
    assert [re.findall(r"letter \d", text) for text in texts(way)] == [["letter 1", "letter 2"]] * 2 + [["letter 3"]]


# -- a day without the other side


def test_a_day_of_outage_loses_nothing_but_what_the_rules_leave_out(mailroom: Mailroom) -> None:
    """24 h of minutes: a score each, an alert every 10, a picture every 60; the way answers in every wrong manner."""
    clock = Clock()
    faults: list[Callable[[], Exception]] = [
        lambda: LaterError("429", 5.0), lambda: LaterError("no network"), lambda: UnclearError("502"),
        lambda: UnclearError("timed out"),
    ]  # fmt: skip
    back = DAY_MS + DAY_MS
    way = Receiver(lambda n: faults[n % 4]() if clock.now < back else None)
    for hour in range(24):
        drafts = []
        for minute in range(hour * 60, hour * 60 + 60):
            at = DAY_MS + minute * MINUTE
            drafts.append(Draft("phone", f"o/score/BTC/{minute}", "score", at, f"score {minute}"))
            if minute % 10 == 0:
                drafts.append(Draft("phone", f"o/state/x/{minute}", "alert", at, f"alert {minute}"))
            if minute % 60 == 0:
                drafts.append(Draft("phone", f"o/diagram/BTC/{minute}", "diagram", at, f"picture {minute}", b"png"))
        mailroom.post([], drafts)
        deliver(mailroom, way, clock, until=DAY_MS + (hour + 1) * HOUR)
        clock.now = max(clock.now, DAY_MS + (hour + 1) * HOUR)
    deliver(mailroom, way, clock)
    said = "\n".join(texts(way))
    assert re.findall(r"alert (\d+)", said) == [str(minute) for minute in range(0, 1440, 10)]
    assert [int(n) for n in re.findall(r"score (\d+)", said)][-5:] == list(range(1435, 1440))
    sent = Counter(re.findall(r"(?:alert|picture|score) \d+", said))
    assert set(sent.values()) == {1}
    states = mailroom.counts("phone")
    assert set(states) == {"sent", "left_out"}
    assert sum(states.values()) == 1440 + 144 + 24
    left_out = "\n".join(line for line in said.splitlines() if line.startswith("Left out"))
    counted = sum(int(n) for n in re.findall(r"(\d+) (?:score|diagram)\b", left_out))
    assert counted == states["left_out"]
    assert way.arrived[0].is_repeat  # it may have arrived in the outage
    assert len(way.arrived) < 40


def test_more_letters_than_the_bound_are_counted_and_not_kept_waiting(mailroom: Mailroom) -> None:
    post(mailroom, *range(300))
    way = Receiver()
    deliver(mailroom, way, Clock(), flood=Flood(behind=10, most=100))
    assert mailroom.counts("phone") == {"sent": 100, "left_out": 200}
    assert texts(way)[0].startswith(
        "Left out while you could not be reached, 1 Jan 00:00 to 1 Jan 03:19 UTC: 200 alert\n"
    )


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from(["ok", "later", "unclear", "lost", "refused", "crash"]), max_size=25), st.integers(1, 30)
)
def test_whatever_the_other_side_does_the_outbox_keeps_its_promise(
    journal_file_of: Callable[[], Path], fates: list[str], count: int
) -> None:
    room = Mailroom(journal_file_of())
    post(room, *range(count))
    seen: list[Outgoing] = []

    class Crash(BaseException):
        pass

    def behave(n: int) -> BaseException | None:
        fate = fates[n - 1] if n <= len(fates) else "ok"
        if fate == "refused":
            return RefusedError("no")
        return {"later": LaterError("later"), "unclear": UnclearError("maybe")}.get(fate)

    def after(n: int) -> BaseException | None:
        fate = fates[n - 1] if n <= len(fates) else "ok"
        return {"lost": UnclearError("maybe"), "crash": Crash()}.get(fate)

    way = Receiver(behave, after, arrived=seen)  # type: ignore[arg-type]
    while True:
        try:
            deliver(room, way, Clock())
            break
        except Crash:
            assert room.recover() >= 1
    states = room.counts("phone")
    refused_count = states.pop("refused", 0)
    assert states in ({"sent": count - refused_count}, {})
    order = [int(n) for message in seen for n in re.findall(r"letter (\d+)", message.plain)]
    firsts = list(dict.fromkeys(order))
    assert firsts == sorted(firsts)
    arrived_before: set[int] = set()
    for message in seen:
        inside = {int(n) for n in re.findall(r"letter (\d+)", message.plain)}
        if inside & arrived_before:
            assert "↻ #" in message.plain
        arrived_before |= inside
    assert len(arrived_before) >= count - refused_count
    room.close()
