"""The driver on virtual time against a market that is played again with faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from itb.datafeeds.waves import sinus
from itb.live.bars.bar import Bar, BarEvent, rows_of
from itb.live.bars.barrier import Barrier, BarrierRules, Step
from itb.live.bars.pump import BarPump, Patience, Sinks
from itb.live.bars.replay import BarFaults, PlayedTime, ReplaySource
from itb.live.bars.schedule import BarRules, BarSchedule
from itb.live.bars.source import Hint
from itb.live.bars.virtual import VirtualLoop, run_virtually
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

WARM = 5


NO_FAULTS = BarFaults()


class Played:
    """What came out of a market that was played from its fifth bar to its last but one."""

    def __init__(
        self,
        markets: dict[str, Bars],
        faults: BarFaults = NO_FAULTS,
        *,
        down: tuple[int, int] | None = None,
        source: type[ReplaySource] = ReplaySource,
        **rules: object,
    ) -> None:
        first = next(iter(markets.values()))
        self.frame = first.timeframe
        self.steps: list[Step] = []
        self.events: list[BarEvent] = []
        loop = VirtualLoop(float(first.open_time[WARM]) / 1000)
        clock = PlayedTime(float(first.open_time[WARM]), loop.time)
        outage = (float("inf"), float("inf")) if down is None else tuple(float(first.open_time[i]) for i in down)
        self.source = source(markets, clock, faults, down=outage, latency_s=0.05)  # type: ignore[arg-type]  # a pair
        barred = {key: rules.pop(key) for key in ("deadline_ms", "policy", "fresh_ms") if key in rules}
        start, stop = int(first.open_time[WARM]), int(first.open_time[-1])
        schedules = {
            name: BarSchedule(
                name,
                BarRules(self.frame, **rules),  # type: ignore[arg-type]  # literals in tests
                start,
                tuple(one.columns),
                rows_of(one)[WARM - 1],
            )
            for name, one in markets.items()
        }
        barrier = Barrier(markets, BarrierRules(self.frame, **barred), start)  # type: ignore[arg-type]  # literals
        self.pump = BarPump(self.source, clock, schedules, barrier, Sinks(self.steps.append, self.events.append))

        async def scene() -> None:
            task = asyncio.create_task(self.pump.run())
            while min(one.next_time for one in schedules.values()) < stop:
                await asyncio.sleep(self.frame.ms / 1000)
                if task.done():
                    break
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled() and task.exception():
                raise task.exception() or RuntimeError

        run_virtually(scene(), loop)

    def bars(self, symbol: str) -> list[Bar]:
        return [step.bars[symbol] for step in self.steps if symbol in step.bars]

    def kinds(self) -> set[str]:
        return {event.kind for event in self.events}

    def lags(self) -> list[float]:
        return [step.released_at - step.open_time - self.frame.ms for step in self.steps]


def scaled(bars: Bars, factor: float) -> Bars:
    return Bars(bars.symbol, bars.timeframe, bars.open_time, {name: factor * one for name, one in bars.columns.items()})


def final(bars: Bars) -> list[Bar]:
    return rows_of(bars)[WARM : len(bars) - 1]


def test_without_faults_each_bar_is_delivered_one_answer_after_its_close(bars: Bars) -> None:
    played = Played({"A/B": bars})
    assert played.bars("A/B") == final(bars)
    assert played.events == []
    assert max(played.lags()) == pytest.approx(50, abs=1)
    assert played.source.requests <= len(played.steps) + 1


def test_without_the_stream_bars_come_by_the_clock(bars: Bars) -> None:
    played = Played({"A/B": bars}, BarFaults(silent=1.0), delay_ms=1_000)
    assert played.bars("A/B") == final(bars)
    assert max(played.lags()) == pytest.approx(1_050, abs=1)


@pytest.mark.parametrize("seed", range(4))
def test_late_repeated_shuffled_and_failed_answers_change_no_bar(bars: Bars, seed: int) -> None:
    faults = BarFaults(late=0.5, repeated=0.3, shuffled=0.3, failing=0.3, silent=0.3, seed=seed)
    played = Played({"A/B": bars}, faults, give_up_ms=60_000)
    assert played.bars("A/B") == final(bars)
    assert {"outage", "recovered", "duplicate"} <= played.kinds()


def test_a_bar_told_wrongly_at_first_is_delivered_as_told_and_the_revision_is_recorded(bars: Bars) -> None:
    played = Played({"A/B": bars}, BarFaults(revised=0.3, seed=1))
    revised = {event.open_time for event in played.events if event.kind == "revised"}
    wrong = {told.open_time for told, true in zip(played.bars("A/B"), final(bars), strict=True) if told != true}
    assert len(wrong) > 3
    assert revised == wrong - set(bars.open_time[-3:].tolist())  # nobody looked at the last ones late enough


def test_an_outage_is_filled_in_order_and_what_is_old_is_not_decided_on(bars: Bars) -> None:
    played = Played({"A/B": bars}, down=(10, 20))
    assert played.bars("A/B") == final(bars)
    assert [event.kind for event in played.events] == ["outage", "recovered", "backfilled"]
    late = [step.open_time for step in played.steps if step.is_late]
    assert late == bars.open_time[9:19].tolist()


def test_missing_bars_are_treated_as_the_data_section_treats_them(bars: Bars) -> None:
    from itb.market.gaps import treat

    faults = BarFaults(missing=0.3, seed=3)
    flat = Played({"A/B": bars}, faults, gaps="flat")
    dropped = Played({"A/B": bars}, faults, gaps="drop")
    kept = {bar.open_time for bar in dropped.bars("A/B")}
    there = np.array([time in kept or i < WARM for i, time in enumerate(bars.open_time.tolist())])
    there[-1] = True
    gappy = Bars(
        bars.symbol, bars.timeframe, bars.open_time[there], {name: one[there] for name, one in bars.columns.items()}
    )
    assert dropped.bars("A/B") == final(bars=gappy)
    assert flat.bars("A/B") == final(treat(gappy, "flat"))
    assert sum(event.kind == "flat" for event in flat.events) == sum(~there)


def test_three_skewed_symbols_are_stepped_once_for_each_timestamp() -> None:
    markets = {name: scaled(sinus(bars=30), factor) for name, factor in (("A/X", 1), ("B/X", 7), ("C/X", 13))}
    played = Played(markets, BarFaults(late=0.6, silent=0.5, failing=0.1, seed=5))
    times = [step.open_time for step in played.steps]
    assert times == sorted(set(times))
    for name, one in markets.items():
        assert played.bars(name) == final(one)
    assert all(len(step.bars) == 3 for step in played.steps)


def test_one_symbol_without_answers_does_not_hold_the_others_where_the_policy_says_so() -> None:
    class HalfDown(ReplaySource):
        async def bars(self, symbol: str, timeframe: Timeframe, since: int, limit: int) -> Sequence[Bar]:
            rows = self._rows[symbol]
            if symbol == "B/X" and since >= rows[8].open_time and self._clock() < rows[15].open_time:
                raise OSError("reset")
            return await super().bars(symbol, timeframe, since, limit)

    markets = {name: sinus(bars=30) for name in ("A/X", "B/X")}
    played = Played(markets, source=HalfDown, policy="without", deadline_ms=5_000)
    assert played.bars("A/X") == final(markets["A/X"])
    assert played.bars("B/X") == final(markets["B/X"])
    alone = [step for step in played.steps if step.absent == ("B/X",)]
    behind = [step for step in played.steps if step.absent == ("A/X",)]
    assert 0 < len(alone) == len(behind) == sum(event.kind == "left_behind" for event in played.events)
    assert all(step.is_late for step in behind)
    assert not any(step.is_late for step in alone)


def test_a_broken_stream_is_dialled_again(bars: Bars) -> None:
    class Breaking(ReplaySource):
        async def hints(self) -> AsyncIterator[Hint]:
            count = 0
            async for hint in super().hints():
                yield hint
                count += 1
                if count == 3:
                    raise OSError("reset by peer")

    played = Played({"A/B": bars}, source=Breaking)
    assert played.bars("A/B") == final(bars)
    assert played.pump.redials == (len(played.steps)) // 3


def test_a_stream_that_falls_silent_is_dialled_again(bars: Bars) -> None:
    played = Played({"A/B": bars}, BarFaults(silent=1.0))
    assert played.pump.redials >= len(played.steps) // 2


def test_a_request_without_end_is_given_up(bars: Bars) -> None:
    class Hanging(ReplaySource):
        async def bars(self, symbol: str, timeframe: Timeframe, since: int, limit: int) -> Sequence[Bar]:
            if self.requests == 3:
                self.requests += 1
                await asyncio.sleep(1e9)
            return await super().bars(symbol, timeframe, since, limit)

    played = Played({"A/B": bars}, source=Hanging)
    assert played.bars("A/B") == final(bars)
    assert played.kinds() == {"outage", "recovered"}
    assert max(played.lags()) < Patience().request_s * 1000 + 5_000


def test_a_defect_of_the_source_is_raised_not_swallowed(bars: Bars) -> None:
    class Defect(ReplaySource):
        async def bars(self, symbol: str, timeframe: Timeframe, since: int, limit: int) -> Sequence[Bar]:
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        Played({"A/B": bars}, source=Defect)
    assert raised.group_contains(ZeroDivisionError)
