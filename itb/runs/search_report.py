"""The page of a finished search, and of a walk-forward optimisation."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Importance, Table
from itb.charts.search_data import (
    Crowd,
    DailyLine,
    Drift,
    Fact,
    Halves,
    Parameter,
    SearchReport,
    Trials,
    VerdictWords,
    WindowReturns,
)
from itb.charts.search_page import render_search
from itb.charts.search_terminal import search_summary
from itb.charts.wording import number, percent
from itb.config.dump import dump_toml
from itb.market.bars import utc
from itb.market.timeframe import DAY_MS
from itb.mlmodels.files import write_whole
from itb.optimize.front import front
from itb.optimize.importance import importances
from itb.optimize.judging import cross_validated
from itb.optimize.objectives import max_drawdown, total_return
from itb.optimize.sharpe_statistics import DAYS_A_YEAR, sharpe
from itb.optimize.space import Choice, FloatRange, IntRange
from itb.runs.capsule import versions
from itb.runs.search_judge import hold_returns
from itb.runs.search_words import engines, failures, holdout_table, notes, summary, verdict_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from rich.console import RenderableType

    from itb.market.bars import FloatArray, IntArray
    from itb.optimize.desk import Record
    from itb.optimize.nested import Choice as Chosen
    from itb.optimize.nested import Nested
    from itb.optimize.space import Dimension
    from itb.runs.optimize import Searched
    from itb.runs.study import Study

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
THREADS = 50
BEST = 20
_WORD = 60


def write_report(done: Searched, holdout: Mapping[str, Any] | None = None) -> Path:
    """Write ``report.html`` into the study's folder; ``holdout`` is what its opening gave."""
    path = done.study.folder / "report.html"
    write_whole(path, render_search(describe(done, holdout)).encode())
    return path


def drawn(done: Searched) -> Callable[[], RenderableType]:
    """Give what a terminal shows of a search, drawn when it is asked for."""
    study, best = done.study, done.judged.best
    return partial(
        search_summary,
        f"{study.markets.label} · {len(done.records):,} trials",
        summary(done),
        verdict_words(done),
        (("trial", f"{best.slot}"), *((name, worded(value)) for name, value in best.parameters.items())),
        report=study.folder / "report.html",
        command=f"itb optimize apply {study.name}",
    )


def describe(done: Searched, holdout: Mapping[str, Any] | None = None) -> SearchReport:
    """Say everything about one search."""
    study, judged = done.study, done.judged
    days = study.search.windows.days
    place = [record.slot for record in judged.measured].index(judged.best.slot)
    whole = cross_validated(judged.returns)
    return SearchReport(
        title=f"{study.markets.label} · search",
        summary=summary(done),
        study=study.name,
        is_synthetic=study.markets.is_synthetic,
        verdict=verdict_words(done),
        is_free=study.config.costs.is_free,
        holdout_seen=study.markets.holdout_seen or holdout is not None,
        created=utc(study.workspace.clock()),
        period=_period(study, days),
        lines=(
            _line(study, "nested, chosen without hindsight", judged.nested.daily, judged.nested.choices[0].first_day),
            _line(study, "best trial, picked with hindsight", judged.returns[:, place]),
            _line(study, "buy and hold", judged.hold),
        ),
        crowd=_crowd(study, judged.returns),
        trials=_trials(done),
        halves=_halves(done, place),
        logits=None if whole is None else whole.logits,
        windows=_windows(done),
        importance=_importance(done),
        drift=drift_of(study, judged.nested.choices),
        choices=choices_table(study, judged.nested),
        best=_best(done),
        engines=engines(judged.measured),
        failures=failures(done.records),
        holdout=holdout_table(holdout),
        notes=notes(done, holdout),
        manifest=_manifest(study),
    )


def write_walk_forward(study: Study, nested: Nested, figures: Mapping[str, Any], trials: int) -> Path:
    """Write ``walk_forward.html`` into the study's folder."""
    first, last = nested.choices[0].first_day, nested.choices[-1].last_day
    hold = hold_returns(study.sides)[first:last]
    total, held = figures["total_return"], float(np.expm1(np.log1p(hold).sum()))
    traded = [float(np.expm1(np.log1p(part).sum())) for part in _by_window(nested)]
    said = VerdictWords(
        "",
        "",
        "plain",
        (
            Fact("Sharpe ratio", number(figures["sharpe"]), "of daily returns out of sample"),
            Fact("Total return", percent(total), "after costs", "good" if total > 0 else "bad"),
            Fact("Buy and hold", percent(held), "over the same days"),
            Fact("Median window", percent(float(np.median(traded)), 2), f"of {len(traded)}"),
            Fact("Days", f"{len(nested.daily):,}", "traded out of sample"),
        ),
    )
    again = f"{study.markets.label} was searched again before each of {len(nested.choices)} windows"
    report = SearchReport(
        title=f"{study.markets.label} · walk-forward optimisation",
        summary=f"{again}, with {trials:,} trials on the days before it alone; the best traded the window.",
        study=study.name,
        is_synthetic=study.markets.is_synthetic,
        verdict=said,
        is_free=study.config.costs.is_free,
        holdout_seen=study.markets.holdout_seen,
        created=utc(study.workspace.clock()),
        period=_period(study, last, first),
        lines=(
            _line(study, "out of sample", nested.daily, first),
            _line(study, "buy and hold", hold, first),
        ),
        drift=drift_of(study, nested.choices),
        choices=choices_table(study, nested),
        manifest=_manifest(study),
    )
    path = study.folder / "walk_forward.html"
    write_whole(path, render_search(report).encode())
    return path


def drift_of(study: Study, made: Sequence[Chosen]) -> Drift:
    """Say where in its range each parameter lay that was chosen for a window."""
    dimensions = study.search.space.dimensions
    shares = np.full((len(dimensions), len(made)), np.nan)
    words = [[""] * len(made) for _ in dimensions]
    for column, choice in enumerate(made):
        if choice.record is None:
            continue
        shares[:, column] = study.search.space.shares(choice.record.parameters)
        for row, dimension in enumerate(dimensions):
            if dimension.name in choice.record.parameters:
                words[row][column] = worded(choice.record.parameters[dimension.name])
    names = tuple(dimension.name for dimension in dimensions)
    return Drift(tuple(_start(study, c.first_day) for c in made), names, shares, tuple(map(tuple, words)))


def choices_table(study: Study, nested: Nested) -> Table:
    """List who was chosen for each window and what it earned there."""
    names = study.search.space.names
    rows = []
    for choice, part in zip(nested.choices, _by_window(nested), strict=True):
        parameters = {} if choice.record is None else choice.record.parameters
        rows.append(
            (
                f"{_start(study, choice.first_day)} to {_start(study, choice.last_day - 1)}",
                "nobody" if choice.record is None else f"{choice.record.slot}",
                percent(float(np.expm1(np.log1p(part).sum())), 2),
                *(worded(parameters[name]) if name in parameters else "–" for name in names),
            )
        )
    return Table(("Window", "Trial", "Return", *(name.rpartition(".")[2] for name in names)), tuple(rows))


def worded(value: object) -> str:
    """Word a parameter's value for a table; lists and tables are cut short."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value).removeprefix("json:")
    return text if len(text) <= _WORD else text[: _WORD - 1] + "…"


def _by_window(nested: Nested) -> list[FloatArray]:
    first = nested.choices[0].first_day
    return [nested.daily[choice.first_day - first : choice.last_day - first] for choice in nested.choices]


def _first_day(study: Study) -> int:
    return (int(study.markets.clock.close_time[study.sides.start]) - 1) // DAY_MS


def _start(study: Study, day: int) -> str:
    return utc((_first_day(study) + day) * DAY_MS)[:10]


def _period(study: Study, last: int, first: int = 0) -> str:
    return f"{_start(study, first)} to {_start(study, last - 1)}, {last - first:,} days"


def _ends(study: Study, days: int, first: int = 0) -> IntArray:
    """Give the ends of days in UTC milliseconds, the start of the first one before them."""
    return np.asarray((_first_day(study) + first + np.arange(days + 1)) * DAY_MS, dtype=np.int64)


def _line(study: Study, name: str, returns: FloatArray, first: int = 0) -> DailyLine:
    return DailyLine(name, _ends(study, len(returns), first), np.concatenate(([1.0], np.cumprod(1.0 + returns))))


def _crowd(study: Study, returns: npt.NDArray[np.float64]) -> Crowd:
    """Give the fan of all trials and at most 50 of them whole, at even steps from the worst to the best."""
    worth = np.vstack((np.ones(returns.shape[1]), np.cumprod(1.0 + returns, axis=0)))
    order = np.argsort(worth[-1], kind="stable")
    kept = order[np.unique(np.linspace(0, len(order) - 1, THREADS).astype(np.int64))]
    shares = np.quantile(worth, QUANTILES, axis=1).T
    return Crowd(_ends(study, len(returns)), QUANTILES, shares, worth[:, kept].T, returns.shape[1])


def _trials(done: Searched) -> Trials:
    search, records = done.study.search, done.records
    count = len(search.objectives)
    values = np.array([record.values or (math.nan,) * count for record in records]).reshape(len(records), count)
    slots = [record.slot for record in records]
    signs = tuple(int(objective.sign) for objective in search.objectives)
    near = [slots.index(slot) for slot in done.judged.neighbours]
    feasible = np.array([record.is_feasible for record in records])
    return Trials(
        number=np.array(slots, dtype=np.int64),
        objectives=tuple(objective.name for objective in search.objectives),
        directions=signs,
        values=values,
        state=tuple(_state(record) for record in records),
        best=slots.index(done.judged.best.slot),
        parameters=tuple(_parameter(dimension, records) for dimension in search.space.dimensions),
        neighbours=np.array(near, dtype=np.int64),
        front=front(np.where(feasible[:, None], values, np.nan), signs) if count > 1 else None,
    )


def _state(record: Record) -> str:
    return "infeasible" if record.state == "complete" and not record.is_feasible else record.state


def _parameter(dimension: Dimension, records: Sequence[Record]) -> Parameter:
    given = [record.parameters.get(dimension.name) for record in records]
    if isinstance(dimension, Choice):
        places = [math.nan if value is None else float(dimension.choices.index(value)) for value in given]
        return Parameter(dimension.name, np.array(places), tuple(worded(choice) for choice in dimension.choices))
    assert isinstance(dimension, FloatRange | IntRange)
    values = np.array([math.nan if value is None else float(value) for value in given])
    return Parameter(dimension.name, values, is_log=dimension.log)


def _halves(done: Searched, place: int) -> Halves | None:
    returns = done.judged.returns
    middle = len(returns) // 2
    if middle < 2:
        return None
    inside, outside = (sharpe(part) * math.sqrt(DAYS_A_YEAR) for part in (returns[:middle], returns[middle:]))
    number_of = np.array([record.slot for record in done.judged.measured], dtype=np.int64)
    return Halves("Sharpe ratio", number_of, inside, outside, place, _rank_correlation(inside, outside))


def _rank_correlation(first: FloatArray, second: FloatArray) -> float:
    from scipy.stats import spearmanr

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(spearmanr(first, second).statistic)


def _windows(done: Searched) -> WindowReturns:
    study, judged = done.study, done.judged
    objective = study.search.objectives[0]
    value = np.array([objective.sign * (record.values or (-math.inf,))[0] for record in judged.measured])
    value = np.where([record.is_feasible for record in judged.measured], value, -math.inf)
    order = np.argsort(-value, kind="stable")
    bounds = study.search.windows.bounds
    logs = np.log1p(np.maximum(judged.returns[:, order], -1 + 1e-12))
    returns = np.expm1(np.column_stack([logs[first:last].sum(axis=0) for first, last in bounds]))
    nested = np.full(len(bounds), np.nan)
    for choice, part in zip(judged.nested.choices, _by_window(judged.nested), strict=True):
        nested[choice.window] = float(np.expm1(np.log1p(part).sum()))
    slots = np.array([record.slot for record in judged.measured], dtype=np.int64)[order]
    return WindowReturns(tuple(_start(study, first) for first, _ in bounds), slots, returns, nested)


def _importance(done: Searched) -> Importance | str:
    search = done.study.search
    found = importances(search.space, done.records, sign=search.objectives[0].sign, seed=search.seed)
    if isinstance(found, str):
        return found
    return Importance(tuple(found), np.array(list(found.values())), "share of variance, fANOVA")


def _best(done: Searched) -> Table:
    search = done.study.search
    objective = search.objectives[0]
    ranked = sorted(
        (record for record in done.records if record.is_feasible and record.values),
        key=lambda record: (-objective.sign * (record.values or (0.0,))[0], record.slot),
    )
    names = search.space.names
    rows = []
    for record in ranked[:BEST]:
        earned = record.performance
        assert earned is not None
        rows.append(
            (
                f"{record.slot}",
                *(number(value, 3) for value in record.values or ()),
                percent(total_return(earned)),
                percent(-max_drawdown(earned)),
                f"{len(earned.trade_return):,}",
                *(worded(record.parameters[name]) if name in record.parameters else "–" for name in names),
            )
        )
    head = ("Trial", *(objective.name for objective in search.objectives), "Return", "Drawdown", "Trades")
    return Table((*head, *(name.rpartition(".")[2] for name in names)), tuple(rows))


def _manifest(study: Study) -> dict[str, object]:
    scheme = study.asked.storage.partition("://")[0]  # the rest may hold a password
    plan = {name: part for name, part in study.plan.items() if name != "settings"}
    return {
        "settings": dump_toml(study.config),
        "space": study.search.space.plain(),
        "study": {"name": study.name, "storage": scheme or "journal", **json.loads(json.dumps(plan))},
        "versions": versions(),
    }
