"""itb: MLThreshold on its own engine, to fills, trades and every figure of a report."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.child import Market, Outcome, Task, serve
from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.ledger.breakeven import slippage_paid
from itb.ledger.metrics import compute
from itb.market.bars import OHLCV, Bars
from itb.market.costs import Costs
from itb.strategies.ml_threshold import MLThreshold


def settings(task: Task) -> dict[str, Any]:
    return {
        "buy_threshold": task.buy,
        "sell_threshold": task.sell,
        "fraction": task.fraction,
        "cushion": task.cushion,
        "stop_loss": task.stop_loss,
        "take_profit": task.take_profit,
        "protection_from": task.protection_from,
    }


def feed(market: Market) -> tuple[Bars, dict[str, ArrayScores]]:
    columns = {name: getattr(market, name) for name in OHLCV}
    bars = Bars.of("BTC/USDT", "1m", market.open_time, **columns)
    return bars, {"score": ArrayScores("score", bars.open_time, market.score)}


def load(market: Market, task: Task) -> tuple[Any, ...]:
    bps = task.fee * 10_000
    venue = Venue(costs=Costs(taker_fee_bps=bps, maker_fee_bps=bps, slippage_bps=0))
    return Backtest(MLThreshold, settings(task), task.cash, venue), *feed(market)


def run(loaded: Any) -> Any:
    backtest, bars, scores = loaded
    result = backtest.run(bars, scores)
    figures = compute(
        bars,
        result.equity,
        result.position,
        result.fills,
        result.trades,
        start_cash=result.starting_cash,
        start_bar=result.start,
        slippage=slippage_paid(result.fills, result.market_prices),
    )
    return result, figures


def tell(made: Any) -> Outcome:
    result, figures = made
    assert result.stepped == "sparse", result.why_not_sparse
    assert figures.fills == len(result.fills)
    fills = np.array([(fill.bar, fill.qty, fill.price, fill.fee) for fill in result.fills])
    return Outcome(len(fills), result.end_value, fills, result.cash, result.equity)


if __name__ == "__main__":
    serve(load, run, tell)
