"""What a backtest of many coins on one account costs, beside stock backtrader with the same strategy and feeds.

Run with ``python benchmarks/bench_several.py [STEPS]`` (100,000 by default; takes a minute). Ten synthetic coins of 15
minutes with gaps trade one account by smooth random scores. CPU seconds, user and system, from arrays in memory to a
finished result. Fills and the account must be the same at every step, or this fails.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
from scipy.signal import lfilter

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from itb.backtest.run import Backtest, TradedMarket  # noqa: E402 - after the path is set
from itb.datafeeds.synthetic import SyntheticMarket  # noqa: E402
from itb.engine.feed import BarsFeed  # noqa: E402
from itb.engine.venue import Venue  # noqa: E402
from itb.indicators.score import ArrayScores  # noqa: E402
from itb.market.bars import Bars  # noqa: E402
from itb.market.costs import Costs  # noqa: E402
from itb.strategies.allocation import Allocation  # noqa: E402
from itb.strategies.ml_threshold import MLThreshold  # noqa: E402

COINS = 10
CASH = 1e6
SETTINGS = {
    "buy_threshold": 1.5,
    "sell_threshold": -0.5,
    "protection_from": "next_bar",
    "allocation": Allocation(max_open_trades=6),
}


def make_markets(steps: int, seed: int = 7) -> list[TradedMarket]:
    """Draw coins with gaps, one listed late, and a score for each (half-life about 20 bars)."""
    names = tuple(f"C{place}/USDT" for place in range(COINS))
    rng = np.random.default_rng(seed)
    made = SyntheticMarket(symbols=names, bars=steps, timeframe="15m", seed=seed).bars()
    markets = []
    for place, (name, bars) in enumerate(made.items()):
        keep = rng.random(steps) > 1e-4 * place
        keep[: steps // 5 if place == COINS - 1 else 0] = False
        part = Bars.of(name, "15m", bars.open_time[keep], **{key: bars[key][keep] for key in bars.columns})
        score = lfilter([2 / 31], [1, 2 / 31 - 1], rng.normal(size=len(part)))
        markets.append(TradedMarket(part, {"s": ArrayScores("s", part.open_time, score / score.std())}))
    return markets


class Listening(bt.Analyzer):
    """What backtrader itself says happened."""

    def start(self) -> None:
        self.fills: list[Any] = []
        self.values: list[tuple[float, float]] = []

    def notify_order(self, order: Any) -> None:
        bits = order.executed.iterpending()
        self.fills.extend((order.data._name, len(order.data) - 1, bit.size, bit.price) for bit in bits)

    def notify_cashvalue(self, cash: float, value: float) -> None:
        self.values.append((cash, value))


def stock(markets: list[TradedMarket]) -> Any:
    """Run the same strategy class on the same feeds in backtrader as it comes."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(CASH)
    cerebro.broker.setcommission(0.001)
    cerebro.broker.set_checksubmit(False)
    for market in markets:
        cerebro.adddata(BarsFeed(bars=market.bars, scores=market.scores))
    cerebro.addstrategy(MLThreshold, **SETTINGS)
    cerebro.addanalyzer(Listening, _name="told")
    return cerebro.run()[0].analyzers.told


def cpu() -> float:
    return time.process_time()


def main(steps: int) -> None:
    markets = make_markets(steps)
    venue = Venue(Costs(10, 10, slippage_bps=0))
    Backtest(MLThreshold, SETTINGS, CASH, venue).run_shared(make_markets(1_000))  # warm-up
    begun = cpu()
    ours = Backtest(MLThreshold, SETTINGS, CASH, venue).run_shared(markets)
    sparse = cpu() - begun
    begun = cpu()
    dense = Backtest(MLThreshold, SETTINGS, CASH, venue, stepping="dense").run_shared(markets)
    dense_s = cpu() - begun
    begun = cpu()
    told = stock(markets)
    theirs = cpu() - begun
    fills = [(fill.symbol, fill.bar, fill.qty, fill.price) for fill in ours.fills]
    assert fills == told.fills == [(fill.symbol, fill.bar, fill.qty, fill.price) for fill in dense.fills]
    assert list(zip(ours.cash.tolist(), ours.equity.tolist(), strict=True)) == told.values
    closed = sum(not trade.is_open for trade in ours.trades)
    print(f"{COINS} coins, {len(ours.clock):,} steps, {closed:,} trades; {ours.visited:,} steps visited")
    print(f"{'itb, sparse stepping':<28}{sparse:8.2f} s CPU")
    print(f"{'itb, dense stepping':<28}{dense_s:8.2f} s CPU")
    print(f"{'backtrader, same strategy':<28}{theirs:8.2f} s CPU, {theirs / sparse:.1f} times as long as sparse")
    print("fills, cash and value are the same at every step, bit for bit")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
