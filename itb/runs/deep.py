"""Networks that read all configured symbols at once: one walk-forward for all, the scores of each symbol apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.data import LearningCurves
from itb.config.columns import columns
from itb.config.dump import config_hash
from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.judging import kept_epoch
from itb.mlmodels.deep.result import CoinResult
from itb.runs.capsule import new_run_id
from itb.runs.market import load_market

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from itb.config.columns import LearnedColumn
    from itb.market.bars import Bars
    from itb.mlmodels.deep.walk import PanelWalk
    from itb.mlmodels.labels.column import LabelColumn
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.table import TrainingTable
    from itb.mlmodels.walkforward import WalkForward
    from itb.runs.market import Market
    from itb.runs.model import Relabel
    from itb.runs.workspace import Workspace


@dataclass(frozen=True, eq=False)
class DeepScores:
    """The configured symbols' bars, and what the network of each score column made of them: column -> symbol."""

    markets: Mapping[str, Market]
    results: Mapping[str, Mapping[str, CoinResult]]

    def others(self, symbol: str) -> tuple[Market, ...]:
        """Give the markets beside one."""
        return tuple(market for name, market in self.markets.items() if name != symbol)


def is_deep(column: LearnedColumn) -> bool:
    """Whether a column is learned from the bars of all symbols at once."""
    return isinstance(column.algorithm, DeepAlgorithm)


def deep_scores(workspace: Workspace, market: Market, walk: WalkForward, relabel: Relabel | None = None) -> DeepScores:
    """Walk forward over all symbols, once for a command; ``relabel`` gives other labels to learn, for a baseline."""
    key = ("deep", config_hash(workspace.config), workspace.window, workspace.include_holdout, relabel)
    if key not in workspace.memo:
        workspace.memo[key] = _deep_scores(workspace, market, walk, relabel)
    found: DeepScores = workspace.memo[key]
    return found


def stand_in(column: LearnedColumn, bars: Bars) -> TrainingTable:
    """Give a table that is complete where the network has a window: its label and length are the column's own."""
    from itb.mlmodels.table import TrainingTable

    assert isinstance(column.algorithm, DeepAlgorithm)
    rows = np.zeros((len(bars), 1), dtype=np.float32)
    rows[: column.algorithm.warmup] = np.nan
    return TrainingTable.of(bars, rows, ("window",), column.label)


def markets_of(workspace: Workspace, market: Market) -> Mapping[str, Market]:
    """Load the configured symbols beside one that is there."""
    config = workspace.config
    found = {}
    for symbol in config.data.symbols:
        run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
        is_this = symbol == market.bars.symbol
        found[symbol] = market if is_this else load_market(workspace, symbol, run_id=run_id, command="deep training")
    return found


def panel_walk(
    bars: Mapping[str, Bars],
    column: LearnedColumn,
    labels: Mapping[str, LabelColumn],
    walk: WalkForward,
    folder: Path | None = None,
) -> PanelWalk:
    """Put bars and labels on one raster (mapped from ``folder``, if one is given) and give the walk-forward over it."""
    from itb.mlmodels.deep.door import torch_for
    from itb.mlmodels.deep.panel import Panel
    from itb.mlmodels.deep.walk import PanelWalk

    part = column.algorithm
    assert isinstance(part, DeepAlgorithm)
    torch_for(part.name)
    panel = Panel.of(bars, part.reading, folder)
    return PanelWalk(walk, panel, panel.targets(bars, labels), part, column.label.name, column.name, column.seed)


def _deep_scores(workspace: Workspace, market: Market, walk: WalkForward, relabel: Relabel | None) -> DeepScores:
    markets = markets_of(workspace, market)
    bars = {symbol: one.bars for symbol, one in markets.items()}
    found = {}
    for column in filter(is_deep, columns(workspace.config)):
        workspace.report(0, 1, f"reading {len(bars)} symbols")
        labels = {symbol: column.outcome(one) for symbol, one in bars.items()}
        if relabel is not None:
            labels = {symbol: relabel(stand_in(column, one)).label for symbol, one in bars.items()}
        walking = panel_walk(bars, column, labels, walk, workspace.cache / "panels")
        whole = walking.run(workspace.cache / "walkforward", workspace.progress)
        found[column.name] = whole.apart(bars, column.label, labels)
    return DeepScores(markets, found)


def learning_curves(walked: Sequence[WalkForwardResult]) -> tuple[LearningCurves, ...]:
    """Give the losses of every network among some walk-forwards, as the report draws them: once for all its symbols."""
    found, seen = [], set()
    for one in walked:
        if isinstance(one, CoinResult) and one.fingerprint not in seen:
            seen.add(one.fingerprint)
            taught = [curve for curve in one.curves if curve]
            found.append(
                LearningCurves(
                    one.column,
                    tuple(np.array([epoch.loss for epoch in curve]) for curve in taught),
                    tuple(np.array([epoch.held_loss for epoch in curve]) for curve in taught),
                    tuple(kept_epoch(curve, one.watch) for curve in taught),
                )
            )
    return tuple(found)
