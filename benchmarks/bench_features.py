"""What features cost beside bare TA-Lib calls and pandas rolling windows; print the ratios.

Run with ``python benchmarks/bench_features.py [BARS]`` (525,600 by default: a year of minutes). CPU seconds of this
process, the least of three.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.feature_set import FeatureSet
from itb.indicators.rolling_stats import RollingStats
from itb.indicators.talib_features import TalibFeatures
from itb.market.bars import Bars

WINDOWS = (5, 10, 20, 30, 60, 90, 120, 180, 240, 360)
CLOSE_ONLY = ("SMA", "EMA", "STDDEV", "RSI", "ROC", "LINEARREG_SLOPE", "MAX")
HIGH_LOW_CLOSE = ("ATR", "WILLR", "CCI")


def cpu_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    best = float("inf")
    for _ in range(repeats):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def bare(bars: Bars) -> object:
    import talib

    out = np.empty((100, len(bars)), dtype=np.float32)
    close, high, low = bars.close, bars.high, bars.low
    row = 0
    for name in CLOSE_ONLY + HIGH_LOW_CLOSE:
        function = getattr(talib, name)
        arrays = (close,) if name in CLOSE_ONLY else (high, low, close)
        for window in WINDOWS:
            out[row] = function(*arrays, timeperiod=window)
            row += 1
    return out


def line(what: str, seconds: float, beside: str = "") -> None:
    print(f"{what:<58}{seconds * 1000:10.1f} ms  {beside}")


def talib_features(bars: Bars) -> None:
    features = FeatureSet((TalibFeatures(CLOSE_ONLY + HIGH_LOW_CLOSE, windows=WINDOWS),))
    plain = cpu_seconds(lambda: bare(bars))
    ours = cpu_seconds(lambda: features.compute(bars))
    line("100 TA-Lib columns to float32, bare calls, column-major", plain)
    line("100 TA-Lib columns, FeatureSet.compute, row-major", ours, f"{ours / plain:.2f}x bare")
    relative = FeatureSet((TalibFeatures(CLOSE_ONLY + HIGH_LOW_CLOSE, windows=WINDOWS, relative="close"),))
    theirs = cpu_seconds(lambda: relative.compute(bars))
    line("the same, relative to the close", theirs, f"{theirs / plain:.2f}x bare")
    tail = cpu_seconds(lambda: [features.compute(bars.tail(1500)) for _ in range(20)]) / 20
    line("the same on the last 1,500 bars (a live step)", tail)


def rolling(bars: Bars) -> None:
    import pandas as pd

    frame = pd.Series(bars.close)
    window = frame.rolling(60)
    peers: dict[str, Callable[[], object]] = {
        "mean": window.mean,
        "std": window.std,
        "min": window.min,
        "skew": window.skew,
        "kurtosis": window.kurt,
        "rank": window.rank,
    }
    for name, peer in peers.items():
        feature = RollingStats((name,), (60,), ("close",))
        ours, theirs = cpu_seconds(partial(feature, bars)), cpu_seconds(peer)
        line(f"rolling {name} of 60", ours, f"{ours / theirs:.2f}x pandas ({theirs * 1000:.1f} ms)")
    every = ("mean", "std", "skew", "kurtosis", "zscore")
    together = RollingStats(every, (60,), ("close",))
    ours = cpu_seconds(lambda: together(bars))
    theirs = sum(cpu_seconds(peer) for peer in (window.mean, window.std, window.skew, window.kurt))
    line("rolling mean, std, skew, kurtosis, zscore together", ours, f"{ours / theirs:.2f}x pandas (without zscore)")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 525_600
    market = SyntheticMarket(bars=count, timeframe="1m")
    market.bars()
    line(f"synthetic market, {count:,} bars", cpu_seconds(market.bars))
    line("synthetic market, 1,000,000 bars", cpu_seconds(SyntheticMarket(bars=1_000_000, timeframe="1m").bars))
    print(
        f"attainable information coefficient: {market.attainable_ic():.4f} (nominal {market.information_coefficient})"
    )
    bars = market.bars()["BTC/USDT"]
    talib_features(bars)
    rolling(bars)
    features = FeatureSet((DefaultFeatures(flow=True),))
    line(f"default features: {len(features.names)} columns", cpu_seconds(lambda: features.compute(bars)))
    recent = cpu_seconds(lambda: [features.tail(bars) for _ in range(20)]) / 20
    line(f"default features, one live step (warm-up {features.warmup} bars)", recent)


if __name__ == "__main__":
    main()
