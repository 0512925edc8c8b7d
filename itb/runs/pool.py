"""Pooled training: one model on the rows of every configured symbol, the scores of each symbol apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.config.columns import columns
from itb.config.dump import config_hash
from itb.runs.capsule import new_run_id
from itb.runs.deep import is_deep
from itb.runs.market import load_market
from itb.runs.training_tables import training_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.mlmodels.pooled import Pool
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Pooled:
    """The configured symbols' bars, and a pool of their rows for each score column that is learned from rows."""

    markets: Mapping[str, Market]
    pools: tuple[Pool, ...]

    def others(self, symbol: str) -> tuple[Market, ...]:
        """Give the markets beside one."""
        return tuple(market for name, market in self.markets.items() if name != symbol)


def is_pooled(workspace: Workspace) -> bool:
    """Whether the config asks for pooled training and has coins to pool."""
    return workspace.config.training.pooled and len(workspace.config.data.symbols) > 1


def pooled(workspace: Workspace, market: Market) -> Pooled:
    """Load the other symbols and put the rows of all between each other, once for a command."""
    key = ("pool", config_hash(workspace.config), workspace.window, workspace.include_holdout)
    if key not in workspace.memo:
        workspace.memo[key] = _pooled(workspace, market)
    found: Pooled = workspace.memo[key]
    return found


def _pooled(workspace: Workspace, market: Market) -> Pooled:
    from itb.mlmodels.pooled import Pool

    config, learned = workspace.config, [one for one in columns(workspace.config) if not is_deep(one)]
    markets, tables = {}, {}
    for done, symbol in enumerate(config.data.symbols):
        workspace.report(done, len(config.data.symbols), f"computing features of {symbol}")
        run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
        is_this = symbol == market.bars.symbol
        markets[symbol] = (
            market if is_this else load_market(workspace, symbol, run_id=run_id, command="pooled training")
        )
        tables[symbol] = training_tables(config, markets[symbol].bars, learned)
    pools = tuple(Pool({symbol: tables[symbol][place] for symbol in tables}) for place in range(len(learned)))
    return Pooled(markets, pools)
