"""What a finished search is worth: confirmation, the nested replay, baselines and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import RunError
from itb.ledger import baselines
from itb.ledger.equity import daily
from itb.optimize.candidate import ScoredCandidate
from itb.optimize.evidence import Evidence
from itb.optimize.judging import judge
from itb.optimize.neighbourhood import neighbourhood
from itb.optimize.nested import Nested, carried, choices, joined
from itb.optimize.search import best_of
from itb.optimize.shared_candidate import SharedCandidate
from itb.runs.search_chance import chance_of_labels, chance_of_trades

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from itb.market.bars import FloatArray
    from itb.optimize.desk import Record
    from itb.optimize.parity import Confirmation
    from itb.optimize.search import Search
    from itb.optimize.verdict import Verdict
    from itb.runs.search_build import ModelSides

_RESAMPLES = 2_000


@dataclass(frozen=True, eq=False)
class Judged:
    """A finished search, judged.

    ``best`` is what the procedure picks on all days; ``confirmations`` are those of the best trials, best first (none
    where the strategy is not the sweep's). ``returns`` has a column for each of ``measured``. ``neighbours`` are the
    slots of the trials nearest to the best.
    """

    best: Record
    measured: tuple[Record, ...]
    returns: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    nested: Nested
    verdict: Verdict
    confirmations: tuple[Confirmation, ...]
    hold: FloatArray
    neighbours: tuple[int, ...] = ()

    @property
    def is_verified(self) -> bool:
        """Whether every confirmation agrees."""
        return all(confirmation.agrees for confirmation in self.confirmations)


def judge_search(
    search: Search,
    records: Sequence[Record],
    sides: ModelSides,
    *,
    raw_trials: int,
    confirmed: int,
    permutations: int,
    seed: int,
    report: Callable[[int, int, str], None],
    stop: Callable[[], bool],
) -> Judged:
    """Judge what was found; ``raw_trials`` are all that the register knows on this market and time.

    The best ``confirmed`` trials are run again in backtrader, and ``permutations`` models trained on permuted labels,
    fewer where ``stop`` says that the time is over.
    Raises :class:`RunError` where no trial keeps the constraints.
    """
    best = best_of(records, search.objectives[0])
    if best is None:
        raise RunError(_nobody(records, search))
    measured = tuple(record for record in records if record.is_measured)
    returns = np.column_stack([r.performance.daily for r in measured if r.performance is not None])
    made = choices(records, search)
    candidate = sides(best.parameters)
    is_swept = isinstance(candidate, ScoredCandidate | SharedCandidate)
    nested = carried(made, sides.of) if is_swept and any(choice.record for choice in made) else joined(made)
    ranked = _ranked(records, search)[:confirmed]
    checks = tuple(sides.of(record).confirm(record.parameters) for record in ranked) if is_swept else ()
    hold = hold_returns(sides)
    around = _surroundings(search, records, best)
    evidence = Evidence(
        returns=returns,
        selected=[record.slot for record in measured].index(best.slot),
        nested=nested.daily,
        raw_trials=max(raw_trials, len(records)),
        failed_trials=len(records) - len(measured),
        nested_windows=nested.window,
        hold=hold,
        stability=around[1],
    )
    evidence = replace(evidence, **chance_of_trades(sides, candidate.backtest(best.parameters), seed))
    if permutations:
        labels = chance_of_labels(sides, best, times=permutations, seed=seed, report=report, stop=stop)
        if len(labels.random):
            evidence = replace(evidence, label_permutation_p=labels.p_value, label_permutations=len(labels.random))
    verdict = judge(evidence, resamples=_RESAMPLES, seed=seed)
    return Judged(best, measured, returns, nested, verdict, checks, hold, around[0])


def hold_returns(sides: ModelSides) -> FloatArray:
    """Daily returns of buy-and-hold over the days of the search, of an equal part in each symbol of an account."""
    config, markets, start = sides.workspace.config, sides.markets, sides.start
    held = baselines.hold_all(
        [market.bars for market in markets.markets],
        config.costs,
        start_cash=config.backtest.cash,
        start_bars=[markets.start_of(market, start) for market in markets.markets],
        clock=markets.clock,
        start_step=start,
        funding=[venue.funding for venue in sides.venues],
    )
    days = daily(markets.clock.close_time[start:], held.equity[start:], config.backtest.cash)
    return np.nan_to_num(days.returns, nan=0.0)


def _ranked(records: Sequence[Record], search: Search) -> list[Record]:
    sign = search.objectives[0].sign
    feasible = [record for record in records if record.is_feasible and record.values]
    return sorted(feasible, key=lambda record: (-sign * (record.values or (0.0,))[0], record.slot))


def _surroundings(search: Search, records: Sequence[Record], best: Record) -> tuple[tuple[int, ...], float]:
    """Look around the best in the scaled space; what does not exist at a point stands at its middle."""
    complete = [record for record in records if record.values is not None]
    points = np.array([search.space.shares(record.parameters) for record in complete])
    values = np.array([search.objectives[0].sign * (record.values or (math.nan,))[0] for record in complete])
    place = [record.slot for record in complete].index(best.slot)
    found = neighbourhood(np.nan_to_num(points, nan=0.5), values, place)
    return tuple(complete[i].slot for i in found.neighbours.tolist()), found.stability


def _nobody(records: Sequence[Record], search: Search) -> str:
    broken = [record for record in records if record.values is not None and not record.is_feasible]
    if broken:
        name, least = min(
            ((name, excess) for record in broken for name, excess in record.excess.items() if excess > 0),
            key=lambda pair: pair[1],
        )
        limit = getattr(search.constraints, name)
        return (
            f"none of {len(records)} trials keeps search.{name} = {limit:g}; the nearest misses it by {least:.6g}. "
            f"Loosen it, or widen search.space"
        )
    why = next((record.reason for record in records if record.reason), "no trial was run")
    return f"none of {len(records)} trials has a result: {why}"
