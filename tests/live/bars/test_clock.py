from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import GatewayError
from itb.live.bars.clock import ClockSample, ExchangeClock
from itb.live.bars.timekeeper import OwnClocks, Timekeeper

OFFSET = 1_700_000_000_000.0


def delays() -> st.SearchStrategy[list[tuple[float, float, float]]]:
    """Seconds before each question, and milliseconds there and back."""
    one = st.tuples(st.floats(0.1, 600), st.floats(0.2, 400), st.floats(0.2, 400))
    return st.lists(one, min_size=1, max_size=40)


def true_ms(monotonic_s: float, drift_ppm: float) -> float:
    return OFFSET + monotonic_s * 1000 * (1 + drift_ppm / 1e6)


def ask(at_s: float, there_ms: float, back_ms: float, drift_ppm: float = 0.0, shift_ms: float = 0.0) -> ClockSample:
    answered = at_s + there_ms / 1000
    server = int(true_ms(answered, drift_ppm) + shift_ms)
    return ClockSample(at_s, answered + back_ms / 1000, server)


@given(delays(), st.floats(-100, 100), st.floats(0, 3_000))
def test_the_true_time_lies_within_the_stated_error_whatever_the_delays_and_the_drift(
    asked: list[tuple[float, float, float]], drift_ppm: float, later_s: float
) -> None:
    clock, at = ExchangeClock(drift_ppm=100), 0.0
    for pause, there, back in asked:
        at += pause
        sample = ask(at, there, back, drift_ppm)
        clock = clock.heard(sample)
        at = sample.received_s
    now = at + later_s
    assert clock.steps == 0
    assert abs(clock.now_ms(now) - true_ms(now, drift_ppm)) <= clock.error_ms(now) + 1e-3
    assert clock.earliest_ms(now) <= true_ms(now, drift_ppm) + 1e-3


@given(delays())
def test_the_error_is_never_worse_than_that_of_the_quickest_answer_kept(
    asked: list[tuple[float, float, float]],
) -> None:
    clock, at, best = ExchangeClock(drift_ppm=0, keep=3), 0.0, float("inf")
    for pause, there, back in asked:
        at += pause
        clock = clock.heard(ask(at, there, back))
        at += (there + back) / 1000
        best = min(best, there + back)
    assert clock.error_ms(at) <= best / 2 + 0.5 + 1e-3


@given(st.floats(-3_600_000, 3_600_000).filter(lambda shift: abs(shift) > 2_000))
def test_a_step_of_either_clock_is_followed_at_once_and_told(shift_ms: float) -> None:
    clock = ExchangeClock()
    for number in range(10):
        clock = clock.heard(ask(number * 60.0, 20, 20))
    clock = clock.heard(ask(700.0, 20, 20, shift_ms=shift_ms))
    assert clock.steps == 1
    assert clock.last_step_ms == pytest.approx(shift_ms, abs=150)
    assert clock.now_ms(700.1) == pytest.approx(true_ms(700.1, 0) + shift_ms, abs=25)


def test_a_quick_answer_counts_for_more_than_later_slow_ones() -> None:
    clock = ExchangeClock().heard(ask(0, 1, 1))
    for number in range(1, 30):
        clock = clock.heard(ask(number, 800, 5))
    assert clock.now_ms(31) == pytest.approx(true_ms(31, 0), abs=5)


def test_drift_is_told_in_parts_per_million() -> None:
    clock = ExchangeClock()
    for number in range(200):
        clock = clock.heard(ask(number * 300.0, 5, 5, drift_ppm=40))
    assert clock.drift(60_000.0) == pytest.approx(40, abs=2)


def test_no_time_is_told_before_the_first_answer() -> None:
    clock = ExchangeClock()
    assert clock.error_ms(1.0) == float("inf")
    with pytest.raises(ValueError, match="has not said its time"):
        clock.now_ms(1.0)


@dataclass
class Machine:
    """Our own clocks, and an exchange that answers after some milliseconds."""

    monotonic: float = 100.0
    wall_shift: float = 1_700_000_000.0
    down: bool = False
    asked: int = 0

    async def server(self) -> int:
        self.asked += 1
        self.monotonic += 0.01
        if self.down:
            raise GatewayError("no answer")
        answer = int(OFFSET + self.monotonic * 1000)
        self.monotonic += 0.01
        return answer

    def keeper(self) -> Timekeeper:
        return Timekeeper(self.server, OwnClocks(lambda: self.monotonic, lambda: self.monotonic + self.wall_shift))


def test_setting_the_wall_clock_moves_nothing_but_makes_the_keeper_ask() -> None:
    machine = Machine()
    keeper = machine.keeper()
    assert asyncio.run(keeper.sample(5))
    before = keeper.now_ms()
    machine.wall_shift += 3_600
    assert keeper.now_ms() == before
    assert keeper.has_jumped()
    assert not keeper.has_jumped()


def test_an_exchange_that_does_not_answer_leaves_the_time_as_it_was() -> None:
    machine = Machine()
    keeper = machine.keeper()
    asyncio.run(keeper.sample())
    machine.down = True
    assert not asyncio.run(keeper.sample(3))
    assert keeper.failures == 3
    assert keeper.now_ms() == pytest.approx(OFFSET + machine.monotonic * 1000, abs=15)


def test_the_keeper_asks_in_a_burst_at_first_and_again_after_a_jump() -> None:
    machine = Machine()
    keeper = machine.keeper()

    async def scene() -> list[int]:
        task, counts = asyncio.create_task(keeper.keep(look_s=0)), []
        for _ in range(20):
            await asyncio.sleep(0)
        counts.append(machine.asked)
        machine.wall_shift -= 60
        for _ in range(20):
            await asyncio.sleep(0)
        counts.append(machine.asked)
        task.cancel()
        return counts

    assert asyncio.run(scene()) == [5, 10]


def test_the_keeper_asks_again_when_a_request_was_refused_for_its_time() -> None:
    machine = Machine()
    keeper = machine.keeper()

    async def scene() -> list[int]:
        task, counts = asyncio.create_task(keeper.keep(look_s=0)), []
        for _ in range(2):
            for _ in range(20):
                await asyncio.sleep(0)
            counts.append(machine.asked)
            keeper.doubt()
        task.cancel()
        return counts

    assert asyncio.run(scene()) == [5, 10]
