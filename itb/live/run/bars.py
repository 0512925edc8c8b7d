"""The bars of a running bot: history first, then what the exchange closes, timestamp by timestamp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from itb.live.asking import ask, doubling
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Barrier, BarrierRules
from itb.live.bars.history import load_history
from itb.live.bars.pump import BarPump, Patience, Sinks
from itb.live.bars.schedule import BarRules, BarSchedule

if TYPE_CHECKING:
    from itb.live.bars.source import BarSource
    from itb.market.bars import Bars

_RETRY_S = (0.5, 30.0)


class MarketClock(Protocol):
    """The time of the market, UTC milliseconds."""

    @property
    def is_set(self) -> bool:
        """Whether there is a time."""

    def now_ms(self) -> float:
        """Give the best estimate."""

    def earliest_ms(self) -> float:
        """Give the time that has been reached for sure."""


@dataclass(frozen=True)
class BarPlan:
    """Which bars a bot reads: how many before the first live one, when they are final, how long it waits.

    Parameters
    ----------
    rules, barrier
        When a bar is final, and when a timestamp is whole.
    history
        Bars of each symbol before the first live one.
    patience
        How long requests may take.
    """

    rules: BarRules
    barrier: BarrierRules
    history: int
    patience: Patience = field(default_factory=Patience)


async def load_histories(
    source: BarSource,
    clock: MarketClock,
    plan: BarPlan,
    stored: Mapping[str, Bars | None],
    tell: Callable[[str], None] = lambda _line: None,
    until_ms: int | None = None,
) -> dict[str, Bars]:
    """Give every symbol's last bars, all until the same one; asks again for as long as the exchange does not answer.

    ``until_ms``: only bars that open before; those after it are still to be lived through.

    Raises :class:`itb.errors.BarsError` where there are fewer bars than the plan asks for.
    """
    rules = plan.rules

    async def question() -> dict[str, Bars]:
        now = clock.earliest_ms()
        if until_ms is not None:
            now = min(now, float(until_ms + rules.delay_ms))
        async with asyncio.TaskGroup() as tasks:
            asked = {
                symbol: tasks.create_task(
                    load_history(
                        source, kept, (symbol, rules.timeframe),
                        bars=plan.history, now=now, gaps=rules.gaps, delay_ms=rules.delay_ms, page=rules.page,
                    )
                )
                for symbol, kept in stored.items()
            }  # fmt: skip
        return _level({symbol: task.result().bars for symbol, task in asked.items()})

    return await ask(
        question, doubling(*_RETRY_S), lambda error, _pause: tell(f"the exchange does not tell its history: {error}")
    )


def _level(histories: dict[str, Bars]) -> dict[str, Bars]:
    """Let all end with the same bar: the schedules deliver the rest."""
    last = min(int(bars.open_time[-1]) for bars in histories.values())
    return {symbol: bars.between(None, last + 1) for symbol, bars in histories.items()}


def build_pump(
    source: BarSource, clock: MarketClock, plan: BarPlan, histories: Mapping[str, Bars], sinks: Sinks
) -> BarPump:
    """Make the pump whose first timestamp follows the histories."""
    frame = plan.rules.timeframe
    first = max(int(bars.open_time[-1]) for bars in histories.values()) + frame.ms
    schedules = {
        symbol: BarSchedule(symbol, plan.rules, first, source.columns, rows_of(bars.tail(1))[0])
        for symbol, bars in histories.items()
    }
    barrier = Barrier(histories, plan.barrier, first)
    return BarPump(source, clock.earliest_ms, schedules, barrier, sinks, plan.patience)
