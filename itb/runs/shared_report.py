"""From several symbols on one account to what the report says, in words and plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itb.charts.data import EquityCurve, Note, ReportData, Table
from itb.charts.metric_rows import costs_of, metric_rows, written
from itb.charts.wording import number, percent
from itb.config.dump import config_hash
from itb.market.bars import utc
from itb.runs.model_report import Graded, model_parts, models_told
from itb.runs.notes import shared_notes
from itb.runs.report import ambiguous_bars, market_panel, refusals, shifted, strategy_told, two_orders
from itb.runs.venue import instrument

if TYPE_CHECKING:
    from itb.runs.shared import SharedOutcome
    from itb.runs.workspace import Workspace

_DRAWN = 4  # score columns with figures of their own; the table has all


def describe_shared(workspace: Workspace, outcome: SharedOutcome, told: dict[str, Any]) -> ReportData:
    """Say everything about one backtest of several symbols."""
    result, config = outcome.result, workspace.config
    window = result.clock.slice(result.start, None)
    quote = instrument(config, outcome.markets[0].bars).quote
    parts = result.parts.values()
    return ReportData(
        title=f"{len(result.parts)} symbols {window.timeframe} · {config.strategy.name.rpartition(':')[2]}",
        summary=_summary(outcome, is_free=config.costs.is_free),
        run_id=outcome.run_id,
        is_synthetic=outcome.markets[0].is_synthetic,
        is_free=config.costs.is_free,
        holdout_seen=any(market.holdout_seen for market in outcome.markets),
        created=utc(workspace.clock()),
        metrics=metric_rows(outcome.metrics, outcome.hold.metrics, outcome.cash, outcome.edge, currency=quote),
        notes=tuple(Note(text, tone) for text, tone in shared_notes(config, outcome)),
        equity=EquityCurve(
            window.close_time,
            result.equity[result.start :],
            result.starting_cash,
            outcome.hold.equity[result.start :],
            quote,
        ),
        symbols=_by_symbol(outcome, quote),
        markets=tuple(
            market_panel(part.bars, part.start, one.scores, outcome.settings)
            for part, one in zip(parts, outcome.traded, strict=True)
        ),
        trades=tuple(trade for part in parts for trade in shifted(part.trades, part.start)),
        **model_parts(_graded(outcome), _DRAWN),
        costs=costs_of(outcome.edge),
        scenarios=two_orders(result.ambiguous, outcome.metrics, outcome.other_metrics, quote),
        ambiguous=ambiguous_bars(result.ambiguous, {symbol: part.bars for symbol, part in result.parts.items()}),
        rejected=refusals(result.rejected),
        looks=outcome.looks + 1,
        manifest=told,
    )


def _graded(outcome: SharedOutcome) -> list[Graded]:
    return [Graded(f"{symbol} {walked.column}", walked, quality) for symbol, walked, quality in outcome.graded]


def _by_symbol(outcome: SharedOutcome, quote: str) -> Table:
    names = ("total_return", "max_drawdown", "exposure", "trades", "win_rate", "profit_factor", "fees")
    heads = ("return", "drawdown", "time in market", "trades", "win rate", "profit factor", "fees")
    rows = tuple(
        (symbol, *(written(name, metrics, quote) for name in names)) for symbol, metrics in outcome.by_symbol.items()
    )
    total = ("account", *(written(name, outcome.metrics, quote) for name in names))
    return Table(("symbol", *heads), (*rows, total))


def shared_manifest(workspace: Workspace, outcome: SharedOutcome) -> dict[str, Any]:
    """Write down what makes the run repeatable, and its figures."""
    result, markets, config = outcome.result, outcome.markets, workspace.config
    window = result.clock.slice(result.start, None)
    return {
        "run": outcome.run_id,
        "command": "backtest",
        "created": utc(workspace.clock()),
        "markets": [market.name for market in markets],
        "symbol": f"{len(markets)} symbols",
        "symbols": list(result.parts),
        "timeframe": str(result.clock.timeframe),
        "exchange": config.data.exchange,
        "is_synthetic": markets[0].is_synthetic,
        "bars": len(result.clock),
        "first_bar": utc(result.clock.open_time[0]),
        "trading_from": utc(window.open_time[0]),
        "until": utc(max(market.stop_ms for market in markets)),
        "from_ms": min(int(market.bars.open_time[0]) for market in markets),
        "to_ms": max(market.stop_ms for market in markets),
        "gaps": {
            "policy": config.data.gaps,
            "missing": {market.bars.symbol: market.missing for market in markets},
        },
        "data_fingerprint": {market.bars.symbol: market.fingerprint for market in markets},
        "inputs": dict(outcome.inputs),
        "config_hash": config_hash(config),
        "project": str(config.folder.resolve()),
        "include_holdout": workspace.include_holdout,
        "holdout_seen": any(market.holdout_seen for market in markets),
        "strategy": strategy_told(config, outcome.settings),
        "account": config.account.model_dump(),
        "models": models_told(config, _graded(outcome)),
        "stepping": {"how": result.stepped, "visited": result.visited, "why_not_sparse": result.why_not_sparse},
        "metrics": outcome.metrics.to_dict(),
        "metrics_by_symbol": {symbol: metrics.to_dict() for symbol, metrics in outcome.by_symbol.items()},
        "buy_and_hold": outcome.hold.metrics.to_dict(),
        "break_even_bps": outcome.edge.break_even_bps,
        "unsettled_bars": outcome.scenarios.unsettled,
        "rejected": len(result.rejected),
        "blocked_entries": dict(result.blocked),
        "notes": [text for text, _ in shared_notes(config, outcome)],
    }


def _summary(outcome: SharedOutcome, *, is_free: bool) -> str:
    """One honest sentence."""
    own, hold, result = outcome.metrics, outcome.hold.metrics, outcome.result
    window = result.clock.slice(result.start, None)
    kind = "synthetic bars" if outcome.markets[0].is_synthetic else "real bars"
    made = "made" if own.total_return > 0 else "lost" if own.total_return < 0 else "made nothing:"
    costs = "at zero cost" if is_free else "after costs"
    trades = f"{own.trades:,} trade" + ("" if own.trades == 1 else "s")
    average = number(float(result.held[result.start :].mean()), 1)
    return (
        f"{utc(window.open_time[0])[:10]} to {utc(window.close_time[-1])[:10]} on {kind} of {len(result.parts)} "
        f"symbols with one account: the strategy {made} {percent(abs(own.total_return), signed=False)} {costs} in "
        f"{trades}, {average} positions at a time on average; holding all of them returned "
        f"{percent(hold.total_return)}, cash 0 %."
    )
