"""From an outcome to what a report says, in words and plain arrays."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from itb.charts.data import EquityCurve, MarketPanel, Note, ReportData, ScoreLine, Table
from itb.charts.metric_rows import comparison, costs_of, metric_rows
from itb.charts.wording import percent
from itb.config.dump import config_hash
from itb.market.bars import utc
from itb.runs.model_report import Graded, model_parts, models_told
from itb.runs.notes import notes
from itb.runs.venue import instrument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.config import Config
    from itb.engine.venue import Ambiguity, Rejection
    from itb.indicators.score import ScoreSource
    from itb.ledger.metrics import Metrics
    from itb.ledger.trades import Trade
    from itb.market.bars import Bars
    from itb.runs.outcome import Outcome
    from itb.runs.workspace import Workspace


def describe(workspace: Workspace, outcome: Outcome, told: dict[str, Any]) -> ReportData:
    """Say everything about one backtest."""
    result, market, config = outcome.result, outcome.market, workspace.config
    window = market.bars.slice(result.start, None)
    quote = instrument(config, market.bars).quote
    return ReportData(
        title=f"{market.bars.label} · {config.strategy.name.rpartition(':')[2]}",
        summary=summary(outcome, is_free=config.costs.is_free),
        run_id=outcome.run_id,
        is_synthetic=market.is_synthetic,
        is_free=config.costs.is_free,
        holdout_seen=market.holdout_seen,
        created=utc(workspace.clock()),
        metrics=metric_rows(outcome.metrics, outcome.hold.metrics, outcome.cash.metrics, outcome.edge, currency=quote),
        notes=tuple(Note(text, tone) for text, tone in notes(config, outcome)),
        equity=EquityCurve(
            window.close_time,
            result.equity[result.start :],
            result.starting_cash,
            outcome.hold.account.equity[result.start :],
            quote,
        ),
        markets=(market_panel(market.bars, result.start, outcome.scores, outcome.settings),),
        trades=shifted(result.trades, result.start),
        **model_parts(_graded(outcome)),
        costs=costs_of(outcome.edge),
        scenarios=two_orders(result.ambiguous, outcome.metrics, outcome.other_metrics, quote),
        ambiguous=ambiguous_bars(result.ambiguous, {"": market.bars}),
        rejected=refusals(result.rejected),
        looks=outcome.looks + 1,
        manifest=told,
    )


def manifest(workspace: Workspace, outcome: Outcome) -> dict[str, Any]:
    """Write down what makes the run repeatable, and its figures."""
    market, result = outcome.market, outcome.result
    window = market.bars.slice(result.start, None)
    seen = (market, *(() if outcome.scored is None else outcome.scored.others))
    return {
        "run": outcome.run_id,
        "command": "backtest",
        "created": utc(workspace.clock()),
        "market": market.name,
        "symbol": market.bars.symbol,
        "timeframe": str(market.bars.timeframe),
        "exchange": workspace.config.data.exchange,
        "is_synthetic": market.is_synthetic,
        "bars": len(market.bars),
        "first_bar": utc(market.bars.open_time[0]),
        "trading_from": utc(window.open_time[0]),
        "until": utc(market.stop_ms),
        "from_ms": min(int(one.bars.open_time[0]) for one in seen),
        "to_ms": max(one.stop_ms for one in seen),
        "gaps": {"policy": workspace.config.data.gaps, "missing": market.missing},
        "data_fingerprint": market.fingerprint,
        "inputs": dict(outcome.inputs),
        "config_hash": config_hash(workspace.config),
        "project": str(workspace.config.folder.resolve()),
        "include_holdout": workspace.include_holdout,
        "holdout_seen": market.holdout_seen,
        "strategy": strategy_told(workspace.config, outcome.settings),
        "models": models_told(workspace.config, _graded(outcome)),
        "score_columns": list(outcome.scores),
        "stepping": {"how": result.stepped, "visited": result.visited, "why_not_sparse": result.why_not_sparse},
        "metrics": outcome.metrics.to_dict(),
        "buy_and_hold": outcome.hold.metrics.to_dict(),
        "break_even_bps": outcome.edge.break_even_bps,
        "unsettled_bars": outcome.scenarios.unsettled,
        "rejected": len(result.rejected),
        "blocked_entries": dict(result.blocked),
        "notes": [text for text, _ in notes(workspace.config, outcome)],
    }


def summary(outcome: Outcome, *, is_free: bool) -> str:
    """One honest sentence."""
    own, hold = outcome.metrics, outcome.hold.metrics
    window = outcome.market.bars.slice(outcome.result.start, None)
    kind = "synthetic bars" if outcome.market.is_synthetic else "real bars"
    made = "made" if own.total_return > 0 else "lost" if own.total_return < 0 else "made nothing:"
    share = percent(abs(own.total_return), signed=False)
    costs = "at zero cost" if is_free else "after costs"
    trades = f"{own.trades:,} trade" + ("" if own.trades == 1 else "s")
    return (
        f"{utc(window.open_time[0])[:10]} to {utc(window.close_time[-1])[:10]} on {kind}: the strategy {made} {share} "
        f"{costs} in {trades}; buy-and-hold returned {percent(hold.total_return)}, cash 0 %."
    )


def strategy_told(config: Config, settings: Mapping[str, Any]) -> dict[str, object]:
    """Name the strategy and its settings."""
    return {"name": config.strategy.name, **{key: _plain(value) for key, value in settings.items()}}


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _graded(outcome: Outcome) -> list[Graded]:
    several = len(outcome.walked) > 1
    return [
        Graded(walked.column if several else "", walked, quality)
        for walked, quality in zip(outcome.walked, outcome.qualities, strict=True)
    ]


def market_panel(bars: Bars, start: int, scores: Mapping[str, ScoreSource], settings: Mapping[str, Any]) -> MarketPanel:
    """Show one symbol's bars from the first that counted, its scores, and the thresholds they are compared with."""
    thresholds = {
        word: float(settings.get(key, math.nan)) for word, key in (("buy", "buy_threshold"), ("sell", "sell_threshold"))
    }
    known = {word: value for word, value in thresholds.items() if math.isfinite(value)}
    lines = tuple(ScoreLine(name, source.batch()[start:], known) for name, source in scores.items())
    return MarketPanel(bars.slice(start, None), lines)


def shifted(trades: Sequence[Trade], start: int) -> tuple[Trade, ...]:
    """Count the bars of trades from the first bar that is shown."""
    return tuple(t._replace(entry_bar=t.entry_bar - start, exit_bar=t.exit_bar - start) for t in trades)


def two_orders(cases: Sequence[Ambiguity], own: Metrics, other: Metrics | None, quote: str) -> Table | None:
    """Set the two orders of events inside the bar side by side, where there were two runs."""
    if other is None:
        return None
    assumed = next(case.taken for case in cases if not case.settled)
    names = (
        ("Stop first (headline)", "Target first") if assumed == "stop" else ("Target first (headline)", "Stop first")
    )
    return comparison(names, (own, other), currency=quote)


def ambiguous_bars(cases: Sequence[Ambiguity], bars_of: Mapping[str, Bars]) -> Table | None:
    """List the bars that touched both legs; ``bars_of`` has each symbol's bars, those of an only one under ``""``."""
    if not cases:
        return None
    several = "" not in bars_of
    rows = tuple(
        (
            *((case.symbol,) if several else ()),
            utc(bars_of[case.symbol if several else ""].open_time[case.bar]),
            f"{case.stop:g}",
            f"{case.target:g}",
            case.taken,
            "finer bars" if case.settled else "assumption",
        )
        for case in cases[:200]
    )
    return Table((*(("symbol",) if several else ()), "bar", "stop", "target", "taken", "known from"), rows)


def refusals(rejected: Sequence[Rejection]) -> tuple[tuple[str, int], ...]:
    """Count refused orders by reason and kind."""
    return tuple(Counter(f"{one.reason}: {_kind(one.why)}" for one in rejected).most_common(8))


def _kind(why: str) -> str:
    """Shorten a refusal to its kind, so that refusals can be counted."""
    for word in ("minimum", "cash", "started", "quantity is 0"):
        if word in why:
            return {"minimum": f"{why.partition(' ')[0]} below the minimum", "cash": "not enough cash"}.get(word, why)
    return why
