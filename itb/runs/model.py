"""From bars to out-of-sample scores: features, label, walk-forward, all as configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config import parts

if TYPE_CHECKING:
    from itb.config import Config
    from itb.market.bars import Bars
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.table import TrainingTable
    from itb.mlmodels.walkforward import WalkForward
    from itb.runs.workspace import Workspace


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


def training_table(config: Config, bars: Bars) -> TrainingTable:
    """Compute the configured features and label of some bars."""
    from itb.mlmodels.table import TrainingTable

    features = parts.feature_set(config, bars.columns)
    return TrainingTable.of(bars, features.compute(bars), features.names, parts.label(config))


def score_column(config: Config) -> str:
    """Name of the score column that the configured label and algorithm make."""
    from itb.mlmodels.algorithms import column_name

    return column_name(parts.label(config).name, parts.algorithm(config))


def run_walk_forward(workspace: Workspace, bars: Bars) -> WalkForwardResult:
    """Train walk-forward, or take what an earlier run trained on the same numbers."""
    config = workspace.config
    walk = walk_forward(config)
    workspace.report(0, 1, "computing features")
    table = training_table(config, bars)
    return walk.run(
        table,
        parts.algorithm(config),
        workspace.cache / "walkforward",
        workers=config.walkforward.workers,
        seed=config.model.seed,
        progress=workspace.progress,
    )
