"""The model sides of a search: each trained walk-forward as everywhere, or taken from what was trained before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import TradedMarket
from itb.config import stages
from itb.config.columns import columns
from itb.config.dump import config_hash
from itb.config.messages import unknown_key
from itb.config.plugins import load_plugins
from itb.errors import ConfigError
from itb.mlmodels.calibrated import known_scores
from itb.optimize.candidate import BacktestCandidate, ScoredCandidate, own
from itb.optimize.shared_candidate import SharedBacktestCandidate, SharedCandidate
from itb.optimize.shared_sweep import SharedSweep
from itb.optimize.sweep import Sweep
from itb.runs.deep import is_deep, stand_in
from itb.runs.model import score_columns, walk_forward
from itb.runs.search_space import applied, cornered
from itb.runs.strategy import choose_strategy
from itb.runs.training_tables import training_tables
from itb.runs.venue import build_venue
from itb.strategies.allocation import Allocation
from itb.strategies.loading import load_strategy
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.engine.venue import Venue
    from itb.market.bars import Bars
    from itb.mlmodels.splits import Block
    from itb.mlmodels.stages.calibration import Calibration
    from itb.mlmodels.table import TrainingTable
    from itb.optimize.candidate import ThresholdCandidate
    from itb.optimize.desk import Record
    from itb.optimize.space import Space, Value, Values
    from itb.runs.model import Relabel
    from itb.runs.scored import ScoredMarket
    from itb.runs.search_markets import SearchedMarkets
    from itb.runs.strategy import ChosenStrategy
    from itb.runs.workspace import Workspace

    AnyCandidate = ScoredCandidate | BacktestCandidate | SharedCandidate | SharedBacktestCandidate

_KEPT = 64
_LONGER = ("walkforward", "features", "label", "labels", "training", "calibration", "stack")


@dataclass(eq=False)
class ModelSides:
    """Builds candidates for a search; the last ones are kept, so that the same model side is scored once a process."""

    workspace: Workspace
    markets: SearchedMarkets
    space: Space
    start: int
    _kept: dict[str, AnyCandidate] = field(default_factory=dict)
    _memo: tuple[str, dict[object, Any]] = field(default_factory=lambda: ("", {}))

    def __call__(self, parameters: Values) -> AnyCandidate:
        """Train the model side of some parameters; those of the trade side are ignored."""
        own = self._own(parameters)
        key = json.dumps(own, sort_keys=True, default=str)
        if key not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self.trained(own)
        return self._kept[key]

    def of(self, record: Record) -> ThresholdCandidate:
        """Give the candidate of a trial of the threshold strategy."""
        candidate = self(record.parameters)
        assert isinstance(candidate, ScoredCandidate | SharedCandidate)
        return candidate

    def config_of(self, parameters: Values) -> Config:
        """Give the config of a model side."""
        return applied(self.workspace.config, self._own(parameters))

    @cached_property
    def venues(self) -> tuple[Venue, ...]:
        """The venue of each market: a search varies none."""
        return tuple(build_venue(self.workspace.config, market) for market in self.markets.markets)

    def trained(self, parameters: Values, relabel: Relabel | None = None) -> AnyCandidate:
        """Train a model side without keeping it here, on other labels where ``relabel`` gives them."""
        config = self.config_of(parameters)
        key = config_hash(config)
        if self._memo[0] != key:  # what the symbols of a side share is of no use to the next
            self._memo = (key, {})
        workspace = replace(self.workspace, config=config, memo=self._memo[1])
        chosen = choose_strategy(workspace, *(market.bars for market in self.markets.markets))
        scored = [score_columns(workspace, market, relabel) for market in self.markets.markets]
        if chosen.strategy is not MLThreshold:
            return self._any_strategy(chosen, scored, config.backtest.cash)
        starts = [self.markets.start_of(market, self.start) for market in self.markets.markets]
        by_column = {
            name: tuple(
                Sweep(
                    one.market.bars, one.scores[name].batch(), start, venue, config.backtest.cash,
                    (one.scores[name].low, one.scores[name].high), chosen.protections,
                )
                for one, start, venue in zip(scored, starts, self.venues, strict=True)
            )
            for name in scored[0].scores
        }  # fmt: skip
        base = ThresholdSettings(**chosen.settings)
        if not self.markets.is_shared:
            return ScoredCandidate({name: sweep for name, (sweep,) in by_column.items()}, base)
        cash, allocation = config.backtest.cash, chosen.allocation or Allocation()
        return SharedCandidate({name: SharedSweep(own, cash, allocation) for name, own in by_column.items()}, base)

    def _any_strategy(
        self, chosen: ChosenStrategy, scored: Sequence[ScoredMarket], cash: float
    ) -> BacktestCandidate | SharedBacktestCandidate:
        if self.markets.is_shared:
            traded = tuple(
                TradedMarket(one.market.bars, one.scores, venue) for one, venue in zip(scored, self.venues, strict=True)
            )
            start_ms = int(self.markets.clock.open_time[self.start])
            return SharedBacktestCandidate(chosen.strategy, chosen.parameters, traded, start_ms, cash)
        (one,), (venue,) = scored, self.venues
        return BacktestCandidate(
            chosen.strategy, chosen.parameters, one.market.bars, one.scores, self.start, venue, cash
        )

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


def first_step(config: Config, markets: SearchedMarkets, space: Space) -> int:
    """Find the first step at which every model side can speak on any of the markets; the last where it never does."""
    firsts = ((market.bars, first_bar(config, market.bars, space)) for market in markets.markets)
    spoken = [int(bars.open_time[bar]) for bars, bar in firsts if bar < len(bars) - 1]
    return int(markets.clock.open_time.searchsorted(min(spoken))) if spoken else len(markets.clock) - 1


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
