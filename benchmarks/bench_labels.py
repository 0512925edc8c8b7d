"""What labels cost on a year of 1m bars; print CPU seconds of each beside its plain definition, scaled up.

Run with ``python benchmarks/bench_labels.py [BARS]``. CPU seconds, the least of three. The baseline is the definition
as a loop over bars in Python (highlow2, topbot2) or one fitted line per window (trend_scan), measured on fewer bars and
scaled to all of them; where there is none, only our own time is shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.market.bars import OHLCV, Bars, FloatArray
from itb.mlmodels.labels import (
    FirstHit,
    FutureReturn,
    Gradient,
    HighLow,
    HighLow2,
    Label,
    MetaLabel,
    PeakDip,
    ScaledReturn,
    TopBot,
    TopBot2,
    TrendScan,
    TripleBarrier,
)

SYMBOL = "BTC/USDT"
HORIZON = 60


def least(work: Callable[[], object], repeats: int = 3) -> float:
    """Least CPU time of several runs."""
    best = float("inf")
    for _ in range(repeats):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def loop_highlow2(bars: Bars) -> FloatArray:
    """Which of two levels is reached first, bar after bar."""
    close, high, low = bars.close, bars.high, bars.low
    values = np.full(len(bars), np.nan)
    for t in range(len(bars) - HORIZON):
        far, near = close[t] * 1.01, close[t] * 0.998
        values[t] = 0.0
        for i in range(t + 1, t + 1 + HORIZON):
            if high[i] > far or low[i] < near:
                values[t] = float(high[i] > far)
                break
    return values


def intervals_topbot2(bars: Bars) -> FloatArray:
    """Tops by a list of intervals, with array operations inside an interval, as intelligent-trading-bot has it."""
    close, values = bars.close, np.zeros(len(bars))
    todo = [(0, len(close) - 1)]
    while todo:
        start, stop = todo.pop()
        top = start + int(close[start : stop + 1].argmax())
        sides = []
        for fraction in (0.01, 0.001):
            below = np.flatnonzero(close[start : stop + 1] < close[top] * (1 - fraction)) + start
            sides.append((below[below < top], below[below > top]))
        (left, right), (inner_left, inner_right) = sides
        if len(left) and len(right):
            values[inner_left[-1] + 1 : inner_right[0]] = 1
        if len(left):
            todo.append((start, int(left[-1])))
        if len(right):
            todo.append((int(right[0]), stop))
    return values


def polyfit_trend_scan(bars: Bars) -> FloatArray:
    """The surest of the lines from 20 to 60 closes, fitted one by one."""
    close, values = bars.close, np.full(len(bars), np.nan)
    for t in range(len(bars) - 59):
        best = 0.0
        for length in range(20, 61):
            x, y = np.arange(length), close[t : t + length]
            slope, level = np.polyfit(x, y, 1)
            rest = y - slope * x - level
            t_value = slope / np.sqrt(rest @ rest / (length - 2) / ((x - x.mean()) ** 2).sum())
            best = t_value if abs(t_value) > abs(best) else best
        values[t] = best
    return values


LABELS: list[tuple[Label, Callable[[Bars], FloatArray] | None, int]] = [
    (FutureReturn(HORIZON), None, 0),
    (ScaledReturn(HORIZON, 1440), None, 0),
    (HighLow("high", HORIZON), None, 0),
    (HighLow2("high", 1.0, HORIZON), loop_highlow2, 20_000),
    (TopBot("top", 0.02, 0.0025), None, 0),
    (TopBot2("top", 0.01, 0.1), intervals_topbot2, 0),
    (FirstHit(), None, 0),
    (PeakDip(), None, 0),
    (Gradient(60, 0.01), None, 0),
    (TripleBarrier(HORIZON, 1.0, 1.0, volatility_window=1440, touch="high_low"), None, 0),
    (MetaLabel("close", 0.01, HORIZON, 1.0, 1.0, change=60, volatility_window=1440), None, 0),
    (TrendScan(20, 60), polyfit_trend_scan, 300),
]


def main() -> None:
    length = int(sys.argv[1]) if len(sys.argv) > 1 else 525_600
    whole = SyntheticMarket(bars=length, timeframe="1m").bars()[SYMBOL]
    bars = Bars(whole.symbol, whole.timeframe, whole.open_time, {name: whole[name] for name in OHLCV})
    print(f"{length:,} bars of 1m, synthetic")
    print(f"{'label':<34}{'itb':>10}{'baseline':>14}{'ratio':>10}")
    for label, baseline, few in LABELS:
        part = bars.head(few) if few else bars
        ours = least(partial(label, bars))
        line = f"{label.name:<34}{ours:8.3f} s"
        if baseline is not None:
            theirs = least(partial(baseline, part), 1) * length / len(part)
            line += f"{theirs:12.1f} s{theirs / ours:8.0f} x"
        print(line, flush=True)


if __name__ == "__main__":
    main()
