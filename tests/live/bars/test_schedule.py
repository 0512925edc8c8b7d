from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.bars.bar import Bar, BarEvent
from itb.live.bars.schedule import BarRules, BarSchedule, Delivery, Outcome
from itb.market.timeframe import Timeframe

MINUTE = 60_000
FRAME = Timeframe.parse("1m")


def bar(number: int, close: float | None = None) -> Bar:
    price = 100.0 + number if close is None else close
    return Bar(number * MINUTE, (price, price + 1, price - 1, price, 5.0))


def machine(**rules: object) -> BarSchedule:
    return BarSchedule("BTC/USDT", BarRules(FRAME, **rules), first=0)  # type: ignore[arg-type]  # literals in tests


def ask(schedule: BarSchedule, at: float, *rows: Bar) -> Outcome:
    """Let it ask at a time, and answer at once."""
    assert schedule.tick(at) is not None, f"nothing to ask at {at}, but at {schedule.wake_at}"
    return schedule.page(rows, at)


def numbers(outcome: Outcome) -> list[int]:
    return [told.open_time // MINUTE for told in outcome.deliveries]


def kinds(outcome: Outcome) -> list[str]:
    return [event.kind for event in outcome.events]


def test_nothing_is_asked_before_the_bar_has_closed_and_settled() -> None:
    schedule = machine(delay_ms=1_000)
    assert schedule.tick(60_999.0) is None
    assert schedule.tick(61_000.0) is not None


def test_a_running_bar_is_never_delivered() -> None:
    schedule = machine()
    assert numbers(ask(schedule, 61_000.0, bar(0), bar(1))) == [0]
    assert schedule.wake_at == 121_000.0


def test_the_stream_wakes_and_its_own_bar_is_the_second_witness() -> None:
    schedule = machine(delay_ms=2_000)
    schedule.hint(0, 60_050.0, bar(0))
    assert schedule.wake_at == 60_050.0
    assert numbers(ask(schedule, 60_050.0, bar(0), bar(1))) == [0]


def test_a_hint_without_a_bar_is_no_witness() -> None:
    schedule = machine(delay_ms=2_000)
    schedule.hint(0, 60_050.0)
    assert numbers(ask(schedule, 60_050.0, bar(0), bar(1))) == []
    assert schedule.wake_at == 62_000.0
    assert numbers(ask(schedule, 62_000.0, bar(0), bar(1))) == [0]


def test_a_hint_before_the_close_by_our_clock_waits_for_it() -> None:
    schedule = machine()
    schedule.hint(0, 59_900.0, bar(0))
    assert schedule.wake_at == 60_000.0


def test_where_stream_and_request_differ_the_request_counts_in_the_end_and_it_is_told() -> None:
    schedule = machine(delay_ms=0, agree_ms=3_000, retry_ms=500)
    schedule.hint(0, 60_000.0, bar(0, close=101.5))
    outcome = ask(schedule, 60_000.0, bar(0, close=101.0))
    assert numbers(outcome) == []
    while not outcome.deliveries:
        assert schedule.wake_at is not None
        outcome = ask(schedule, schedule.wake_at, bar(0, close=101.0))
    assert outcome.deliveries == [Delivery(0, bar(0, close=101.0))]
    assert kinds(outcome) == ["disagreed"]
    assert schedule.wake_at == 120_000.0


def test_a_late_bar_is_asked_for_again_and_again_and_delivered_in_order() -> None:
    schedule = machine(retry_ms=500)
    assert numbers(ask(schedule, 61_000.0, bar(1))) == []
    assert schedule.wake_at == 61_500.0
    assert numbers(ask(schedule, 61_500.0, bar(1))) == []
    assert schedule.wake_at == 62_500.0
    assert numbers(ask(schedule, 62_500.0, bar(0), bar(1))) == [0]


def test_a_missing_bar_becomes_flat_and_one_that_comes_after_all_is_recorded() -> None:
    schedule = machine(gaps="flat", give_up_ms=5_000)
    ask(schedule, 61_000.0, bar(0))
    assert numbers(ask(schedule, 121_000.0, bar(0), bar(2))) == []
    outcome = ask(schedule, 125_000.0, bar(0), bar(2))
    assert outcome.deliveries == [Delivery(MINUTE, Bar(MINUTE, (100.0, 100.0, 100.0, 100.0, 0.0)), "flat")]
    assert kinds(outcome) == ["flat"]
    outcome = ask(schedule, 181_000.0, bar(1), bar(2))
    assert (numbers(outcome), kinds(outcome)) == ([2], ["late"])


def test_a_missing_bar_is_left_out_where_the_policy_says_drop() -> None:
    schedule = machine(gaps="drop", give_up_ms=5_000)
    outcome = ask(schedule, 125_000.0, bar(1))
    assert [(told.open_time, told.bar is None) for told in outcome.deliveries] == [(0, True), (MINUTE, False)]
    assert kinds(outcome) == ["missing"]


def test_with_refuse_nothing_is_delivered_until_the_bar_is_there() -> None:
    schedule = machine(gaps="refuse", give_up_ms=5_000, retry_most_ms=5_000)
    outcome = ask(schedule, 70_000.0, bar(1))
    assert (numbers(outcome), kinds(outcome), schedule.is_refusing) == ([], ["refused"], True)
    outcome = ask(schedule, 130_000.0, bar(1))
    assert (numbers(outcome), kinds(outcome)) == ([], [])
    outcome = ask(schedule, 140_000.0, bar(0), bar(1))
    assert numbers(outcome) == [0, 1]
    assert kinds(outcome) == ["late", "backfilled"]
    assert not schedule.is_refusing


def test_failed_requests_are_no_proof_that_a_bar_is_missing() -> None:
    schedule = machine(give_up_ms=5_000, retry_ms=1_000, retry_most_ms=4_000)
    at, told = 61_000.0, []
    for _ in range(30):
        assert schedule.tick(at)
        told += kinds(schedule.failed(at + 10, "reset"))
        assert schedule.wake_at is not None
        at = schedule.wake_at
    assert told == ["outage"]
    outcome = ask(schedule, at, bar(0), bar(1))
    assert numbers(outcome) == [0, 1]
    assert kinds(outcome) == ["recovered", "backfilled"]


def test_an_outage_is_filled_page_by_page_in_order_without_repeats() -> None:
    schedule = machine(page=10, recheck=2)
    history, delivered, at = [bar(number) for number in range(105)], [], 100 * MINUTE + 1_000.0
    while schedule.next_time < 100 * MINUTE:
        request = schedule.tick(at)
        assert request is not None, schedule.wake_at
        assert request.limit <= 10
        rows = [row for row in history if row.open_time >= request.since][: request.limit]
        delivered += numbers(schedule.page(rows, at))
    assert delivered == list(range(100))
    assert schedule.wake_at == 101 * MINUTE + 1_000.0


def test_a_revision_is_told_with_what_changed_and_what_was_delivered_stays() -> None:
    schedule = machine()
    ask(schedule, 61_000.0, bar(0))
    outcome = ask(schedule, 121_000.0, bar(0, close=100.25), bar(1))
    assert numbers(outcome) == [1]
    assert kinds(outcome) == ["revised"]
    assert "close 100 -> 100.25" in str(outcome.events[0])
    assert kinds(ask(schedule, 181_000.0, bar(0, close=100.25), bar(1), bar(2))) == []


@pytest.mark.parametrize(
    "row",
    [
        Bar(30_000, (1.0, 1.0, 1.0, 1.0, 1.0)),
        Bar(0, (1.0, 0.5, 1.0, 1.0, 1.0)),
        Bar(0, (1.0, float("nan"), 1.0, 1.0, 1.0)),
        Bar(0, (1.0, 1.0, 0.0, 1.0, 1.0)),
    ],
)
def test_nonsense_is_told_and_not_delivered(row: Bar) -> None:
    outcome = ask(machine(), 61_000.0, row)
    assert (numbers(outcome), kinds(outcome)) == ([], ["nonsense"])


def test_an_event_reads_as_a_line() -> None:
    assert str(BarEvent("flat", "BTC/USDT", 0, 1.0, "at 5")) == "BTC/USDT 1970-01-01 00:00 UTC: flat: at 5"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("gaps", "guess"), ("delay_ms", -1), ("retry_ms", 0), ("give_up_ms", 10), ("page", 3), ("recheck", -1)],
)
def test_impossible_rules_are_refused(setting: str, value: object) -> None:
    with pytest.raises(ValueError, match=setting):
        machine(**{setting: value})


BARS = 25


class Venue:
    """An exchange whose bars come late, never, twice, out of order, or are announced before they are shown."""

    def __init__(self, draw: random.Random, give_up_ms: int) -> None:
        self.draw = draw
        # A bar comes at once, late but in time, just before it is given up, or never.
        self.delays = [draw.choice([0.0, 0.0, draw.uniform(0, 900), draw.uniform(0, give_up_ms - 1_500), None])
                       for _ in range(BARS)]  # fmt: skip
        self.failing = draw.choice([0.0, 0.3, 0.7])

    def closed(self, number: int) -> float:
        return (number + 1) * MINUTE

    def rows(self, since: int, limit: int, at: float) -> list[Bar] | None:
        if self.draw.random() < self.failing:
            return None
        found = []
        for number, delay in enumerate(self.delays):
            if number * MINUTE < since or number * MINUTE > at:
                continue
            if at < self.closed(number):
                found.append(bar(number, close=50.0))  # still running
            elif delay is not None and at >= self.closed(number) + delay:
                found.append(bar(number))
        found = found[:limit]
        if found and self.draw.random() < 0.3:
            found.append(self.draw.choice(found))
        if self.draw.random() < 0.3:
            self.draw.shuffle(found)
        return found


@given(st.randoms(use_true_random=False), st.sampled_from(["flat", "drop"]), st.sampled_from([4, 7, 500]))
def test_whatever_the_order_of_arrivals_each_final_bar_is_delivered_once_in_order(
    draw: random.Random, gaps: str, page: int
) -> None:
    give_up_ms = 20_000
    venue, schedule = Venue(draw, give_up_ms), machine(gaps=gaps, give_up_ms=give_up_ms, page=page, delay_ms=1_000)
    delivered: list[Delivery] = []
    told: list[BarEvent] = []
    at = 0.0
    while schedule.next_time < (BARS - 1) * MINUTE:
        assert schedule.wake_at is not None
        before, at = at, max(at, schedule.wake_at)
        if draw.random() < 0.05:
            at += draw.uniform(0, 10 * MINUTE)  # nobody looked for a while
        for number in range(BARS):  # the stream announces what closed in between, mostly
            if before < venue.closed(number) <= at and draw.random() < 0.8:
                schedule.hint(number * MINUTE, at, bar(number) if draw.random() < 0.5 else None)
        request = schedule.tick(at)
        assert request is not None
        rows = venue.rows(request.since, request.limit, at)
        at += draw.uniform(1, 2_000)
        outcome = schedule.failed(at, "reset") if rows is None else schedule.page(rows, at)
        delivered += outcome.deliveries
        told += outcome.events
        assert not [one for one in outcome.deliveries if one.bar and one.open_time + MINUTE > request.asked_at]

    assert [one.open_time // MINUTE for one in delivered] == list(range(len(delivered)))
    never = {number for number, delay in enumerate(venue.delays) if delay is None}
    for number, one in enumerate(delivered):
        if number not in never:
            assert one == Delivery(number * MINUTE, bar(number))
        elif gaps == "drop" or all(earlier in never for earlier in range(number)):
            assert one.bar is None
        else:
            assert one.kind == "flat"
            assert one.bar is not None
            last = max(earlier for earlier in range(number) if earlier not in never)
            assert one.bar.values == (bar(last).close,) * 4 + (0.0,)
    recorded = {event.open_time // MINUTE for event in told if event.kind in ("flat", "missing")}
    assert recorded == {number for number in never if number < len(delivered)}
