"""`itb backtest`: train walk-forward, trade what came out, say honestly what it was worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.backtest.run import Backtest, run_scenarios
from itb.ledger import baselines, breakeven
from itb.runs.capsule import Capsule, new_run_id, write_capsule
from itb.runs.inputs import inputs
from itb.runs.looks import earlier_looks, enter_look
from itb.runs.market import load_market
from itb.runs.model import grades, score_columns
from itb.runs.outcome import Outcome, metrics_of
from itb.runs.report import describe, manifest
from itb.runs.shared import SharedOutcome, compute_shared
from itb.runs.shared_report import describe_shared, shared_manifest
from itb.runs.strategy import choose_strategy
from itb.runs.tables import run_tables, shared_tables
from itb.runs.venue import build_venue

if TYPE_CHECKING:
    from pathlib import Path

    from itb.charts.data import ReportData
    from itb.ledger.metrics import Metrics
    from itb.runs.workspace import Workspace

HEADLINES = ("total_return", "annual_return", "sharpe", "max_drawdown", "trades", "exposure")


@dataclass(frozen=True, eq=False)
class BacktestRun:
    """A finished and stored backtest."""

    outcome: Outcome | SharedOutcome
    capsule: Capsule
    report: ReportData


def backtest(workspace: Workspace, out: Path | None = None) -> list[BacktestRun]:
    """Backtest every configured symbol on its own, or all on one account; each run leaves a capsule.

    Every symbol's look is entered in the register. ``out`` is another folder for the capsules; the register stays the
    project's own.
    """
    if workspace.config.account.shared:
        return [_stored_shared(workspace, out or workspace.runs)]
    return [_stored(workspace, symbol, out or workspace.runs) for symbol in workspace.config.data.symbols]


def _stored(workspace: Workspace, symbol: str, folder: Path) -> BacktestRun:
    from itb.charts.page import render

    config = workspace.config
    run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
    outcome = compute_outcome(workspace, symbol, run_id)
    window = outcome.market.bars.slice(outcome.result.start, None)
    enter_look(
        workspace, outcome.market, window, run_id=run_id, command="backtest", metrics=_headlines(outcome.metrics)
    )
    workspace.report(0, 1, "writing the report")
    told = manifest(workspace, outcome)
    report = describe(workspace, outcome, told)
    capsule = write_capsule(folder / run_id, config, told, run_tables(outcome.result, outcome.scores), render(report))
    workspace.report(1, 1, "writing the report")
    return BacktestRun(outcome, capsule, report)


def _headlines(metrics: Metrics) -> dict[str, float | int | None]:
    return {name: value for name, value in metrics.to_dict().items() if name in HEADLINES}


def _stored_shared(workspace: Workspace, folder: Path) -> BacktestRun:
    from itb.charts.page import render

    config = workspace.config
    run_id = new_run_id(workspace.clock(), f"{len(config.data.symbols)}symbols", config.data.timeframe)
    outcome = compute_shared(workspace, run_id)
    for market, part in zip(outcome.markets, outcome.result.parts.values(), strict=True):
        window = market.bars.slice(part.start, None)
        enter_look(workspace, market, window, run_id=run_id, command="backtest", metrics=_headlines(outcome.metrics))
    workspace.report(0, 1, "writing the report")
    told = shared_manifest(workspace, outcome)
    report = describe_shared(workspace, outcome, told)
    capsule = write_capsule(
        folder / run_id, config, told, shared_tables(outcome.result, outcome.traded), render(report)
    )
    workspace.report(1, 1, "writing the report")
    return BacktestRun(outcome, capsule, report)


def compute_outcome(workspace: Workspace, symbol: str, run_id: str, command: str = "backtest") -> Outcome:
    """Compute one symbol's backtest; writes nothing but cached training and the hold-out's entry."""
    config = workspace.config
    market = load_market(workspace, symbol, run_id=run_id, command=command)
    chosen = choose_strategy(workspace, market.bars)
    scored = score_columns(workspace, market) if chosen.reads_scores else None
    scores = {} if scored is None else scored.scores
    start_ms = None if scored is None else scored.first_score(chosen.columns)
    venue = build_venue(config, market)
    cash = config.backtest.cash
    workspace.report(0, 1, "backtesting")
    test = Backtest(
        chosen.strategy, chosen.parameters, cash, venue, config.backtest.engine, tranches=config.account.tranches
    )
    scenarios = run_scenarios(test, market.bars, scores, start_ms)
    workspace.report(1, 1, "backtesting")
    result = scenarios.headline
    return Outcome(
        run_id=run_id,
        market=market,
        scenarios=scenarios,
        metrics=metrics_of(result, breakeven.slippage_paid(result.fills, result.market_prices)),
        other_metrics=None if scenarios.other is None else metrics_of(scenarios.other),
        hold=baselines.buy_and_hold(
            market.bars, config.costs, start_cash=cash, start_bar=result.start, funding=venue.funding
        ),
        cash=baselines.cash(market.bars, config.costs, start_cash=cash, start_bar=result.start),
        edge=breakeven.break_even(result.fills, result.market_prices, start_cash=cash, final_equity=result.end_value),
        scored=scored,
        qualities=() if scored is None else grades(scored),
        settings=chosen.in_force,
        inputs=inputs(config, market, chosen.strategy, () if scored is None else scored.others),
        looks=earlier_looks(workspace, market, market.bars.slice(result.start, None)),
    )
