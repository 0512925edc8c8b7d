from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.bars.bar import Bar
from itb.live.bars.barrier import Barrier, BarrierRules, Step
from itb.live.bars.schedule import Delivery
from itb.market.timeframe import Timeframe

MINUTE = 60_000
FRAME = Timeframe.parse("1m")
SYMBOLS = ("A", "B", "C")


def bar(number: int) -> Bar:
    return Bar(number * MINUTE, (1.0, 1.0, 1.0, 1.0, float(number)))


def told(*numbers: int, without: tuple[int, ...] = ()) -> list[Delivery]:
    return [Delivery(number * MINUTE, None if number in without else bar(number)) for number in numbers]


def seen(steps: list[Step]) -> list[tuple[int, str, bool]]:
    return [(step.open_time // MINUTE, "".join(sorted(step.bars)), step.is_late) for step in steps]


def test_a_timestamp_is_released_when_its_last_symbol_is_there() -> None:
    barrier = Barrier("AB", BarrierRules(FRAME), first=0)
    assert barrier.settled("A", told(0, 1), 61_000) == []
    assert seen(barrier.settled("B", told(0), 61_200)) == [(0, "AB", False)]
    assert seen(barrier.settled("B", told(1), 121_200)) == [(1, "AB", False)]


def test_a_bar_left_out_holds_nobody_up() -> None:
    barrier = Barrier("AB", BarrierRules(FRAME), first=0)
    barrier.settled("A", told(0), 61_000)
    (step,) = barrier.settled("B", told(0, without=(0,)), 81_000)
    assert (sorted(step.bars), step.absent) == (["A"], ("B",))


def test_a_timestamp_that_nobody_has_a_bar_of_is_no_step() -> None:
    barrier = Barrier("A", BarrierRules(FRAME), first=0)
    assert seen(barrier.settled("A", told(0, 1, without=(0,)), 121_000)) == [(1, "A", False)]


def test_after_the_deadline_the_others_go_on_and_the_late_symbol_follows_undecided() -> None:
    barrier = Barrier("AB", BarrierRules(FRAME, deadline_ms=5_000, policy="without"), first=0)
    barrier.settled("A", told(0), 61_000)
    assert barrier.wake_at == 65_000.0
    assert barrier.tick(64_999) == []
    assert seen(barrier.tick(65_000)) == [(0, "A", False)]
    assert seen(barrier.settled("B", told(0), 90_000)) == [(0, "B", True)]
    assert barrier.settled("B", told(1), 121_000) == []
    assert seen(barrier.settled("A", told(1), 121_500)) == [(1, "AB", False)]


def test_with_wait_nothing_goes_on_without_a_symbol() -> None:
    barrier = Barrier("AB", BarrierRules(FRAME, deadline_ms=5_000, policy="wait"), first=0)
    barrier.settled("A", told(0, 1, 2), 181_000)
    assert barrier.wake_at is None
    assert barrier.tick(10_000_000) == []


def test_steps_that_are_too_old_are_not_to_be_decided_on() -> None:
    barrier = Barrier("A", BarrierRules(FRAME, fresh_ms=10_000), first=0)
    assert seen(barrier.settled("A", told(0, 1, 2), 181_000)) == [(0, "A", True), (1, "A", True), (2, "A", False)]


def test_what_is_settled_twice_or_out_of_order_is_a_defect_of_the_caller() -> None:
    barrier = Barrier("A", BarrierRules(FRAME), first=0)
    with pytest.raises(ValueError, match="each once, in order"):
        barrier.settled("A", told(1), 1.0)


@given(st.randoms(use_true_random=False), st.sampled_from(["wait", "without"]))
def test_whatever_the_skew_every_bar_of_every_symbol_is_in_exactly_one_step_in_order(
    draw: random.Random, policy: str
) -> None:
    barrier = Barrier(SYMBOLS, BarrierRules(FRAME, 5_000, policy), first=0)  # type: ignore[arg-type]  # a literal
    arrivals = []
    left_out = {symbol: tuple(n for n in range(12) if draw.random() < 0.1) for symbol in SYMBOLS}
    for symbol in SYMBOLS:
        at = 0.0
        for number in range(12):
            at = max(at, (number + 1) * MINUTE + draw.choice([draw.uniform(0, 4_000), draw.uniform(0, 200_000)]))
            arrivals.append((at, symbol, number))
    steps: list[Step] = []
    for at, symbol, number in sorted(arrivals):
        while (wake := barrier.wake_at) is not None and wake <= at:
            steps += barrier.tick(wake)
        steps += barrier.settled(symbol, told(number, without=left_out[symbol]), at)
    for symbol in SYMBOLS:
        got = [step.open_time // MINUTE for step in steps if symbol in step.bars]
        assert got == [number for number in range(12) if number not in left_out[symbol]]
    decided = [step.open_time for step in steps if not step.is_late]
    assert decided == sorted(set(decided))  # next() at most once for each timestamp
    if policy == "wait":
        assert [step.open_time for step in steps] == sorted({step.open_time for step in steps})
        for step in steps:
            there = {symbol for symbol in SYMBOLS if step.open_time // MINUTE not in left_out[symbol]}
            assert set(step.bars) == there


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="policy"):
        BarrierRules(FRAME, policy="hope")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="deadline_ms"):
        BarrierRules(FRAME, deadline_ms=0)
    with pytest.raises(ValueError, match="symbols"):
        Barrier((), BarrierRules(FRAME), first=0)
