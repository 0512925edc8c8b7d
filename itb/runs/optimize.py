"""`itb optimize`: search, confirm, judge, and say honestly what was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.wording import number, percent
from itb.config.dump import dump_toml
from itb.errors import RunError
from itb.market.bars import utc
from itb.mlmodels.files import write_whole
from itb.optimize.desk import WINDOW, Record
from itb.optimize.nested import carried, drift, first_choice, joined
from itb.optimize.objectives import sharpe, total_return
from itb.optimize.performance import Performance
from itb.optimize.reoptimise import reoptimise
from itb.optimize.search import Told
from itb.optimize.verdict_text import verdict_lines
from itb.runs.said import Said
from itb.runs.search_holdout import NO_SEAL, open_holdouts
from itb.runs.search_judge import Judged, judge_search
from itb.runs.search_markets import accounts
from itb.runs.search_space import applied
from itb.runs.search_words import confirmation_told
from itb.runs.study import Asked, Study, begun_study, help_study, open_study

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import RenderableType

    from itb.optimize.desk import Desk
    from itb.optimize.nested import Nested
    from itb.runs.workspace import Workspace

__all__ = ["Asked", "apply", "optimize", "walk_forward", "worker"]


_ENDS_BEFORE = "data.to ends before data.holdout_from, so no sealed bar would be read; move data.to on, or leave it out"


@dataclass(frozen=True, eq=False)
class Searched:
    """A finished search: its study, its trials, and what they are worth."""

    study: Study
    records: tuple[Record, ...]
    judged: Judged


def optimize(workspace: Workspace, asked: Asked, *, open_holdout: bool = False) -> Said:
    """Search every account (each symbol, or all that share one): to the asked number of trials, going on."""
    from itb.runs.search_report import drawn

    if open_holdout and workspace.config.data.holdout_from is None:
        raise RunError(NO_SEAL)
    if open_holdout and workspace.config.data.is_before_holdout:
        raise RunError(_ENDS_BEFORE)
    refuse_one_name(workspace, asked)
    lines: list[str] = []
    told, blocks = [], []
    is_wrong = False
    for account in accounts(workspace.config):
        done = search_account(workspace, account, asked)
        found = _told(done)
        lines += _lines(done)
        is_wrong |= not done.judged.is_verified
        blocks.append(drawn(done))
        if open_holdout:
            found["holdout"], said = open_holdouts(workspace, done.study, done.judged.best.parameters)
            lines.append(said)
            blocks.append(partial(str.strip, said))
            _write(done, found["holdout"])
        told.append(found)
    return Said({"studies": told}, tuple(lines), found=is_wrong, drawn=partial(_together, blocks))


def _together(blocks: list[Callable[[], RenderableType]]) -> RenderableType:
    from rich.console import Group

    return Group(*(block() for block in blocks))


def search_account(workspace: Workspace, account: str, asked: Asked) -> Searched:
    """Search one account (see :func:`itb.runs.search_markets.accounts`) and write what came of it into its folder."""
    study = open_study(workspace, account, asked)
    desk, stop = study.desk(), study.stop()
    total = study.total(desk)
    desk.want(total)
    objective = study.search.objectives[0]

    def listen(state: Told) -> None:
        best = state.best
        found = "" if best is None or not best.values else f", best {number(best.values[0], 3)} in trial {best.slot}"
        workspace.report(state.done, state.total, f"{objective.name}{found}")

    try:
        study.work(desk, total, study.listener(desk, listen))
    finally:
        study.count(desk)
    records = tuple(desk.records())
    desk.close()
    workspace.report(0, 1, "judging")
    raw = study.markets.earlier_looks(workspace, study.sides.start)
    try:
        judged = judge_search(
            study.search,
            records,
            study.sides,
            raw_trials=raw,
            confirmed=study.config.search.confirm,
            permutations=study.config.search.permuted_labels,
            seed=study.search.seed,
            report=workspace.report,
            stop=stop,
        )
    except ValueError as error:
        raise RunError(f"study {study.name!r}: {error}") from None
    done = Searched(study, records, judged)
    _write(done)
    workspace.report(1, 1, "judging")
    return done


def walk_forward(workspace: Workspace, asked: Asked) -> Said:
    """Search again before each window and trade the next; one out-of-sample curve, and how the parameters drift."""
    from itb.runs.search_report import write_walk_forward

    for name, is_asked in (("--more", asked.more is not None), ("--jobs", asked.jobs > 1)):
        if is_asked:
            raise RunError(f"--walk-forward searches each window alone, to --trials: leave {name} out")
    refuse_one_name(workspace, asked)
    lines: list[str] = []
    told = []
    for account in accounts(workspace.config):
        study = open_study(workspace, account, asked)
        trials = study.config.search.trials if asked.trials is None else asked.trials
        searches = study.search.windows.count - max(2, first_choice(study.search.windows.count))
        desks: list[Desk] = []

        def desk_of(window: int, search: Any, study: Study = study, desks: list[Desk] = desks) -> Desk:
            if desks:
                study.count(desks[-1])
            desks.append(study.desk(f"{WINDOW}{window:03d}", search))
            return desks[-1]

        def listen(state: Told, desks: list[Desk] = desks, searches: int = searches) -> None:
            workspace.report(state.done, state.total, f"search {len(desks)} of {searches}")

        try:
            made = reoptimise(study.search, study.sides, desk_of, trials=trials, listener=listen, stop=study.stop())
        finally:
            for desk in desks:
                study.count(desk)
                desk.close()
        if not any(choice.record for choice in made):
            raise RunError(f"study {study.name!r}: no window had a trial that keeps the constraints; loosen [search]")
        nested = carried(made, study.sides.of) if study.config.strategy.name == "MLThreshold" else joined(made)
        figures = _figures(nested)
        wandering = drift(made)
        _write_json(study.folder / "walk_forward.json", {**figures, "drift": wandering})
        told.append({"study": study.name, **figures, "drift": wandering})
        lines += [
            f"{study.markets.label}: searched again before each of {len(made)} windows, {trials:,} trials each",
            f"  out of sample: {_shown(figures)}",
            f"  report {write_walk_forward(study, nested, figures, trials)}",
        ]
    return Said({"walk_forward": told}, tuple(lines))


def worker(workspace: Workspace, asked: Asked) -> Said:
    """Help with a study that another process or machine has begun."""
    trials = help_study(*begun_study(workspace, asked), asked)
    return Said({"study": asked.name, "trials": trials}, (f"study {asked.name}: {trials:,} trials are finished",))


def apply(workspace: Workspace, asked: Asked, trial: int | None = None, out: Path | None = None) -> Said:
    """Write what the search picks on all unsealed data (or one of its trials) as a config for backtest and live."""
    study = open_study(*begun_study(workspace, asked), asked, command="optimize apply")
    desk = study.desk()
    records = desk.records()
    desk.close()
    if not records:
        raise RunError(f"study {study.name!r}: has no trial yet; run `itb optimize` first")
    from itb.optimize.search import best_of

    if trial is None:
        record = best_of(records, study.search.objectives[0])
        if record is None:
            raise RunError(
                f"study {study.name!r}: none of {len(records)} trials keeps the constraints; loosen [search]"
            )
    else:
        record = next((one for one in records if one.slot == trial), None)
        if record is None:
            raise RunError(f"study {study.name!r}: has no trial {trial}; they are 0 to {records[-1].slot}")
    file = out or study.config.folder / f"{study.name}-{record.slot}.toml"
    if file.resolve().parent != study.config.folder.resolve():
        raise RunError(
            f"{file}: paths in a config are seen from its own folder; write it into {study.config.folder.resolve()}"
        )
    write_whole(file, _config_text(study, record).encode())
    begun = utc(study.markets.clock.open_time[study.sides.start])[:16]
    return Said(
        {"study": study.name, "trial": record.slot, "file": str(file), "parameters": dict(record.parameters)},
        (
            f"trial {record.slot} of {study.name} written to {file}",
            f"  itb backtest -c {file}",
            f"  (trials traded from {begun} on; a backtest begins where its own scores do)",
        ),
    )


def _config_text(study: Study, record: Record) -> str:
    return dump_toml(applied(study.config, record.parameters))


def refuse_one_name(workspace: Workspace, asked: Asked) -> None:
    """Refuse to give the studies of several symbols one name."""
    studies = len(accounts(workspace.config))
    if asked.name and studies > 1:
        raise RunError(f"study {asked.name!r}: is one study, {studies} symbols make as many; name one --symbol, too")


def _write(done: Searched, holdout: dict[str, Any] | None = None) -> None:
    from itb.runs.search_report import write_report

    told = _told(done) if holdout is None else {**_told(done), "holdout": holdout}
    _write_json(done.study.folder / "verdict.json", told)
    done.study.workspace.report(0, 1, "writing the report")
    write_report(done, holdout)


def _write_json(file: Path, told: dict[str, Any]) -> None:
    write_whole(file, Said(told).json.encode())


def _told(done: Searched) -> dict[str, Any]:
    study, judged = done.study, done.judged
    states = {
        state: sum(record.state == state for record in done.records) for state in ("complete", "pruned", "failed")
    }
    refused = [r.performance.refused for r in judged.measured if r.performance and r.performance.refused]
    return {
        "study": study.name,
        "folder": str(study.folder),
        "symbol": study.markets.account,
        "trials": len(done.records),
        **{state: states[state] for state in ("complete", "pruned", "failed")},
        "best": {"trial": judged.best.slot, "values": judged.best.values, "parameters": dict(judged.best.parameters)},
        "objectives": [objective.name for objective in study.search.objectives],
        "verified": judged.is_verified,
        "compared": sum(check.is_compared for check in judged.confirmations),
        "differences": [check.difference for check in judged.confirmations if not check.agrees],
        "left_to_backtrader": len(refused),
        "nested": _figures(judged.nested),
        "verdict": judged.verdict.to_dict(),
    }


def _lines(done: Searched) -> list[str]:
    study, judged = done.study, done.judged
    failed = sum(record.state != "complete" for record in done.records)
    first = study.search.objectives[0]
    value = (judged.best.values or (math.nan,))[0]
    best = f"best {first.name} {number(value, 3)} in trial {judged.best.slot}"
    lines = [
        f"{study.markets.label}: {len(done.records):,} trials ({failed:,} without a result), {best}",
        *(f"  {name} = {shown(value)}" for name, value in judged.best.parameters.items()),
    ]
    if judged.confirmations:
        lines.append(f"  {confirmation_told(judged.confirmations)}")
    lines += [f"  unverified: {check.difference}" for check in judged.confirmations if not check.agrees]
    lines += [f"  {line}" for line in verdict_lines(judged.verdict)]
    lines += [
        f"  report {study.folder / 'report.html'}",
        f"  settings: itb optimize apply {study.name}",
    ]
    return lines


def _shown(figures: dict[str, Any]) -> str:
    total = percent(figures["total_return"], 1)
    return f"Sharpe {number(figures['sharpe'], 2)}, total {total} in {figures['days']:,} days"


def shown(value: object) -> str:
    """Word a parameter's value for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(nested: Nested) -> dict[str, Any]:
    days = nested.daily
    empty = np.empty(0)
    whole = Performance(days, np.zeros(len(days)), empty.astype(np.int64), empty)
    return {
        "sharpe": sharpe(whole),
        "total_return": total_return(whole),
        "days": len(days),
        "carried": nested.is_carried,
        "windows": [
            {"window": choice.window, "trial": None if choice.record is None else choice.record.slot}
            for choice in nested.choices
        ],
    }
