"""Play stored bars through source, schedule, barrier and pump on virtual time: the steps that live would have seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from itb.live.bars.bar import BarEvent, rows_of
from itb.live.bars.barrier import Barrier, BarrierRules, Step
from itb.live.bars.pump import BarPump, Sinks
from itb.live.bars.replay import BarFaults, PlayedTime, ReplaySource
from itb.live.bars.schedule import BarRules, BarSchedule
from itb.live.bars.virtual import VirtualLoop, run_virtually

if TYPE_CHECKING:
    from itb.market.bars import Bars

_AFTER_S = 600.0  # so that what failed at the end is asked for again


@dataclass(frozen=True)
class Played:
    """Steps in the order of their release, and what there was to tell on the way."""

    steps: tuple[Step, ...]
    events: tuple[BarEvent, ...]


@dataclass(frozen=True)
class Stage:
    """How a market is played: the rules of its bars (``None``: those of a plain run) and the faults of its exchange."""

    bars: BarRules | None = None
    barrier: BarrierRules | None = None
    faults: BarFaults = field(default_factory=BarFaults)
    latency_s: float = 0.01


def play(markets: Mapping[str, Bars], warm: int, stage: Stage | None = None) -> Played:
    """Play bars ``warm`` and later of every symbol as the present; the earlier ones are history.

    All symbols must have a bar at the same first time. The same arguments give the same steps.

    >>> from itb.datafeeds.waves import sinus
    >>> played = play({"A/B": sinus(bars=20)}, 5)
    >>> len(played.steps), played.events, {step.is_late for step in played.steps}
    (15, (), {False})
    """
    stage = stage or Stage()
    some = next(iter(markets.values()))
    frame = some.timeframe
    start, last = int(some.open_time[warm]), max(int(one.open_time[-1]) for one in markets.values())
    if any(int(one.open_time[warm]) != start for one in markets.values()):
        raise ValueError(f"bar {warm} of every symbol must open at the same time")
    rules = stage.bars or BarRules(frame, gaps="drop")
    loop = VirtualLoop(start / 1000)
    clock = PlayedTime(float(start), loop.time)
    source = ReplaySource(markets, clock, stage.faults, latency_s=stage.latency_s)
    schedules = {
        name: BarSchedule(name, rules, start, tuple(one.columns), rows_of(one.slice(warm - 1, warm))[0])
        for name, one in markets.items()
    }
    barrier = Barrier(markets, stage.barrier or BarrierRules(frame), start)
    steps: list[Step] = []
    events: list[BarEvent] = []
    pump = BarPump(source, clock, schedules, barrier, Sinks(steps.append, events.append))

    async def scene() -> None:
        task = asyncio.create_task(pump.run())
        await asyncio.wait([task], timeout=(last + frame.ms - start) / 1000 + _AFTER_S)
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, BaseExceptionGroup):
            raise ended

    run_virtually(scene(), loop)
    return Played(
        tuple(step for step in steps if step.open_time <= last),
        tuple(event for event in events if event.open_time <= last),
    )
