"""What a run leaves behind, as Arrow tables: the same run gives the same tables, byte for byte."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, get_type_hints

import pyarrow as pa

from itb.backtest.result import OrderRecord
from itb.ledger.trades import Trade
from itb.market.fills import Fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.backtest.result import BacktestResult, SharedResult
    from itb.backtest.run import TradedMarket
    from itb.indicators.score import ScoreSource
    from itb.market.bars import Bars, FloatArray

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


def shared_tables(result: SharedResult, traded: Sequence[TradedMarket]) -> dict[str, pa.Table]:
    """Give the tables of several symbols on one account: those of a run, and ``positions`` symbol by symbol.

    In ``positions`` and ``scores`` each symbol follows the one before it, at its own bars. ``equity`` there is the
    account as if it had held nothing but this symbol.
    """
    stamp = pa.array(result.clock.open_time).cast(pa.timestamp("ms", "UTC"))
    account = {"cash": result.cash, "open_trades": result.held, "equity": result.equity}
    tables = {
        "trades": _rows([trade._asdict() for trade in result.trades], Trade),
        "fills": _rows([asdict(fill) for fill in result.fills], Fill),
        "orders": _rows([asdict(order) for order in result.orders], OrderRecord),
        "equity": pa.table({"timestamp": stamp, **{name: pa.array(values) for name, values in account.items()}}),
        "positions": _stacked(
            {
                symbol: (part.bars, {"position": part.position, "equity": part.equity})
                for symbol, part in result.parts.items()
            }
        ),
    }
    if any(one.scores for one in traded):
        scores = {
            one.bars.symbol: (one.bars, {name: source.batch() for name, source in one.scores.items()}) for one in traded
        }
        tables["scores"] = _stacked(scores)
    return tables


def _stacked(parts: Mapping[str, tuple[Bars, Mapping[str, FloatArray]]]) -> pa.Table:
    """Put the columns of symbols one below the other, with the time and the symbol in front."""
    return pa.concat_tables(
        pa.table(
            {
                "timestamp": pa.array(bars.open_time).cast(pa.timestamp("ms", "UTC")),
                "symbol": pa.array([symbol] * len(bars), pa.string()),
                **{name: pa.array(values, pa.float64()) for name, values in columns.items()},
            }
        )
        for symbol, (bars, columns) in parts.items()
    ).combine_chunks()


def _rows(rows: list[dict[str, object]], kind: type) -> pa.Table:
    hints = get_type_hints(kind)
    schema = pa.schema([(name, _TYPES.get(hint, pa.string())) for name, hint in hints.items()])
    return pa.Table.from_pylist(rows, schema=schema)
