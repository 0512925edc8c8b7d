"""Walk-forward optimisation: search again on all windows so far, trade the next, and so on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from itb.optimize.desk import Desk
from itb.optimize.nested import Choice, first_choice
from itb.optimize.objectives import Windows
from itb.optimize.performance import Performance
from itb.optimize.search import Build, Candidate, Listener, Search, Worker, best_of
from itb.optimize.space import Values


@dataclass(frozen=True)
class Until:
    """A candidate that is shown the first ``days`` days only."""

    candidate: Candidate
    days: int

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade, never beyond those days."""
        return self.candidate.trade(parameters, until_day=min(self.days, until_day or self.days))


@dataclass(frozen=True)
class BuildUntil:
    """Builds candidates that are shown the first ``days`` days only."""

    build: Build
    days: int

    def __call__(self, parameters: Values) -> Until:
        """Build one."""
        return Until(self.build(parameters), self.days)


def reoptimise(
    search: Search,
    build: Build,
    desk_of: Callable[[int, Search], Desk],
    *,
    trials: int,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Choice, ...]:
    """Search with ``trials`` trials before each window but the first third, on the days before it alone.

    ``desk_of`` opens the study of a window, so that a run that was interrupted goes on. Unlike the nested choice among
    the trials of one search, no proposal knows anything of the window that is traded next.
    """
    bounds = search.windows.bounds
    made = []
    for window in range(max(2, first_choice(len(bounds))), len(bounds)):
        days = bounds[window][0]
        part = replace(search, windows=Windows(days, window))
        worker = Worker(part, desk_of(window, part), BuildUntil(build, days), listener, stop)
        worker.work(trials)
        best = best_of(worker.desk.records(), search.objectives[0])
        if best is not None:
            trade = {d.name for d in search.space.trade}
            chosen = {name: value for name, value in best.parameters.items() if name in trade}
            best = replace(best, performance=build(best.parameters).trade(chosen).rounded)
        made.append(Choice(window, *bounds[window], best))
        if stop():
            break
    return tuple(made)
