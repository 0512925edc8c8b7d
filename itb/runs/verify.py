"""`itb verify`: the configured strategy by the sweep and by backtrader, which must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.charts.data import Table
from itb.errors import ConfigError
from itb.optimize.parity import Confirmation, confirm
from itb.optimize.shared_sweep import SharedSweep, SharedSweepResult, confirm_shared
from itb.optimize.sweep import Sweep
from itb.runs.capsule import new_run_id
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.said import Said
from itb.runs.strategy import choose_strategy
from itb.runs.venue import build_venue
from itb.strategies.allocation import Allocation
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.config import Config
    from itb.runs.market import Market
    from itb.runs.scored import ScoredMarket
    from itb.runs.strategy import ChosenStrategy
    from itb.runs.workspace import Workspace


_VERDICT = "the sweep is not what backtrader does: a mistake of itb's own, please report it"


def verify(workspace: Workspace) -> Said:
    """Compare fills and equity of sweep and backtrader on every symbol, or on all with one account.

    ``found`` when they differ anywhere.
    """
    symbols = workspace.config.data.symbols
    if workspace.config.account.shared:
        return _shared(workspace)
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
    lines = (_VERDICT,) if found else ()
    return Said(data, lines, Table(("symbol", "result", "fills", "evidence"), rows), found)


def _shared(workspace: Workspace) -> Said:
    """Compare them on all symbols, which trade one account."""
    config = workspace.config
    markets = [_market(workspace, symbol) for symbol in config.data.symbols]
    chosen = _threshold_strategy(workspace, markets)
    scored = [score_columns(workspace, market) for market in markets]
    start_ms = min(one.first_score(chosen.columns) for one in scored)
    workspace.report(0, 1, "comparing sweep and backtrader")
    sweeps = tuple(_sweep(config, one, chosen, start_ms) for one in scored)
    allocation = chosen.allocation or Allocation()
    found = confirm_shared(SharedSweep(sweeps, config.backtest.cash, allocation), ThresholdSettings(**chosen.settings))
    swept, difference = found.screened, found.difference
    assert isinstance(found.confirmed, SharedSweepResult)
    workspace.report(1, 1, "comparing sweep and backtrader")
    fills = {symbol: len(own) for symbol, own in found.confirmed.fills.items()}
    if swept.refused is not None:
        result, evidence = "backtrader", f"the sweep leaves this to backtrader: {swept.refused}"
    elif difference:
        result, evidence = "different", difference
    else:
        result, evidence = "equal", "the same fills of every symbol, the same equity at every step, to 1e-9"
    data = {
        "equal": not difference,
        "fills": fills,
        "evaluated_by": "backtrader" if swept.refused else "vectorbt",
        "refused": str(swept.refused) if swept.refused else None,
        "difference": difference or None,
    }
    row = (f"{len(markets)} symbols", result, f"{sum(fills.values()):,}", evidence)
    table = Table(("account", "result", "fills", "evidence"), (row,))
    return Said({"account": data}, (_VERDICT,) if difference else (), table, bool(difference))


def _confirmed(workspace: Workspace, symbol: str) -> Confirmation:
    market = _market(workspace, symbol)
    chosen = _threshold_strategy(workspace, [market])
    scored = score_columns(workspace, market)
    workspace.report(0, 1, "comparing sweep and backtrader")
    sweep = _sweep(workspace.config, scored, chosen, scored.first_score(chosen.columns))
    found = confirm(sweep, ThresholdSettings(**chosen.settings))
    workspace.report(1, 1, "comparing sweep and backtrader")
    return found


def _market(workspace: Workspace, symbol: str) -> Market:
    run_id = new_run_id(workspace.clock(), symbol, workspace.config.data.timeframe)
    return load_market(workspace, symbol, run_id=run_id, command="verify")


def _threshold_strategy(workspace: Workspace, markets: Sequence[Market]) -> ChosenStrategy:
    config, chosen = workspace.config, choose_strategy(workspace, *(market.bars for market in markets))
    if config.account.tranches:
        told = "the sweep trades one position at a time, so there is nothing to compare; leave it out"
        raise ConfigError(config.complaint(("account", "tranches"), told))
    if chosen.strategy is not MLThreshold:
        told = f"{config.strategy.name!r} runs in backtrader alone; the sweep knows MLThreshold: nothing to compare"
        raise ConfigError(config.complaint(("strategy", "name"), told))
    return chosen


def _sweep(config: Config, scored: ScoredMarket, chosen: ChosenStrategy, start_ms: int) -> Sweep:
    bars = scored.market.bars
    (column,) = chosen.columns
    source = scored.scores[column]
    return Sweep(
        bars, source.batch(), int(bars.open_time.searchsorted(start_ms)), build_venue(config, scored.market),
        config.backtest.cash, (source.low, source.high), chosen.protections,
    )  # fmt: skip


def _worded(one: Confirmation) -> tuple[str, ...]:
    count = f"{len(one.confirmed.fills):,}"
    if one.screened.refused is not None:
        return "backtrader", count, f"the sweep leaves this to backtrader: {one.screened.refused}"
    if one.agrees:
        return "equal", count, "the same fills at the same bars, the same equity at every close, to 1e-9"
    return "different", count, one.difference
