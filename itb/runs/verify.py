"""`itb verify`: the configured strategy by the sweep and by backtrader, which must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.charts.data import Table
from itb.errors import ConfigError
from itb.optimize.parity import Confirmation, confirm
from itb.optimize.sweep import Sweep
from itb.runs.capsule import new_run_id
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.said import Said
from itb.runs.strategy import choose_strategy
from itb.runs.venue import build_venue
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from itb.runs.workspace import Workspace


def verify(workspace: Workspace) -> Said:
    """Compare fills and equity of sweep and backtrader on every symbol; ``found`` when they differ anywhere."""
    symbols = workspace.config.data.symbols
    done = {symbol: _confirmed(workspace, symbol) for symbol in symbols}
    rows = tuple((symbol, *_worded(one)) for symbol, one in done.items())
    found = any(not one.agrees for one in done.values())
    data = {
        symbol: {
            "equal": one.agrees,
            "fills": len(one.confirmed.fills),
            "evaluated_by": "backtrader" if one.screened.refused else "vectorbt",
            "refused": str(one.screened.refused) if one.screened.refused else None,
            "difference": one.difference or None,
            "bar": one.bar if one.bar >= 0 else None,
        }
        for symbol, one in done.items()
    }
    verdict = "the sweep is not what backtrader does: a mistake of itb's own, please report it"
    lines = (verdict,) if found else ()
    return Said(data, lines, Table(("symbol", "result", "fills", "evidence"), rows), found)


def _confirmed(workspace: Workspace, symbol: str) -> Confirmation:
    config = workspace.config
    run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
    market = load_market(workspace, symbol, run_id=run_id, command="verify")
    chosen = choose_strategy(workspace, market.bars)
    if chosen.strategy is not MLThreshold:
        told = f"{config.strategy.name!r} runs in backtrader alone; the sweep knows MLThreshold: nothing to compare"
        raise ConfigError(config.complaint(("strategy", "name"), told))
    scored = score_columns(workspace, market)
    (column,) = chosen.columns
    source, start_ms = scored.scores[column], scored.first_score(chosen.columns)
    workspace.report(0, 1, "comparing sweep and backtrader")
    settings = ThresholdSettings(**chosen.settings)
    sweep = Sweep(
        market.bars, source.batch(), int(market.bars.open_time.searchsorted(start_ms)), build_venue(config, market),
        config.backtest.cash, (source.low, source.high), chosen.protections,
    )  # fmt: skip
    found = confirm(sweep, settings)
    workspace.report(1, 1, "comparing sweep and backtrader")
    return found


def _worded(one: Confirmation) -> tuple[str, ...]:
    count = f"{len(one.confirmed.fills):,}"
    if one.screened.refused is not None:
        return "backtrader", count, f"the sweep leaves this to backtrader: {one.screened.refused}"
    if one.agrees:
        return "equal", count, "the same fills at the same bars, the same equity at every close, to 1e-9"
    return "different", count, one.difference
