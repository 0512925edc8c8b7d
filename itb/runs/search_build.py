"""The model sides of a search: each trained walk-forward as everywhere, or taken from what was trained before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.config import stages
from itb.config.columns import columns
from itb.config.messages import unknown_key
from itb.config.plugins import load_plugins
from itb.errors import ConfigError
from itb.mlmodels.calibrated import known_scores
from itb.optimize.candidate import BacktestCandidate, ScoredCandidate, own
from itb.optimize.sweep import Sweep
from itb.runs.deep import is_deep, stand_in
from itb.runs.model import score_columns, walk_forward
from itb.runs.search_space import applied, cornered
from itb.runs.strategy import choose_strategy
from itb.runs.training_tables import training_tables
from itb.runs.venue import build_venue
from itb.strategies.loading import load_strategy
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.market.bars import Bars
    from itb.mlmodels.splits import Block
    from itb.mlmodels.stages.calibration import Calibration
    from itb.mlmodels.table import TrainingTable
    from itb.optimize.desk import Record
    from itb.optimize.space import Space, Value, Values
    from itb.runs.market import Market
    from itb.runs.model import Relabel
    from itb.runs.workspace import Workspace

_KEPT = 64
_LONGER = ("walkforward", "features", "label", "labels", "training", "calibration", "stack")


@dataclass(eq=False)
class ModelSides:
    """Builds candidates for a search; the last ones are kept, so that the same model side is scored once a process."""

    workspace: Workspace
    market: Market
    space: Space
    start: int
    _kept: dict[str, ScoredCandidate | BacktestCandidate] = field(default_factory=dict)

    def __call__(self, parameters: Values) -> ScoredCandidate | BacktestCandidate:
        """Train the model side of some parameters; those of the trade side are ignored."""
        own = self._own(parameters)
        key = json.dumps(own, sort_keys=True, default=str)
        if key not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self.trained(own)
        return self._kept[key]

    def of(self, record: Record) -> ScoredCandidate:
        """Give the candidate of a trial of the threshold strategy."""
        candidate = self(record.parameters)
        assert isinstance(candidate, ScoredCandidate)
        return candidate

    def config_of(self, parameters: Values) -> Config:
        """Give the config of a model side."""
        return applied(self.workspace.config, self._own(parameters))

    def trained(self, parameters: Values, relabel: Relabel | None = None) -> ScoredCandidate | BacktestCandidate:
        """Train a model side without keeping it here, on other labels where ``relabel`` gives them."""
        workspace = replace(self.workspace, config=self.config_of(parameters))
        config, bars = workspace.config, self.market.bars
        chosen = choose_strategy(workspace, bars)
        scored = score_columns(workspace, self.market, relabel)
        venue, cash = build_venue(config, self.market), config.backtest.cash
        if chosen.strategy is not MLThreshold:
            return BacktestCandidate(
                chosen.strategy, dict(chosen.parameters), bars, scored.scores, self.start, venue, cash
            )
        sweeps = {
            name: Sweep(bars, source.batch(), self.start, venue, cash, (source.low, source.high), chosen.protections)
            for name, source in scored.scores.items()
        }
        return ScoredCandidate(sweeps, ThresholdSettings(**chosen.settings))

    def _own(self, parameters: Values) -> dict[str, Value]:
        names = {dimension.name for dimension in self.space.model}
        return {name: value for name, value in parameters.items() if name in names}


def refuse_strange_settings(config: Config, space: Space) -> None:
    """Refuse a setting that a strategy of a person's own does not have; the others were refused with the space.

    Raises :class:`ConfigError` that names it.
    """
    if ":" not in config.strategy.name:
        return
    known = list(load_strategy(config.strategy.name, config.folder, load_plugins(config)).params._getkeys())
    for dimension in space.trade:
        name = next(iter(own({dimension.name: 0})))
        if name not in known:
            raise ConfigError(config.complaint(("search", "space", dimension.name), unknown_key(name, known)))


def first_bar(config: Config, bars: Bars, space: Space) -> int:
    """Find the first bar at which every model side can speak: all trials trade the same days.

    Each dimension that can delay a model (training window, features, label, calibration, stack) is tried at its ends,
    the others as configured; the delays add up. It is the earliest that can be: where a model is not promoted, is
    silent by ``[abstain]``, or finds no thresholds, trials are flat for longer.
    """
    usual = _speaks(config, bars)
    late = 0
    for dimension in space.model:
        if dimension.name.split(".")[0] not in _LONGER:
            continue
        late += max(_speaks(corner, bars) for corner in cornered(config, space, dimension)) - usual
    return min(usual + late, len(bars) - 1)


def _speaks(config: Config, bars: Bars) -> int:
    """First bar that every configured score speaks on, stages included; the last one where one never does."""
    learned, walk = columns(config), walk_forward(config)
    tables = _tables(config, bars, learned)
    blocks = {name: walk.blocks(table) for name, table in tables.items()}
    if not all(blocks.values()):
        return len(bars) - 1
    starts = {name: found[0].test_start for name, found in blocks.items()}
    calibration = stages.calibration(config)
    for column in learned:
        if calibration is not None and column.taught.is_classifier:
            starts[column.name] = _calibrated(calibration, tables[column.name], blocks[column.name], walk.embargo_bars)
    stack = stages.stack(config)
    if stack is not None:
        label = stages.stack_label(config).name
        target = next(tables[column.name] for column in learned if column.label.name == label)
        spoken = np.arange(len(target)) >= max(starts[name] for name in stages.stack_inputs(config))
        scores = np.where(spoken, 0.0, np.nan).astype(np.float32)[:, None]
        found = stack.walk.blocks(replace(target, features=scores, feature_names=("score",)))
        starts["stack"] = found[0].test_start if found else len(bars) - 1
    return max(starts.values())


def _tables(config: Config, bars: Bars, learned: Sequence[LearnedColumn]) -> dict[str, TrainingTable]:
    by_rows = [column for column in learned if not is_deep(column)]
    made = iter(training_tables(config, bars, by_rows) if by_rows else ())
    return {column.name: stand_in(column, bars) if is_deep(column) else next(made) for column in learned}


def _calibrated(calibration: Calibration, table: TrainingTable, blocks: Sequence[Block], embargo_bars: int) -> int:
    """First bar of the first block whose calibrator can have seen enough scores meet their labels."""
    scores = np.where(np.arange(len(table)) >= blocks[0].test_start, 0.5, np.nan)
    for block in blocks:
        if len(known_scores(scores, table.label, block.fit_bar - embargo_bars)) >= calibration.min_rows:
            return block.test_start
    return len(table) - 1
