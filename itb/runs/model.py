"""From bars to out-of-sample scores: features, labels, walk-forwards and the stages after them, all as configured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from itb.config import parts
from itb.config.columns import columns
from itb.config.dump import config_hash
from itb.runs.deep import deep_scores, is_deep
from itb.runs.pool import is_pooled, pooled
from itb.runs.scored import ScoredMarket
from itb.runs.stages import STAGES
from itb.runs.training_tables import training_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.mlmodels.quality import ModelQuality
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.table import TrainingTable
    from itb.mlmodels.walkforward import WalkForward
    from itb.runs.market import Market
    from itb.runs.scored import ScoreRanges
    from itb.runs.workspace import Workspace

    Relabel = Callable[[TrainingTable], TrainingTable]


def walk_forward(config: Config) -> WalkForward:
    """Build the configured walk-forward; lengths of time become bars of the configured timeframe."""
    from itb.errors import ConfigError
    from itb.mlmodels.walkforward import WalkForward

    section, timeframe = config.walkforward, config.data.timeframe
    try:
        return WalkForward(
            mode=section.mode,
            train_bars=section.train.bars(timeframe),
            refit_every=section.refit_every.bars(timeframe),
            embargo_bars=section.embargo_bars,
            refit_delay_bars=section.refit_delay_bars,
            min_train_rows=section.min_train_rows,
            every_nth_row=section.every_nth_row,
            promotion=parts.promotion(config),
            training=parts.training(config),
        )
    except ValueError as error:
        raise ConfigError(config.complaint(("walkforward",), str(error))) from None


def score_ranges(config: Config) -> ScoreRanges:
    """Give every score column that there will be, learned or made by a stage, with the range it declares."""
    ranges: ScoreRanges = {name: own for column in columns(config) for name, own in column.score_ranges.items()}
    for stage in STAGES:
        ranges = stage.columns(config, ranges)
    return ranges


def score_columns(workspace: Workspace, market: Market, relabel: Relabel | None = None) -> ScoredMarket:
    """Train what is configured, or take what an earlier run trained, and pass the scores through every stage.

    ``relabel`` gives a training table other labels, for a baseline: no stage then sees the true ones.
    """
    config, symbol = workspace.config, market.bars.symbol
    walk, learned = walk_forward(config), columns(config)
    by_rows = [column for column in learned if not is_deep(column)]
    others: tuple[Market, ...] = ()
    found: dict[str, WalkForwardResult] = {}
    if len(by_rows) < len(learned):
        deep = deep_scores(workspace, market, walk, relabel)
        others = deep.others(symbol)
        found |= {name: by_symbol[symbol] for name, by_symbol in deep.results.items()}
    if by_rows and is_pooled(workspace):
        others = pooled(workspace, market).others(symbol)
        found |= {name: apart[symbol] for name, apart in _pooled_scores(workspace, market, by_rows, relabel).items()}
    elif by_rows:
        workspace.report(0, 1, "computing features")
        for column, table in zip(by_rows, training_tables(config, market.bars, by_rows), strict=True):
            found[column.name] = _run(workspace, walk, table if relabel is None else relabel(table), column)
    walked = tuple(found[column.name] for column in learned)
    scored = ScoredMarket.of(market, walked, others)
    for stage in STAGES:
        scored = stage.run(workspace, scored)
    return scored


def _pooled_scores(
    workspace: Workspace, market: Market, learned: Sequence[LearnedColumn], relabel: Relabel | None
) -> Mapping[str, Mapping[str, WalkForwardResult]]:
    """Walk forward over the rows of all symbols, once for a command: column -> symbol."""
    key = ("pooled scores", config_hash(workspace.config), workspace.window, workspace.include_holdout, relabel)
    if key not in workspace.memo:
        pools = pooled(workspace, market).pools
        walk, found = walk_forward(workspace.config), {}
        for column, pool in zip(learned, pools, strict=True):
            taught = pool if relabel is None else pool.relabelled(relabel)
            found[column.name] = taught.apart(_run(workspace, taught.walk(walk), taught.table, column))
        workspace.memo[key] = found
    made: Mapping[str, Mapping[str, WalkForwardResult]] = workspace.memo[key]
    return made


def _run(workspace: Workspace, walk: WalkForward, table: TrainingTable, column: LearnedColumn) -> WalkForwardResult:
    return walk.run(
        table,
        column.algorithm,
        workspace.cache / "walkforward",
        workers=workspace.config.walkforward.workers,
        seed=column.seed,
        progress=workspace.progress,
        column=column.name,
    )


def grades(scored: ScoredMarket) -> tuple[ModelQuality, ...]:
    """Grade each learned column, as it is after the stages, against the label that it learned."""
    from itb.mlmodels.quality import grade_result

    return tuple(grade_result(replace(result, scores=scored.scores[result.column].batch())) for result in scored.walked)
