"""What the feature families cost on a year of 1m bars; print CPU seconds of each, beside its definition per window.

Run with ``python benchmarks/bench_families.py [BARS]`` (525,600 by default). CPU seconds, the least of three. The
baselines are pandas' ``rolling().apply`` with numpy's function for each window, and a fitted line per window; they are
measured on fewer bars and scaled to all of them. Last the peak memory of this process, with most families side by side
on 1,000,000 bars.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.aggregates import Aggregates
from itb.indicators.condensed_aggregates import CondensedAggregates
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.depth import Depth
from itb.indicators.feature import Feature
from itb.indicators.feature_set import FeatureSet
from itb.indicators.fractional import FractionalDifference
from itb.indicators.itb_stats import ItbStats
from itb.indicators.klines import Klines
from itb.indicators.regression_condensed import RegressionCondensed
from itb.indicators.talib_features import TalibFeatures
from itb.market.bars import Bars, FloatArray

SYMBOL = "BTC/USDT"
WINDOWS = (5, 10, 20, 30, 60, 90, 120, 180, 240, 360)
FUNCTIONS = ("mean", "std", "fmax", "lsbm", "area", "slope")
STATISTICS = ItbStats(FUNCTIONS, WINDOWS)
OTHERS = (
    Klines((7, 14, 60, 180, 360), 1440, ("close_WMA", "volume_SMA", "span_SMA", "trades_SMA", "tb_base_SMA")),
    Depth(),
    RegressionCondensed(),
    Aggregates(),
    FractionalDifference((0.4,)),
)


def least(work: Callable[[], object], repeats: int = 3) -> float:
    """Least CPU time of several runs."""
    best = float("inf")
    for _ in range(repeats):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def families() -> dict[str, Feature]:
    return {
        "talib, 30 columns, rel_base next": TalibFeatures(
            ("SMA", "LINEARREG", "STDDEV"), WINDOWS, rel_base="next", rel_func="rel_diff", percentage=True
        ),
        "itbstats, 60 columns": STATISTICS,
        "itbstats, 40 columns of skew and kurtosis": ItbStats(
            ("scipy_skew", "scipy_kurtosis", "pandas_skew", "pandas_kurtosis"), WINDOWS
        ),
        "klines, 9 functions of 5 windows": Klines((5, 10, 60, 180, 360), 1440),
        "depth, 33 columns": Depth(),
        "regression_condensed, F2cond20": RegressionCondensed(),
        "regression_condensed, F3cond14": RegressionCondensed(normalised=True),
        "condensed_aggregates, F4CondAgg": CondensedAggregates(),
        "aggregates, F1agg110": Aggregates(),
        "fracdiff, order 0.4, weights to 1e-4": FractionalDifference((0.4,)),
        "fracdiff, order 0.4, weights to 1e-5": FractionalDifference((0.4,), threshold=1e-5),
    }


def market(count: int) -> Bars:
    bars = SyntheticMarket(bars=count, timeframe="1m").bars()[SYMBOL]
    rng = np.random.default_rng(0)
    return bars.with_columns(**{name: rng.lognormal(size=count) for name in Depth().inputs})


def longest_run(values: FloatArray) -> int:
    runs = [len(list(group)) for is_below, group in groupby(values < values.mean()) if is_below]
    return max(runs, default=0)


def statistics_by_window(bars: Bars) -> None:
    import pandas as pd

    close = pd.Series(bars.close)
    functions: dict[str, Callable[[FloatArray], Any]] = {
        "mean": np.mean,
        "std": np.std,
        "fmax": lambda x: np.argmax(x) / len(x),
        "lsbm": longest_run,
        "area": lambda x: (x - x[-1]).sum() / np.abs(x - x[-1]).sum(),
        "slope": lambda x: np.polyfit(np.arange(len(x)), x, 1)[0],
    }
    for name in FUNCTIONS:
        for window in WINDOWS:
            close.rolling(window).apply(functions[name], raw=True)


def lines_by_window(bars: Bars, rows: int) -> None:
    for row in range(len(bars) - rows, len(bars)):
        for window, offset in ((5, 0), (5, 5), (30, 0), (240, 0), (720, 0), (14_400, 0)):
            close = bars.close[row - offset - window + 1 : row - offset + 1]
            place = np.arange(window)
            line = np.polyval(np.polyfit(place, close, 1), place)
            if window in (30, 240, 720):
                for side in (close > line, close < line):
                    np.sqrt(((close[side] - close.mean()) ** 2).sum())


def show(what: str, ours: float, theirs: float | None = None) -> None:
    beside = f"   per window {theirs:9.0f} s   {theirs / ours:7.0f}x" if theirs else ""
    print(f"{what:<44}{ours:8.2f} s{beside}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 525_600
    bars = market(count)
    few, rows = 2_000, 300
    baselines = {
        "itbstats, 60 columns": partial(statistics_by_window, bars.tail(few)),
        "regression_condensed, F2cond20": partial(lines_by_window, bars, rows),
    }
    scales = {"itbstats, 60 columns": count / few, "regression_condensed, F2cond20": count / rows}
    print(f"{count:,} synthetic 1m bars to float32, CPU seconds\n")
    for name, family in families().items():
        ours = least(partial(FeatureSet((family,)).compute, bars))
        show(name, ours, least(baselines[name], 1) * scales[name] if name in baselines else None)
    whole = FeatureSet((DefaultFeatures(flow=True), STATISTICS, *OTHERS))
    million = market(1_000_000)
    before = time.process_time()
    whole.compute(million)
    seconds = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{len(whole.names)} columns of 1,000,000 bars: {seconds:.1f} s, peak memory of the process {peak:.2f} GiB")


if __name__ == "__main__":
    main()
