"""Stages that make one decision of several scores: a stack of models, and flags by thresholds that were chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from itb.config import stages as configured
from itb.errors import ConfigError
from itb.market.costs import BPS
from itb.mlmodels.scores import WalkForwardScores
from itb.runs.refine import score_column, stages_folder

if TYPE_CHECKING:
    from itb.config import Config
    from itb.runs.scored import ScoredMarket, ScoreRanges
    from itb.runs.workspace import Workspace

FLAG = (0.0, 1.0)


def stack_ranges(config: Config, ranges: ScoreRanges) -> ScoreRanges:
    """Say which column the stack adds."""
    stage = configured.stack(config)
    if stage is None:
        return ranges
    return {**ranges, f"{configured.stack_label(config).name}_stack": stage.algorithm.score_range}


def stack(workspace: Workspace, scored: ScoredMarket) -> ScoredMarket:
    """Train a model on the scores of the others, walking forward; it is graded and kept like them."""
    config = workspace.config
    stage = configured.stack(config)
    if stage is None:
        return scored
    label = configured.stack_label(config)
    by_name = {walked.column: walked for walked in scored.walked}
    inputs = [score_column(config, scored, by_name[name]) for name in configured.stack_inputs(config)]
    target = next(walked for walked in scored.walked if walked.table.label_name == label.name)
    table = stage.table(
        inputs, score_column(config, scored, target), scored.market.bars.timeframe, is_binary=label.is_binary
    )
    found = stage.run(table, workspace.cache / "walkforward", seed=config.stack.seed, progress=workspace.progress)
    note = (
        f"{found.column}: {stage.algorithm.name} on {', '.join(table.feature_names)}, from scores given out of sample"
    )
    return replace(scored, walked=(*scored.walked, found)).with_scores({found.column: found.source}, note)


def thresholds_ranges(config: Config, ranges: ScoreRanges) -> ScoreRanges:
    """Say which columns thresholds add."""
    if configured.thresholds(config) is None:
        return ranges
    name = configured.thresholds_column(config, ranges)
    flags = {f"{name}_buy": FLAG, f"{name}_sell": FLAG}
    taken = next((flag for flag in flags if flag in ranges), None)
    if taken is not None:
        message = f'flags of "{name}" would be named as its chance of a class, {taken}; name another column'
        raise ConfigError(config.complaint(("thresholds", "column"), message))
    return {**ranges, **flags}


def flag(workspace: Workspace, scored: ScoredMarket) -> ScoredMarket:
    """Flag bars to buy and to sell by thresholds that the policy chose on earlier bars of this market."""
    from itb.mlmodels.labels import FutureReturn

    config = workspace.config
    stage = configured.thresholds(config)
    if stage is None:
        return scored
    walked = next(one for one in scored.walked if one.column == configured.thresholds_column(config, scored.scores))
    column = score_column(config, scored, walked)
    returns = FutureReturn(configured.thresholds_horizon(config))(scored.market.bars)
    found, _ = stage.keep(column, returns, stages_folder(config, scored.market, walked))
    judged = found.judge(2 * config.costs.one_way_bps * BPS)
    worth = f"; they brought {100 * judged.mean:+.3f} % a flag after costs, returns that overlap" if judged.rows else ""
    sources = {name: WalkForwardScores(name, *FLAG, column.open_time, values) for name, values in found.flags.items()}
    return scored.with_scores(sources, f"{scored.market.bars.symbol}: {column.name}: {found.sentence}{worth}")
