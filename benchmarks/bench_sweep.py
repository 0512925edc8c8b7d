"""CPU seconds of searching thresholds on a year of 1m bars: itb's sweep beside the obvious ways to do it.

Scores are cached; a trial is one pair of thresholds of about 2,000 fills, with fees, slippage and sizing by equity. itb
gives Sharpe and total return of fills that are backtrader's own; a loop of ``vectorbt.Portfolio.from_signals`` (pandas
in, percent of cash, total return) and a loop over the rows of a data frame give less. Memory is the peak of the process
before vectorbt is imported.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python benchmarks/bench_sweep.py` looks beside this file only

from benchmarks.bench_engine import YEAR_OF_MINUTES, make_market  # noqa: E402 - after the path is set
from itb.engine.venue import Venue  # noqa: E402
from itb.market.bars import Bars  # noqa: E402
from itb.market.costs import Costs  # noqa: E402
from itb.market.instrument import Instrument  # noqa: E402
from itb.optimize.sweep import Sweep  # noqa: E402
from itb.strategies.ml_threshold import ThresholdSettings  # noqa: E402

TRIALS, SIDE = 500, 50
ASKED = ("sharpe", "total_return")
COSTS = Costs(taker_fee_bps=2.0, maker_fee_bps=2.0, slippage_bps=0.0)
STOP = 0.01


@dataclass(frozen=True)
class Timed:
    """CPU milliseconds a trial, how many were run, and fills a trial."""

    title: str
    ms: float
    trials: int
    fills: float


def timed(title: str, trials: list[ThresholdSettings], run: Callable[[ThresholdSettings], int]) -> Timed:
    """Run trials one after the other, after one that does not count."""
    run(trials[0])
    begun = time.process_time()
    fills = [run(trial) for trial in trials]
    return Timed(title, (time.process_time() - begun) / len(trials) * 1e3, len(trials), float(np.mean(fills)))


def thresholds(count: int, **settings: Any) -> list[ThresholdSettings]:
    """Draw pairs of thresholds that cross about a thousand times in the year."""
    drawn = np.random.default_rng(11).uniform(1.7, 2.3, (count, 2))
    return [ThresholdSettings(buy_threshold=float(buy), sell_threshold=-float(sell), **settings) for buy, sell in drawn]


def print_table(rows: list[Timed]) -> None:
    print(f"{'':<58}{'ms a trial':>11}{'ratio':>8}{'trials':>8}{'fills':>8}")
    for row in rows:
        ratio = f"{row.ms / rows[0].ms:7.1f}x"
        print(f"{row.title:<58}{row.ms:11.2f}{ratio}{row.trials:8,}{row.fills:8,.0f}", flush=True)


def from_signals(bars: Bars, score: np.ndarray, **stops: Any) -> Callable[[ThresholdSettings], int]:
    """One `Portfolio.from_signals` a trial, as vectorbt's own documentation does it."""
    import pandas as pd
    import vectorbt as vbt

    index = pd.to_datetime(bars.open_time, unit="ms")
    close, opened, high, low = (
        pd.Series(values, index) for values in (bars.close, bars.open, bars.high, bars.low)
    )  # fmt: skip
    scores = pd.Series(score, index)
    prices = {"open": opened, "high": high, "low": low} if stops else {}

    def run(trial: ThresholdSettings) -> int:
        entries = (scores >= trial.buy_threshold).shift(1, fill_value=False)
        exits = (scores <= trial.sell_threshold).shift(1, fill_value=False)
        portfolio = vbt.Portfolio.from_signals(
            close, entries, exits, price=opened, size=trial.fraction, size_type="percent", fees=COSTS.taker_fee,
            freq="1min", engine="rust", **prices, **stops,
        )  # fmt: skip
        portfolio.total_return()
        return len(portfolio.order_records)

    return run


def row_by_row(bars: Bars, score: np.ndarray) -> Callable[[ThresholdSettings], int]:
    """Go over the rows of a data frame, with equity at every close for the Sharpe ratio."""
    import pandas as pd

    frame = pd.DataFrame({"open": bars.open, "close": bars.close, "score": score})

    def run(trial: ThresholdSettings) -> int:
        cash, held, fills, wanted = 1e6, 0.0, 0, 0
        equity = []
        fee = COSTS.taker_fee
        row: Any
        for row in frame.itertuples(index=False):
            if wanted > 0 and not held:
                held = trial.fraction * cash / (row.open * (1 + fee))
                cash -= held * row.open * (1 + fee)
                fills += 1
            elif wanted < 0 and held:
                cash += held * row.open * (1 - fee)
                held, fills = 0.0, fills + 1
            wanted = 1 if row.score >= trial.buy_threshold else -1 if row.score <= trial.sell_threshold else 0
            equity.append(cash + held * row.close)
        daily = np.diff(np.log(equity[1439::1440]))
        _ = daily.mean() / daily.std() * np.sqrt(365), equity[-1] / 1e6 - 1
        return fills

    return run


def main(bars: int = YEAR_OF_MINUTES, trials: int = TRIALS) -> None:
    market = make_market(bars)
    columns = {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume")}
    data = Bars.of("BTC/USDT", "1m", market.open_time, **columns)
    venue = Venue(costs=COSTS, instrument=Instrument("BTC/USDT"))

    def sweep(settings: ThresholdSettings) -> int:
        return len(one.run(settings, ASKED).books.bar)

    print(f"{bars:,} synthetic 1m bars, one score column, fee {COSTS.taker_fee_bps:g} bps, long only")
    one = Sweep(data, market.score, venue=venue, cash=1e6)
    plain = timed("itb sweep: sizing, step, Sharpe and total return", thresholds(trials), sweep)
    protected = timed("itb sweep with a stop-loss of 1 %", thresholds(trials, stop_loss=STOP), sweep)
    both = timed(
        "itb sweep with stop-loss 1 % and take-profit 2 %", thresholds(trials, stop_loss=STOP, take_profit=0.02), sweep
    )
    refused = sum(one.causes.values())
    begun = time.process_time()
    for buy in np.linspace(1.5, 2.5, SIDE):
        for sell in np.linspace(-2.5, -1.5, SIDE):
            sweep(ThresholdSettings(buy_threshold=float(buy), sell_threshold=float(sell)))
    grid = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    slow = thresholds(trials)[: max(2, trials // 100)]
    loop = timed("a loop over the rows of a data frame", slow, row_by_row(data, market.score))
    usual = timed("vectorbt Portfolio.from_signals", thresholds(max(2, trials // 10)), from_signals(data, market.score))
    stopped = timed(
        "vectorbt Portfolio.from_signals with a stop-loss of 1 %",
        thresholds(max(2, trials // 10)),
        from_signals(data, market.score, sl_stop=STOP),
    )
    print()
    print_table([plain, usual, loop])
    print()
    print_table([protected, stopped, both])
    print(f"\nleft to backtrader: {refused} of {3 * trials} trials")
    print(f"grid of {SIDE} x {SIDE} thresholds: {grid:.2f} s CPU; peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:3]))
