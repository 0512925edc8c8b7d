"""`itb shadows`: several trigger rules side by side on one stream of scores, each symbol by its own thresholds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Table
from itb.charts.wording import number, percent
from itb.config import stages as configured
from itb.errors import ConfigError
from itb.market.bars import utc
from itb.market.costs import BPS
from itb.mlmodels.files import write_whole
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.promotion import bootstrap_interval
from itb.mlmodels.stages.flags import ThresholdFlags
from itb.mlmodels.thresholds import SideThresholds
from itb.mlmodels.thresholds.shadow import ShadowTrades, in_turn, shadow_trades
from itb.runs.looks import earlier_looks, enter_look, look_note
from itb.runs.model import score_columns
from itb.runs.outputs import series_name
from itb.runs.refine import score_column
from itb.runs.said import Said
from itb.runs.steps import facts_of, markets, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from itb.mlmodels.stages.flags import FlagWalk
    from itb.runs.market import Market
    from itb.runs.scored import ScoredMarket
    from itb.runs.workspace import Workspace

_CONFIDENCE, _RESAMPLES, _SEED, _LEAST_BLOCKS = 0.95, 1000, 0, 8


@dataclass(frozen=True, eq=False)
class Shadow:
    """What one trigger rule would have done with one symbol."""

    trigger: str
    walk: FlagWalk
    trades: ShadowTrades
    hold: int
    tranches: int = 0

    @property
    def figures(self) -> dict[str, Any]:
        """Counts and means; the interval is for the mean of trades that overlap, by a block bootstrap.

        Of few trades there is none: blocks as long as the trades overlap would hold nearly all of them.
        """
        trades = self.trades
        low = high = float("nan")
        if len(trades) >= _LEAST_BLOCKS * self.hold:
            low, high = bootstrap_interval(trades.profit, self.hold, _CONFIDENCE, _RESAMPLES, _SEED)
        alone = trades.profit[trades.is_alone]
        taken = trades.profit[in_turn(trades.row, self.hold, self.tranches)] if self.tranches else None
        turns = {} if taken is None else {"tranche_trades": len(taken), "tranche_total": taken.sum() / self.tranches}
        return {
            "trigger": self.trigger,
            "triggers": len(trades),
            "mean": float(trades.profit.mean()) if len(trades) else float("nan"),
            "low": low,
            "high": high,
            "trades_alone": len(alone),
            "total_alone": float(alone.sum()),
            "blocks": len(self.walk.walked.fits) - 1,
            "silent_blocks": self.walk.silent,
            **turns,
        }


def shadows(workspace: Workspace, out: Path | None = None) -> Said:
    """Let every trigger rule trade on paper what the models said, and write each trade as a line of JSON.

    Thresholds are chosen, symbol by symbol, on what came before a block and hold for that block; a symbol that showed
    no edge is not traded. Each trade is held for the horizon of ``[thresholds]``. Figures are looks and are entered.
    """
    config = workspace.config
    if out is not None and out.suffix:
        raise ConfigError(f"--out: expected a folder for the event logs, was {out}")
    policies = configured.shadows(config)
    rows: list[tuple[str, ...]] = []
    lines: list[str] = []
    told = []
    for run_id, market in markets(workspace, "shadows"):
        scored = score_columns(workspace, market)
        found = [_shadow(workspace, scored, name, policy) for name, policy in policies.items()]
        notes = _entered(workspace, market, found, run_id)
        path = (out or workspace.runs / "shadows") / f"{series_name(workspace, market.bars.symbol)}.jsonl"
        write_whole(path, "".join(f"{json.dumps(event)}\n" for event in _events(market, found)).encode())
        rows += [(market.bars.symbol, *_row(one)) for one in found]
        lines += [f"{title(market)}: trades of {found[0].walk.column.name} in {path}", *(f"  {note}" for note in notes)]
        figures = [one.figures for one in found]
        told.append(
            {"run": run_id, **facts_of(workspace, market), "file": str(path), "shadows": figures, "notes": notes}
        )
    room = config.account.tranches
    head = (
        "symbol",
        "trigger",
        "trades",
        "mean after cost",
        "95 % interval",
        "one at a time",
        "their sum",
        *((f"in {room} tranches", "their return") if room else ()),
        "blocks without an edge",
    )
    return Said({"shadows": told}, tuple(lines), Table(head, tuple(rows)))


def _shadow(workspace: Workspace, scored: ScoredMarket, name: str, policy: Any) -> Shadow:
    config, bars = workspace.config, scored.market.bars
    wanted = configured.thresholds_column(config, scored.scores)
    walked = next((one for one in scored.walked if one.column == wanted), None)
    if walked is None:
        told = f'"{wanted}" is no column that a model has learned; name one of those'
        raise ConfigError(config.complaint(("thresholds", "column"), told))
    column, hold = score_column(config, scored, walked), configured.thresholds_horizon(config)
    section, timeframe = config.thresholds, config.data.timeframe
    lookback = 0 if section.lookback is None else section.lookback.bars(timeframe)
    flags = ThresholdFlags(policy, section.refit_every.bars(timeframe), lookback)
    found = flags.walk(column, FutureReturn(hold)(bars))
    sides = np.zeros(len(bars), dtype=np.int8)
    sides[found.first :] = found.walked.sides
    return Shadow(
        name,
        found,
        shadow_trades(sides, bars.open, hold, 2 * config.costs.one_way_bps * BPS),
        hold,
        config.account.tranches,
    )


def _events(market: Market, found: Sequence[Shadow]) -> Iterator[dict[str, Any]]:
    """Give what happened, in order of time: trades opened and closed, with score, threshold and trigger."""
    times, symbol = market.bars.open_time, market.bars.symbol
    events: list[tuple[int, int, int, dict[str, Any]]] = []
    for line, one in enumerate(found):
        scores, fits = one.walk.column.scores, one.walk.walked.fits
        starts = [one.walk.first + fit.start for fit in fits]
        for place, row in enumerate(one.trades.row.tolist()):
            rule = fits[int(np.searchsorted(starts, row, side="right")) - 1].rule
            side = int(one.trades.side[place])
            common = {"symbol": symbol, "trigger": one.trigger, "side": "long" if side > 0 else "short"}
            limit = (rule.buy if side > 0 else rule.sell) if isinstance(rule, SideThresholds) else None
            opened, closed = row + 1, row + 1 + one.hold
            entry, out, profit = (float(part[place]) for part in (one.trades.entry, one.trades.exit, one.trades.profit))
            start = {"prediction": float(scores[row]), "threshold": limit, "entry": entry}
            end = {"opened": utc(times[opened]), "entry": entry, "exit": out, "profit": profit}
            events.append((int(times[opened]), 1, line, {"event": "OPEN_TRADE", **common, **start}))
            events.append((int(times[closed]), 0, line, {"event": "CLOSE_TRADE", **common, **end}))
    for time, _, _, event in sorted(events, key=lambda entry: entry[:3]):
        yield {"time": utc(time), **event}


def _entered(workspace: Workspace, market: Market, found: Sequence[Shadow], run_id: str) -> list[str]:
    """Enter the look, and say what a reader of the figures must know."""
    seen = market.bars.slice(found[0].walk.first, None)
    looks = earlier_looks(workspace, market, seen)
    metrics: Mapping[str, float] = {
        f"{one.trigger}.{name}": value for one in found for name, value in one.figures.items() if name != "trigger"
    }
    enter_look(workspace, market, seen, run_id=run_id, command="shadows", metrics=metrics, trials=len(found))
    return [market.holdout.note, look_note(looks + len(found))[0]]


def _row(shadow: Shadow) -> tuple[str, ...]:
    one = shadow.figures
    silent = f"{one['silent_blocks']} of {one['blocks']}"
    if not one["triggers"]:
        return shadow.trigger, "0", "", "not traded", "", "", *(("", "") if shadow.tranches else ()), silent
    turns = (number(one["tranche_trades"], 0), percent(one["tranche_total"], 1)) if shadow.tranches else ()
    return (
        shadow.trigger,
        f"{one['triggers']:,}",
        percent(one["mean"], 3),
        f"{percent(one['low'], 3)} to {percent(one['high'], 3)}" if np.isfinite(one["low"]) else "too few",
        number(one["trades_alone"], 0),
        percent(one["total_alone"], 1),
        *turns,
        silent,
    )
