"""From an outcome to what a report says, in words and plain arrays."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import (
    Calibration,
    EquityCurve,
    FoldQuality,
    Importance,
    MarketPanel,
    Note,
    ReportData,
    ScoreLine,
    Table,
)
from itb.charts.metric_rows import comparison, costs_of, metric_rows
from itb.charts.wording import number, percent
from itb.config.columns import columns
from itb.config.dump import config_hash
from itb.market.bars import utc
from itb.runs.notes import notes
from itb.runs.venue import instrument

if TYPE_CHECKING:
    from itb.mlmodels.quality import ModelQuality
    from itb.mlmodels.result import WalkForwardResult
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
        markets=(MarketPanel(window, _score_lines(outcome)),),
        trades=_shifted(outcome),
        folds=_folds(outcome),
        calibrations=_calibrations(outcome),
        importances=_importances(outcome),
        quality=_quality(outcome),
        costs=costs_of(outcome.edge),
        scenarios=_scenarios(outcome, quote),
        ambiguous=_ambiguous(outcome),
        rejected=tuple(Counter(f"{r.reason}: {_kind(r.why)}" for r in result.rejected).most_common(8)),
        looks=outcome.looks + 1,
        manifest=told,
    )


def manifest(workspace: Workspace, outcome: Outcome) -> dict[str, Any]:
    """Write down what makes the run repeatable, and its figures."""
    market, result = outcome.market, outcome.result
    window = market.bars.slice(result.start, None)
    seen = (market, *(() if outcome.scored is None else outcome.scored.others))
    seeds = {column.name: column.seed for column in columns(workspace.config)} if outcome.walked else {}
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
        "strategy": {"name": workspace.config.strategy.name, **{k: _plain(v) for k, v in outcome.settings.items()}},
        "models": [
            {
                "column": walked.column,
                "fingerprint": walked.fingerprint,
                "seed": seeds.get(walked.column, workspace.config.stack.seed),
                "refits": len(walked.folds),
                "features": len(walked.table.feature_names),
                "skill": quality.pooled.sentence,
            }
            for walked, quality in zip(outcome.walked, outcome.qualities, strict=True)
        ],
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


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _score_lines(outcome: Outcome) -> tuple[ScoreLine, ...]:
    thresholds = {
        word: float(outcome.settings.get(key, math.nan))
        for word, key in (("buy", "buy_threshold"), ("sell", "sell_threshold"))
    }
    known = {word: value for word, value in thresholds.items() if math.isfinite(value)}
    start = outcome.result.start
    return tuple(ScoreLine(name, source.batch()[start:], known) for name, source in outcome.scores.items())


def _shifted(outcome: Outcome) -> tuple[Any, ...]:
    """Trades counted from the first bar that is shown."""
    start = outcome.result.start
    return tuple(t._replace(entry_bar=t.entry_bar - start, exit_bar=t.exit_bar - start) for t in outcome.result.trades)


def _folds(outcome: Outcome) -> tuple[FoldQuality, ...]:
    return tuple(
        _fold(walked, quality, walked.column if len(outcome.walked) > 1 else "")
        for walked, quality in zip(outcome.walked, outcome.qualities, strict=True)
    )


def _fold(walked: WalkForwardResult, quality: ModelQuality, column: str) -> FoldQuality:
    metric, pooled, base = quality.pooled.headline
    labels = tuple(utc(fold.entry.speaks_from)[:10] for fold in walked.folds)
    values = np.array([fold.headline[1] for fold in quality.folds], dtype=np.float64)
    return FoldQuality(metric, labels, values, base, pooled if math.isfinite(pooled) else None, column)


def _quality(outcome: Outcome) -> Table | None:
    """Set the columns' grades side by side, where there are several."""
    if len(outcome.qualities) < 2:
        return None
    rows = []
    for walked, quality in zip(outcome.walked, outcome.qualities, strict=True):
        name, value, _ = quality.pooled.headline
        margin = getattr(quality.pooled, "margin", math.nan)
        rows.append(
            (
                walked.column,
                name,
                number(value, 3) + (f" ± {number(margin, 3)}" if math.isfinite(margin) else ""),
                percent(quality.pooled.skill, 2) if math.isfinite(quality.pooled.skill) else "–",
                f"{quality.pooled.rows:,}",
                str(len(walked.folds)),
            )
        )
    return Table(("score column", "figure", "pooled", "skill", "rows", "refits"), tuple(rows))


def _calibrations(outcome: Outcome) -> tuple[Calibration, ...]:
    curves = [(quality.column, quality.calibration) for quality in outcome.qualities]
    return tuple(
        Calibration(column, curve.predicted, curve.observed, curve.counts) for column, curve in curves if curve
    )


def _importances(outcome: Outcome) -> tuple[Importance, ...]:
    kind = "share of total gain, mean over refits"
    named = len(outcome.walked) > 1
    return tuple(
        Importance(walked.table.feature_names, walked.importance, kind, walked.column if named else "")
        for walked in outcome.walked
    )


def _scenarios(outcome: Outcome, quote: str) -> Table | None:
    if outcome.other_metrics is None:
        return None
    assumed = next(case.taken for case in outcome.result.ambiguous if not case.settled)
    names = (
        ("Stop first (headline)", "Target first") if assumed == "stop" else ("Target first (headline)", "Stop first")
    )
    return comparison(names, (outcome.metrics, outcome.other_metrics), currency=quote)


def _ambiguous(outcome: Outcome) -> Table | None:
    cases = outcome.result.ambiguous
    if not cases:
        return None
    times = outcome.market.bars.open_time
    return Table(
        ("bar", "stop", "target", "taken", "known from"),
        tuple(
            (utc(times[c.bar]), f"{c.stop:g}", f"{c.target:g}", c.taken, "finer bars" if c.settled else "assumption")
            for c in cases[:200]
        ),
    )


def _kind(why: str) -> str:
    """Shorten a refusal to its kind, so that refusals can be counted."""
    for word in ("minimum", "cash", "started", "quantity is 0"):
        if word in why:
            return {"minimum": f"{why.partition(' ')[0]} below the minimum", "cash": "not enough cash"}.get(word, why)
    return why
