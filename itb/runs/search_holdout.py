"""The sealed hold-out of a search, opened for the settings that it picks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.result import SharedResult
from itb.charts.wording import number, percent
from itb.errors import RunError
from itb.ledger.metrics import compute
from itb.runs.backtest import compute_outcome
from itb.runs.looks import enter_look
from itb.runs.search_space import applied
from itb.runs.shared import compute_shared

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult
    from itb.ledger.metrics import Metrics
    from itb.optimize.space import Values
    from itb.runs.market import Market
    from itb.runs.study import Study
    from itb.runs.workspace import Workspace

NO_SEAL = "data.holdout_from is not set, so nothing is sealed; set it before the search, then search again"
_COMMAND = "optimize --open-holdout"


def open_holdouts(workspace: Workspace, study: Study, parameters: Values) -> tuple[dict[str, Any], str]:
    """Open the sealed hold-out of every market for the chosen settings, which is recorded for ever."""
    if study.config.data.holdout_ms is None:
        raise RunError(NO_SEAL)
    opened = replace(workspace, config=applied(study.config, parameters), include_holdout=True)
    markets, result = _traded(opened, study)
    first = int(result.clock.open_time.searchsorted(study.config.data.holdout_ms))
    if first >= len(result.clock):
        raise RunError(f"{study.markets.title}: no bar lies in the hold-out; download more bars")
    metrics = _figures(result, first)
    found = {"sharpe": metrics.sharpe, "total_return": metrics.total_return, "max_drawdown": metrics.max_drawdown,
             "trades": metrics.trades, "days": metrics.duration_days}  # fmt: skip
    from_ms = int(result.clock.open_time[first])
    for market in markets:
        window = market.bars.between(from_ms, None)
        if len(window):
            enter_look(opened, market, window, run_id=study.name, command=_COMMAND, metrics=found)
    openings = max(len(workspace.register.holdout_openings(market.name)) for market in markets)
    often = "once" if openings == 1 else f"{openings} times"
    said = (
        f"  hold-out: Sharpe {number(metrics.sharpe, 2)}, total {percent(metrics.total_return, 1)}, "
        f"{metrics.trades} trades in {metrics.duration_days:.0f} days; opened {often}, recorded for ever"
    )
    return {**found, "note": markets[0].holdout.note}, said


def _traded(opened: Workspace, study: Study) -> tuple[tuple[Market, ...], BacktestResult | SharedResult]:
    if study.markets.is_shared:
        shared = compute_shared(opened, study.name, command=_COMMAND)
        return shared.markets, shared.result
    (symbol,) = study.markets.symbols
    outcome = compute_outcome(opened, symbol, study.name, command=_COMMAND)
    return (outcome.market,), outcome.result


def _figures(result: BacktestResult | SharedResult, first: int) -> Metrics:
    """Compute the figures of what was traded from a step on."""
    from_ms = int(result.clock.open_time[first])
    if isinstance(result, SharedResult):
        held, dust = result.held.astype(np.float64), 0.0
    else:
        held, dust = result.position, result.dust
    return compute(
        result.clock, result.equity, held,
        [fill for fill in result.fills if fill.open_time >= from_ms],
        [trade for trade in result.trades if trade.entry_time >= from_ms],
        start_cash=float(result.equity[first - 1]) if first else result.starting_cash, start_bar=first, dust=dust,
    )  # fmt: skip
