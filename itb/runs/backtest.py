"""`itb backtest`: train walk-forward, trade what came out, say honestly what it was worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.probe import columns_read
from itb.backtest.run import Backtest, run_scenarios
from itb.config import parts
from itb.errors import BarsError, ConfigError
from itb.ledger import baselines, breakeven
from itb.ledger.metrics import Metrics, compute
from itb.market.bars import utc
from itb.runs.capsule import Capsule, new_run_id, write_capsule
from itb.runs.inputs import inputs
from itb.runs.looks import earlier_looks, enter_look
from itb.runs.market import load_market
from itb.runs.model import run_walk_forward, score_column
from itb.runs.outcome import Outcome
from itb.runs.plugins import load_plugins
from itb.runs.report import describe, manifest
from itb.runs.tables import run_tables
from itb.runs.venue import build_venue
from itb.strategies.loading import load_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.backtest.result import BacktestResult
    from itb.charts.data import ReportData
    from itb.indicators.score import ScoreSource
    from itb.market.bars import Bars
    from itb.mlmodels.result import WalkForwardResult
    from itb.runs.workspace import Workspace

HEADLINES = ("total_return", "annual_return", "sharpe", "max_drawdown", "trades", "exposure")


@dataclass(frozen=True, eq=False)
class BacktestRun:
    """A finished and stored backtest."""

    outcome: Outcome
    capsule: Capsule
    report: ReportData


def backtest(workspace: Workspace, out: Path | None = None) -> list[BacktestRun]:
    """Backtest every configured symbol on its own; each leaves a capsule and a line in the register.

    ``out`` is another folder for the capsules; the register stays the project's own.
    """
    return [_stored(workspace, symbol, out or workspace.runs) for symbol in workspace.config.data.symbols]


def _stored(workspace: Workspace, symbol: str, folder: Path) -> BacktestRun:
    from itb.charts.page import render

    config = workspace.config
    run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
    outcome = compute_outcome(workspace, symbol, run_id)
    window = outcome.market.bars.slice(outcome.result.start, None)
    metrics = {name: value for name, value in outcome.metrics.to_dict().items() if name in HEADLINES}
    enter_look(workspace, outcome.market, window, run_id=run_id, command="backtest", metrics=metrics)
    workspace.report(0, 1, "writing the report")
    told = manifest(workspace, outcome)
    report = describe(workspace, outcome, told)
    capsule = write_capsule(
        folder / run_id, config, told, run_tables(outcome.result, outcome.scores), render(report)
    )
    workspace.report(1, 1, "writing the report")
    return BacktestRun(outcome, capsule, report)


def compute_outcome(workspace: Workspace, symbol: str, run_id: str, command: str = "backtest") -> Outcome:
    """Compute one symbol's backtest; writes nothing but cached training and the hold-out's entry."""
    from itb.mlmodels.quality import grade_result

    config = workspace.config
    market = load_market(workspace, symbol, run_id=run_id, command=command)
    chosen = choose_strategy(workspace, market.bars)
    strategy, settings = chosen.strategy, chosen.settings
    walked = run_walk_forward(workspace, market.bars) if chosen.reads_scores else None
    scores: Mapping[str, ScoreSource] = {} if walked is None else {walked.column: walked.source}
    start_ms = None if walked is None else _first_score(walked)
    venue = build_venue(config, market)
    cash = config.backtest.cash
    workspace.report(0, 1, "backtesting")
    test = Backtest(strategy, settings, cash, venue, stepping=config.backtest.engine)
    scenarios = run_scenarios(test, market.bars, scores, start_ms)
    workspace.report(1, 1, "backtesting")
    result = scenarios.headline
    return Outcome(
        run_id=run_id,
        market=market,
        scenarios=scenarios,
        metrics=_metrics(result, breakeven.slippage_paid(result.fills, result.market_prices)),
        other_metrics=None if scenarios.other is None else _metrics(scenarios.other),
        hold=baselines.buy_and_hold(
            market.bars, config.costs, start_cash=cash, start_bar=result.start, funding=venue.funding
        ),
        cash=baselines.cash(market.bars, config.costs, start_cash=cash, start_bar=result.start),
        edge=breakeven.break_even(result.fills, result.market_prices, start_cash=cash, final_equity=result.end_value),
        walk_forward=walked,
        quality=None if walked is None else grade_result(walked),
        settings=_all_settings(strategy, settings),
        inputs=inputs(config, market, strategy),
        looks=earlier_looks(workspace, market, market.bars.slice(result.start, None)),
    )


@dataclass(frozen=True)
class ChosenStrategy:
    """The configured strategy class, its settings as checked, and whether it reads the model's scores."""

    strategy: type[Any]
    settings: Mapping[str, Any]
    reads_scores: bool


def choose_strategy(workspace: Workspace, bars: Bars) -> ChosenStrategy:
    """Load the configured strategy and ask it what it reads, before anything is trained for it.

    Raises :class:`itb.errors.ConfigError` for a setting that cannot be, a threshold outside the score's range included.
    """
    config = workspace.config
    strategy = load_strategy(config.strategy.name, config.folder, load_plugins(config))
    settings = parts.strategy_settings(config, strategy)
    low_high = parts.algorithm(config).score_range
    _check_range(workspace, strategy, settings, low_high)
    asked = columns_read(strategy, settings, bars, {score_column(config): low_high})
    return ChosenStrategy(strategy, settings, bool(asked))


def _metrics(result: BacktestResult, slippage: float = float("nan")) -> Metrics:
    return compute(
        result.bars,
        result.equity,
        result.position,
        result.fills,
        result.trades,
        start_cash=result.starting_cash,
        start_bar=result.start,
        dust=result.dust,
        slippage=slippage,
    )


def _all_settings(strategy: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings in force, defaults included, where the strategy declares them."""
    return dict(vars(strategy.Settings(**given))) if hasattr(strategy, "Settings") else dict(given)


def _check_range(
    workspace: Workspace, strategy: Any, settings: Mapping[str, Any], low_high: tuple[float, float]
) -> None:
    """Refuse thresholds outside the score's range, where the strategy's settings know their thresholds."""
    made = strategy.Settings(**settings) if hasattr(strategy, "Settings") else None
    if made is None or not hasattr(made, "check_range"):
        return
    try:
        made.check_range(*low_high)
    except ValueError as error:
        key, _, rest = str(error).partition(" ")
        raise ConfigError(workspace.config.complaint(("strategy", key), rest)) from None


def _first_score(walked: WalkForwardResult) -> int:
    told = np.flatnonzero(np.isfinite(walked.scores))
    if not len(told):
        times = walked.table.open_time
        raise BarsError(
            f"{walked.column}: no model ever spoke between {utc(times[0])} and {utc(times[-1])}; "
            "load more bars, shorten walkforward.train, or see `itb walkforward` for what each refit says"
        )
    return int(walked.table.open_time[told[0]])
