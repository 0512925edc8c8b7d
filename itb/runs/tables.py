"""What a run leaves behind, as Arrow tables: the same run gives the same tables, byte for byte."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, get_type_hints

import pyarrow as pa

from itb.backtest.result import OrderRecord
from itb.ledger.trades import Trade
from itb.market.fills import Fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.backtest.result import BacktestResult
    from itb.indicators.score import ScoreSource

_TYPES = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def run_tables(result: BacktestResult, scores: Mapping[str, ScoreSource]) -> dict[str, pa.Table]:
    """Give the run's ``scores``, ``trades``, ``fills``, ``orders`` and ``equity``; times are bar opens, ms UTC."""
    stamp = pa.array(result.bars.open_time).cast(pa.timestamp("ms", "UTC"))
    account = {"cash": result.cash, "position": result.position, "equity": result.equity}
    tables = {
        "trades": _rows([trade._asdict() for trade in result.trades], Trade),
        "fills": _rows([asdict(fill) for fill in result.fills], Fill),
        "orders": _rows([asdict(order) for order in result.orders], OrderRecord),
        "equity": pa.table({"timestamp": stamp, **{name: pa.array(values) for name, values in account.items()}}),
    }
    if scores:
        columns = {name: pa.array(source.batch()) for name, source in scores.items()}
        tables["scores"] = pa.table({"timestamp": stamp, **columns})
    return tables


def _rows(rows: list[dict[str, object]], kind: type) -> pa.Table:
    hints = get_type_hints(kind)
    schema = pa.schema([(name, _TYPES.get(hint, pa.string())) for name, hint in hints.items()])
    return pa.Table.from_pylist(rows, schema=schema)
