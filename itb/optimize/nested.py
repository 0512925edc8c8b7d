"""The nested estimate: the selection itself, replayed out of sample, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.ledger.equity import daily
from itb.market.timeframe import DAY_MS
from itb.optimize.candidate import stop_bar

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult, SharedResult
    from itb.market.bars import IntArray
    from itb.market.raster import Clock
    from itb.optimize.candidate import ThresholdCandidate
    from itb.optimize.desk import Record
    from itb.optimize.search import Search


@dataclass(frozen=True, eq=False)
class Choice:
    """Who was chosen on the windows before ``window`` to trade it; ``record`` is ``None`` where nobody could be."""

    window: int
    first_day: int
    last_day: int
    record: Record | None


@dataclass(frozen=True, eq=False)
class Nested:
    """The replayed selection: its daily returns from the first window that could be chosen for, and who traded when.

    ``window`` has the number of the window of each day. ``is_carried`` says that positions were carried over in one
    account; else the days of the chosen trials are joined, as if positions changed hands for nothing.
    """

    choices: tuple[Choice, ...]
    daily: np.ndarray[tuple[int], np.dtype[np.float64]]
    window: IntArray
    is_carried: bool


def first_choice(windows: int) -> int:
    """Give the first window that is chosen for: a third of all windows, at least one, is there to choose from.

    >>> [first_choice(windows) for windows in (2, 6, 12)]
    [1, 2, 4]
    """
    return max(1, windows // 3)


def choose(records: Sequence[Record], search: Search, window: int) -> Record | None:
    """Choose by the objective on the windows before ``window`` alone, constraints included; the earliest of equals.

    A trial that was pruned later than ``window`` takes part like any other: that it would disappoint was not known.
    """
    bounds = search.windows.bounds[:window]
    last_day = search.windows.bounds[window][1]
    objective = search.objectives[0]
    best: tuple[float, Record] | None = None
    for record in records:
        performance = record.performance
        if performance is None or len(performance.daily) < last_day:
            continue
        if not search.constraints.kept(performance, bounds):
            continue
        value = objective.sign * objective.value(performance, bounds)
        if np.isfinite(value) and (best is None or value > best[0]):
            best = (value, record)
    return None if best is None else best[1]


def choices(records: Sequence[Record], search: Search) -> tuple[Choice, ...]:
    """Choose for every window but the first third."""
    bounds = search.windows.bounds
    return tuple(
        Choice(window, *bounds[window], choose(records, search, window))
        for window in range(first_choice(len(bounds)), len(bounds))
    )


def joined(made: Sequence[Choice]) -> Nested:
    """Join the days of the chosen trials; a window that nobody could be chosen for is flat."""
    parts = [
        np.zeros(choice.last_day - choice.first_day)
        if choice.record is None or choice.record.performance is None
        else choice.record.performance.daily[choice.first_day : choice.last_day]
        for choice in made
    ]
    return Nested(tuple(made), np.concatenate(parts), window_of(made), is_carried=False)


def carried(made: Sequence[Choice], candidate: Callable[[Record], ThresholdCandidate]) -> Nested:
    """Trade the chosen settings one after the other in one account, positions carried over, in backtrader.

    ``candidate`` gives the trained model side of a trial. Decisions of a window begin with its first bar; a window
    that nobody could be chosen for takes no new position; an open one waits for the next.
    """
    result = replay(made, candidate)
    held = candidate(next(choice.record for choice in made if choice.record is not None))
    return Nested(tuple(made), _daily(result, made, held.clock, held.start), window_of(made), is_carried=True)


def replay(made: Sequence[Choice], candidate: Callable[[Record], ThresholdCandidate]) -> BacktestResult | SharedResult:
    """Run the schedule of choices through backtrader."""
    from itb.strategies.scheduled import Change

    held = [choice.record for choice in made if choice.record is not None]
    if not held:
        raise ValueError("nobody could be chosen for any window: loosen the constraints")
    first = candidate(held[0])
    clock, changes = first.clock, []
    scores = [np.full(len(times), np.nan) for times in first.times]
    for choice in made:
        start, stop = (stop_bar(clock, first.start, day) for day in (choice.first_day, choice.last_day))
        if choice.record is None or start >= len(clock):
            continue
        chosen = candidate(choice.record)
        settings = chosen.settings(choice.record.parameters)
        from_ms, last_ms = int(clock.open_time[start]), int(clock.open_time[stop - 1])
        for times, found, own in zip(first.times, scores, chosen.scores(settings), strict=True):
            rows = slice(*np.searchsorted(times, (from_ms, last_ms + 1)))
            found[rows] = own[rows]
        changes.append(Change(from_ms, replace(settings, score="")))
    return first.replay(changes, scores)


def _daily(
    result: BacktestResult | SharedResult, made: Sequence[Choice], clock: Clock, start: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give the daily returns of the windows chosen for, by their place in the search; flat before the first trade."""
    traded = result.clock.slice(result.start, None)
    days = daily(traded.close_time, result.equity[result.start :], result.starting_cash)
    begun = int((clock.close_time[start] - 1) // DAY_MS)  # the first day of the search
    searched = np.zeros(made[-1].last_day)
    place = (days.day // DAY_MS - begun).astype(np.int64)
    inside = place < len(searched)
    searched[place[inside]] = np.nan_to_num(days.returns[inside], nan=0.0)
    return searched[made[0].first_day :]


def window_of(made: Sequence[Choice]) -> IntArray:
    """Give the number of the window of each day of the choices."""
    return np.concatenate([np.full(choice.last_day - choice.first_day, choice.window) for choice in made])


def drift(made: Sequence[Choice]) -> list[dict[str, object]]:
    """Give the parameters chosen for each window, for a table or a picture of how they wander."""
    return [
        {"window": choice.window, **({} if choice.record is None else dict(choice.record.parameters))}
        for choice in made
    ]
