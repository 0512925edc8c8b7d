"""A market that is played again: stored bars as an exchange would tell them, faults among them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from itb.errors import GatewayError
from itb.live.bars.bar import Bar, rows_of
from itb.live.bars.source import Hint

if TYPE_CHECKING:
    from itb.market.bars import Bars
    from itb.market.timeframe import Timeframe


@dataclass(frozen=True)
class BarFaults:
    """What an exchange may do to bars: shares of bars (or of requests), drawn from ``seed``; lengths in milliseconds.

    Parameters
    ----------
    late, late_ms
        Bars that requests show only so long after their close, or up to that.
    revised, revised_after_ms
        Bars that are told with another close and volume until so long after their close.
    missing
        Bars that never come.
    repeated, shuffled
        Answers that hold a bar twice, or are out of order.
    failing
        Requests without an answer.
    silent
        Bars that the stream does not announce.
    seed
        Of the draw.
    """

    late: float = 0.0
    late_ms: int = 5_000
    revised: float = 0.0
    revised_after_ms: int = 90_000
    missing: float = 0.0
    repeated: float = 0.0
    shuffled: float = 0.0
    failing: float = 0.0
    silent: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("late", "revised", "missing", "repeated", "shuffled", "failing", "silent"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share between 0 and 1, was {getattr(self, name)}")


@dataclass
class _Fate:
    shown_at: float  # when requests show it; infinite for never
    revised_at: float  # until then another one is told
    is_announced: bool


class ReplaySource:
    """Play stored bars of some symbols as the present; ``clock`` is the market's time, UTC milliseconds.

    A running bar is told as exchanges do: the last row, with what is known of it so far (here: flat at its open).
    ``down`` (from, until) is a time without any answer; ``latency_s`` is that of an answer, ``speed`` how fast
    the market's time runs.

    >>> from itb.datafeeds.waves import sinus
    >>> bars = sinus(bars=10)
    >>> source = ReplaySource({"A/B": bars}, lambda: float(bars.close_time[3]))
    >>> rows = asyncio.run(source.bars("A/B", bars.timeframe, int(bars.open_time[2]), 10))
    >>> [bool(row.close == close) for row, close in zip(rows, bars.close[2:])]
    [True, True, False]
    """

    def __init__(
        self,
        bars: Mapping[str, Bars],
        clock: Callable[[], float],
        faults: BarFaults = BarFaults(),
        *,
        down: tuple[float, float] = (math.inf, math.inf),
        latency_s: float = 0.0,
        speed: float = 1.0,
    ) -> None:
        self._speed = speed
        self._clock, self.faults, self._down, self._latency_s = clock, faults, down, latency_s
        self._rows = {symbol: rows_of(one) for symbol, one in bars.items()}
        self._places = {name: {row.open_time: i for i, row in enumerate(rows)} for name, rows in self._rows.items()}
        frames = {one.timeframe for one in bars.values()}
        if len(frames) != 1:
            raise ValueError(f"expected bars of one timeframe, got {', '.join(map(str, sorted(frames))) or 'none'}")
        self.timeframe = frames.pop()
        self.columns: tuple[str, ...] = tuple(next(iter(bars.values())).columns)
        self._random = Random(faults.seed)  # noqa: S311  a seeded market is wanted
        self._fates = {symbol: [self._fate(row) for row in rows] for symbol, rows in self._rows.items()}
        self.requests = 0

    def _fate(self, row: Bar) -> _Fate:
        faults, draw, closed = self.faults, self._random.random, row.open_time + self.timeframe.ms
        late = draw() * faults.late_ms if draw() < faults.late else 0.0
        shown = math.inf if draw() < faults.missing else closed + late
        revised = float(closed + faults.revised_after_ms) if draw() < faults.revised else -math.inf
        return _Fate(shown, revised, draw() >= faults.silent)

    def told(self, symbol: str, place: int, at: float) -> Bar | None:
        """Give the bar in place ``place`` as a request at a time tells it, ``None`` if it does not."""
        row, fate = self._rows[symbol][place], self._fates[symbol][place]
        closed = row.open_time + self.timeframe.ms
        if at < row.open_time or (closed <= at < fate.shown_at) or math.isinf(fate.shown_at):
            return None
        if at < closed:
            opened = row.values[0]
            return replace(row, values=(opened, opened, opened, opened, 0.0, *row.values[5:]))
        if at < fate.revised_at:
            middle = (row.values[1] + row.values[2]) / 2
            return replace(row, values=(*row.values[:3], middle, row.values[4] / 2, *row.values[5:]))
        return row

    async def bars(self, symbol: str, timeframe: Timeframe, since: int, limit: int) -> Sequence[Bar]:
        """Answer a request, or fail as the plan says."""
        if timeframe != self.timeframe:
            raise GatewayError(f"{symbol}: no bars of {timeframe} are played, only of {self.timeframe}")
        await asyncio.sleep(self._latency_s)
        at = self._clock()
        self.requests += 1
        if self._down[0] <= at < self._down[1] or self._random.random() < self.faults.failing:
            raise GatewayError(f"{symbol}: the exchange does not answer")
        rows = self._rows[symbol]
        first = next(
            (self._places[symbol][t] for t in self._times(symbol, since) if t in self._places[symbol]), len(rows)
        )
        found: list[Bar] = []
        for place in range(first, len(rows)):
            if len(found) >= limit or rows[place].open_time > at:
                break
            row = self.told(symbol, place, at)
            if row is not None:
                found.append(row)
        if found and self._random.random() < self.faults.repeated:
            found.append(self._random.choice(found))
        if self._random.random() < self.faults.shuffled:
            self._random.shuffle(found)
        return found

    def _times(self, symbol: str, since: int) -> range:
        rows = self._rows[symbol]
        start = max(since, rows[0].open_time) if rows else since
        return range(self.timeframe.floor(start + self.timeframe.ms - 1), rows[-1].open_time + 1, self.timeframe.ms)

    async def hints(self) -> AsyncIterator[Hint]:
        """Announce every bar as it closes, with its values as of then."""
        while True:
            now = self._clock()
            closed = self.timeframe.next_close(math.floor(now))
            await asyncio.sleep((closed - now) / 1000 / self._speed)
            at = self._clock()
            if self._down[0] <= at < self._down[1]:
                continue
            for symbol, places in self._places.items():
                place = places.get(closed - self.timeframe.ms)
                if place is None or not self._fates[symbol][place].is_announced:
                    continue
                yield Hint(symbol, closed - self.timeframe.ms, self.told(symbol, place, float(closed)))


@dataclass
class PlayedTime:
    """Market time that runs ``speed`` times as fast as a clock in seconds, from ``start_ms`` on."""

    start_ms: float
    clock: Callable[[], float]
    speed: float = 1.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed must be above 0, was {self.speed}")
        self.began = self.clock()

    def __call__(self) -> float:
        """Give the market's time, UTC milliseconds."""
        return self.start_ms + (self.clock() - self.began) * 1000 * self.speed
