"""`itb evaluate`: how steady models are, over parts of history that they are scored on in turn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Table
from itb.charts.wording import number
from itb.config import parts
from itb.config.columns import columns
from itb.config.dump import config_hash
from itb.datafeeds.files import IN_SAMPLE
from itb.errors import ConfigError
from itb.market.bars import utc
from itb.mlmodels.crossfit import CrossValidation, cross_scores
from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.labels.column import typical_reach
from itb.mlmodels.quality import grade
from itb.mlmodels.split_file import read_sets_split
from itb.mlmodels.split_scores import split_scores
from itb.runs.deep import is_deep
from itb.runs.inputs import file_hash
from itb.runs.looks import earlier_looks, enter_look, look_note
from itb.runs.networks import crossed_network
from itb.runs.outputs import output
from itb.runs.pool import is_pooled
from itb.runs.said import Said
from itb.runs.steps import facts_of, markets, stamps, title
from itb.runs.training_tables import training_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.market.bars import FloatArray
    from itb.mlmodels.deep.walk import PanelWalk
    from itb.mlmodels.quality import Quality
    from itb.mlmodels.table import TrainingTable
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

_HEAD = ("symbol", "score column", "path", "rows", "figure", "±", "guessing", "skill")


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """One score column: a row of scores and a grade for each path, and whether models knew the future of any."""

    column: str
    scores: tuple[FloatArray, ...]
    qualities: tuple[Quality, ...]
    is_retrospective: bool
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Give the columns' names in the file."""
        if len(self.scores) == 1:
            return (self.column,)
        return tuple(f"{self.column}_path{path}" for path in range(len(self.scores)))


def evaluate(workspace: Workspace, out: Path | None = None) -> Said:
    """Fit and score every learned column over the configured split; write and grade the scores of every path.

    Models of k-fold and of combinatorial cross-validation have learned from the future of what they score: the file is
    marked, a backtest refuses it, and the grades tell how steady a model is, not what it would have earned. Grades are
    entered into the register before they are shown.
    """
    import pyarrow as pa

    config, section = workspace.config, workspace.config.evaluation
    split_file = _split_file(config)
    lines: list[str] = []
    told: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for run_id, market in markets(workspace, "evaluate"):
        found = list(_all_evaluated(workspace, market))
        marked = any(one.is_retrospective for one in found)
        made_of = file_hash(split_file) if split_file else ""
        file = output(workspace, "evaluate", market, out, config_hash(config), made_of)
        written: dict[str, Any] = {"timestamp": stamps(market)}
        for one in found:
            for name, scores in zip(one.names, one.scores, strict=True):
                written[name] = pa.array(scores)
                if one.is_retrospective:
                    written[f"{name}{IN_SAMPLE}"] = pa.array(np.isfinite(scores))
        names = [name for one in found for name in one.names]
        facts = {**facts_of(workspace, market), "columns": names, "split": section.split, "in_sample": marked}
        file.write(pa.table(written), facts)
        notes = _looked(workspace, market, found, run_id)
        for one in found:
            lines.append(f"{title(market)}: {one.column}: {_summary(one)}")
            lines += [f"  {note}" for note in one.notes[:3]]
            rows += [(market.bars.symbol, *row) for row in _rows(one)]
        if is_pooled(workspace):
            lines.append("  each coin by models of its own: training.pooled is not evaluated")
        if marked:
            lines.append("  retrospective: models had learned from later bars; steadiness is judged, money is not")
        lines += [f"  {note}" for note in notes] + [f"  scores in {file.path}"]
        told.append(
            {
                "run": run_id,
                **facts,
                "file": str(file.path),
                "is_retrospective": marked,
                "notes": notes,
                "scores": [
                    {"column": one.column, "paths": [asdict(grade) for grade in one.qualities], "notes": one.notes}
                    for one in found
                ],
            }
        )
    return Said({"evaluated": told}, tuple(lines), Table(_HEAD, tuple(rows)))


def _all_evaluated(workspace: Workspace, market: Market) -> Iterator[_Evaluated]:
    config, learned = workspace.config, columns(workspace.config)
    by_rows = [one for one in learned if not is_deep(one)]
    tables: dict[str, TrainingTable] = {}
    if by_rows:
        workspace.report(0, 1, f"computing features of {market.bars.symbol}")
        names = (one.name for one in by_rows)
        tables = dict(zip(names, training_tables(config, market.bars, by_rows), strict=True))
    for one in learned:
        if one.name in tables:
            yield _evaluated(workspace, one, tables[one.name])
        else:
            yield _network_evaluated(workspace, market, one)


def _network_evaluated(workspace: Workspace, market: Market, learned: LearnedColumn) -> _Evaluated:
    """Take one symbol's share of what a network, fitted over the same splits of all symbols' times, has said."""
    from itb.mlmodels.deep.crossfit import PanelCross, cross_panel, split_panel

    config, part = workspace.config, learned.algorithm
    assert isinstance(part, DeepAlgorithm)
    section = config.evaluation

    def fit(walk: PanelWalk) -> PanelCross:
        split_file = _split_file(config)
        if split_file is not None:
            return split_panel(walk, read_sets_split(split_file), section.embargo_bars)
        return cross_panel(walk, cut_of(config, section.split, part.warmup), workspace.progress)

    found, scores = crossed_network(workspace, market, learned, fit)
    label = learned.outcome(market.bars)
    reach = typical_reach(label.known_at)
    grades = tuple(grade(label.values, path, is_classifier=False, horizon=reach) for path in scores)
    return _Evaluated(learned.name, scores, grades, found.is_retrospective, found.notes)


def _evaluated(workspace: Workspace, learned: LearnedColumn, table: TrainingTable) -> _Evaluated:
    config = workspace.config
    section, training = config.evaluation, parts.training(config)
    if section.split == "file":
        split_file = _split_file(config)
        assert split_file is not None
        told = split_scores(
            table,
            learned.algorithm,
            read_sets_split(split_file),
            training=training,
            seed=learned.seed,
            embargo_bars=section.embargo_bars,
        )
        reach = typical_reach(table.label.known_at)
        quality = grade(table.label.values, told.scores, is_classifier=learned.taught.is_classifier, horizon=reach)
        retrospective = bool(getattr(told, "is_retrospective", False))
        return _Evaluated(learned.name, (told.scores,), (quality,), retrospective, ())
    crossed = cross_scores(
        table,
        learned.algorithm,
        cut_of(config, section.split, table.first_complete),
        training=training,
        seed=learned.seed,
        min_train_rows=config.walkforward.min_train_rows,
        every_nth_row=config.walkforward.every_nth_row,
        progress=workspace.progress,
    )
    return _Evaluated(
        learned.name, tuple(crossed.scores), crossed.qualities(), is_retrospective=True, notes=crossed.notes
    )


def cut_of(config: Config, split: str, first_bar: int) -> CrossValidation:
    """Build the configured k-fold (``"kfold"``) or combinatorial cross-validation (``"cpcv"``)."""
    from itb.mlmodels.cpcv import CombinatorialPurged
    from itb.mlmodels.kfold import PurgedKFold

    section = config.evaluation
    embargo = {"embargo_bars": section.embargo_bars, "embargo_before_bars": section.embargo_before_bars}
    try:
        if split == "kfold":
            return PurgedKFold(folds=section.folds, first_bar=first_bar, **embargo)
        return CombinatorialPurged(folds=section.folds, test_folds=section.test_folds, first_bar=first_bar, **embargo)
    except ValueError as error:
        raise ConfigError(config.complaint(("evaluation",), str(error))) from None


def _split_file(config: Config) -> Path | None:
    section = config.evaluation
    if section.split != "file":
        return None
    if section.file is None:
        at = config.complaint(("evaluation", "file"), 'is not set, and split = "file" needs it')
        raise ConfigError(f"{at}; name a file with set_type, start and end")
    return config.locate(section.file)


def _looked(workspace: Workspace, market: Market, found: list[_Evaluated], run_id: str) -> list[str]:
    spoken = [np.flatnonzero(np.isfinite(scores)) for one in found for scores in one.scores]
    first = min((int(rows[0]) for rows in spoken if len(rows)), default=None)
    if first is None:
        return []
    seen = market.bars.slice(first, None)
    looks = earlier_looks(workspace, market, seen)
    metrics = {
        f"{name}.{figure}": value
        for one in found
        for name, quality in zip(one.names, one.qualities, strict=True)
        for figure, value in {"skill": quality.skill, **asdict(quality)}.items()
    }
    trials = len(found)
    enter_look(workspace, market, seen, run_id=run_id, command="evaluate", metrics=metrics, trials=trials)
    return [market.holdout.note, look_note(looks + trials)[0], f"scored from {utc(market.bars.open_time[first])} on"]


def _rows(one: _Evaluated) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for path, quality in enumerate(one.qualities):
        name, value, guess = quality.headline
        figure = f"{name} {number(value, 3)}"
        numbers = (number(quality.margin, 3), number(guess, 1), number(quality.skill, 4))
        found.append((one.column, str(path), f"{quality.rows:,}", figure, *numbers))
    return found


def _summary(one: _Evaluated) -> str:
    if len(one.qualities) == 1:
        return one.qualities[0].sentence
    values = [quality.headline[1] for quality in one.qualities]
    name, _, guess = one.qualities[0].headline
    low, mean, high = min(values), float(np.mean(values)), max(values)
    return (
        f"{name} {number(mean, 3)} on average over {len(values)} paths, {number(low, 3)} to {number(high, 3)}; "
        f"guessing gives {number(guess, 1)}"
    )
