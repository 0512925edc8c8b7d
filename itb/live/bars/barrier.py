"""The barrier: a timestamp goes to the strategies once, with the bars of all symbols; no input, no output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from itb.live.bars.bar import Bar
    from itb.live.bars.schedule import Delivery
    from itb.market.timeframe import Timeframe

DeadlinePolicy: TypeAlias = Literal["wait", "without"]


@dataclass(frozen=True)
class BarrierRules:
    """How long a timestamp waits for its last symbol; lengths are milliseconds.

    Parameters
    ----------
    timeframe
        Length of a bar.
    deadline_ms
        How long after the close to wait for all symbols.
    policy
        Then ``wait`` on, or decide ``without`` those that are late.
    fresh_ms
        How long after the close a decision still counts. Older steps move indicators; the strategy is not asked.
    """

    timeframe: Timeframe
    deadline_ms: int = 30_000
    policy: DeadlinePolicy = "wait"
    fresh_ms: int = 30_000

    def __post_init__(self) -> None:
        if self.policy not in get_args(DeadlinePolicy):
            raise ValueError(f'policy must be "wait" or "without", was {self.policy!r}')
        if self.deadline_ms < 1 or self.fresh_ms < 1:
            raise ValueError(f"deadline_ms and fresh_ms must be above 0, were {self.deadline_ms} and {self.fresh_ms}")


@dataclass(frozen=True, slots=True)
class Step:
    """A timestamp and its bars; ``absent`` symbols have none. ``is_late``: too old to be decided on.

    ``released_at`` is the exchange's time when the last symbol was there.
    """

    open_time: int
    bars: Mapping[str, Bar]
    is_late: bool = False
    absent: tuple[str, ...] = ()
    released_at: float = 0.0


@dataclass
class _Symbol:
    settled_until: int  # open time of the first timestamp that is not settled
    waiting: dict[int, Bar | None] = field(default_factory=dict)


class Barrier:
    """Collect what each symbol's schedule settles and release whole timestamps, oldest first.

    Each symbol settles its timestamps in order and leaves none out, from ``first`` on.

    >>> from itb.live.bars.bar import Bar
    >>> from itb.live.bars.schedule import Delivery
    >>> from itb.market.timeframe import Timeframe
    >>> barrier = Barrier(("A", "B"), BarrierRules(Timeframe.parse("1m")), first=0)
    >>> one = Bar(0, (1.0, 1.0, 1.0, 1.0, 1.0))
    >>> barrier.settled("A", [Delivery(0, one)], 61_000.0)
    []
    >>> [(step.open_time, sorted(step.bars)) for step in barrier.settled("B", [Delivery(0, one)], 61_500.0)]
    [(0, ['A', 'B'])]
    """

    def __init__(self, symbols: Iterable[str], rules: BarrierRules, first: int) -> None:
        self.rules = rules
        self._symbols = {symbol: _Symbol(first) for symbol in symbols}
        if not self._symbols:
            raise ValueError("symbols must be one or more, were none")
        self._next = first  # the first timestamp that is not released

    @property
    def wake_at(self) -> float | None:
        """When :meth:`tick` has something to do; ``None`` if only a symbol can bring that about."""
        if self.rules.policy == "wait" or not any(
            self._next in symbol.waiting or symbol.settled_until > self._next for symbol in self._symbols.values()
        ):
            return None
        return float(self._next + self.rules.timeframe.ms + self.rules.deadline_ms)

    def settled(self, symbol: str, deliveries: Iterable[Delivery], now: float) -> list[Step]:
        """Take what a symbol settled; give the steps that are whole now."""
        place, steps = self._symbols[symbol], []
        for told in deliveries:
            if told.open_time != place.settled_until:
                raise ValueError(
                    f"{symbol}: settled {told.open_time} while {place.settled_until} was next; each once, in order"
                )
            place.settled_until += self.rules.timeframe.ms
            if told.open_time < self._next:  # the others went on without it
                if told.bar is not None:
                    others = tuple(name for name in self._symbols if name != symbol)
                    steps.append(Step(told.open_time, {symbol: told.bar}, is_late=True, absent=others, released_at=now))
            else:
                place.waiting[told.open_time] = told.bar
        return steps + self._release(now)

    def tick(self, now: float) -> list[Step]:
        """Release what has waited until its deadline, where the policy says so."""
        return self._release(now)

    def _release(self, now: float) -> list[Step]:
        steps: list[Step] = []
        frame = self.rules.timeframe.ms
        while True:
            time = self._next
            behind = tuple(name for name, one in self._symbols.items() if one.settled_until <= time)
            if behind and (len(behind) == len(self._symbols) or not self._is_over(time, now)):
                return steps
            told = {name: one.waiting.pop(time, None) for name, one in self._symbols.items() if name not in behind}
            bars = {name: bar for name, bar in told.items() if bar is not None}
            self._next += frame
            if bars:
                absent = tuple(name for name in self._symbols if name not in bars)
                is_late = now > time + frame + self.rules.fresh_ms
                steps.append(Step(time, bars, is_late, absent, now))

    def _is_over(self, time: int, now: float) -> bool:
        return self.rules.policy == "without" and now >= time + self.rules.timeframe.ms + self.rules.deadline_ms
