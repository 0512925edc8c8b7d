"""The model sides of a search: each trained walk-forward as everywhere, or taken from what was trained before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from itb.config.columns import columns
from itb.optimize.candidate import BacktestCandidate, ScoredCandidate
from itb.optimize.space import Choice
from itb.optimize.sweep import Sweep
from itb.runs.model import score_columns, walk_forward
from itb.runs.search_space import applied
from itb.runs.strategy import choose_strategy
from itb.runs.training_tables import training_tables
from itb.runs.venue import build_venue
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from itb.config import Config
    from itb.market.bars import Bars
    from itb.optimize.desk import Record
    from itb.optimize.space import Space, Values
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

_KEPT = 64
_LONGER = ("walkforward", "features", "label", "labels", "training")


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
        names = {dimension.name for dimension in self.space.model}
        own = {name: value for name, value in parameters.items() if name in names}
        key = json.dumps(own, sort_keys=True, default=str)
        if key not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self._made(own)
        return self._kept[key]

    def of(self, record: Record) -> ScoredCandidate:
        """Give the candidate of a trial of the threshold strategy."""
        candidate = self(record.parameters)
        assert isinstance(candidate, ScoredCandidate)
        return candidate

    def _made(self, own: Values) -> ScoredCandidate | BacktestCandidate:
        workspace = replace(self.workspace, config=applied(self.workspace.config, own))
        config, bars = workspace.config, self.market.bars
        chosen = choose_strategy(workspace, bars)
        scored = score_columns(workspace, self.market)
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


def first_bar(config: Config, bars: Bars, space: Space) -> int:
    """Find the first bar at which every model side can speak: all trials trade the same days.

    Each dimension that can delay a model (training window, features, label) is tried at its ends, the others as
    configured; the delays add up.
    """
    usual = _speaks(config, bars)
    late = 0
    for dimension in space.model:
        if dimension.name.split(".")[0] not in _LONGER:
            continue
        values = dimension.choices if isinstance(dimension, Choice) else (dimension.at(0.0), dimension.at(1.0))
        late += max(_speaks(applied(config, {dimension.name: value}), bars) for value in values) - usual
    return min(usual + late, len(bars) - 1)


def _speaks(config: Config, bars: Bars) -> int:
    """First bar that the configured walk-forward scores; the last one where it never does."""
    learned = columns(config)
    tables = training_tables(config, bars, learned)
    walk = walk_forward(config)
    starts = [blocks[0].test_start for table in tables if (blocks := walk.blocks(table))]
    return max(starts) if len(starts) == len(tables) else len(bars) - 1
