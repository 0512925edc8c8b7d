"""What the feature families cost on a year of 1m bars; print CPU seconds of each, beside its definition per window.

Run with ``python benchmarks/bench_families.py [BARS]`` (525,600 by default). CPU seconds, the least of three. The
baselines are pandas' ``rolling().apply`` with numpy's function for each window, and a fitted line per window; they are
measured on fewer bars and scaled to all of them. Last the peak memory of two processes of their own, with all families
side by side on 1,000,000 bars: at once, and written to a file on the disk 100,000 rows at a time.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.aggregates import Aggregates
from itb.indicators.condensed_aggregates import CondensedAggregates
from itb.indicators.cross import Cross
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.depth import Depth
from itb.indicators.derivatives import Derivatives
from itb.indicators.expansion import Named
from itb.indicators.feature import Feature
from itb.indicators.feature_set import FeatureSet
from itb.indicators.fractional import FractionalDifference
from itb.indicators.itb_stats import ItbStats
from itb.indicators.klines import Klines
from itb.indicators.on_source import OnSource
from itb.indicators.on_timeframe import OnTimeframe
from itb.indicators.regression_condensed import RegressionCondensed
from itb.indicators.rolling_stats import RollingStats
from itb.indicators.series_shape import SeriesShape
from itb.indicators.talib_features import TalibFeatures
from itb.market.bars import Bars, FloatArray
from itb.market.timeframe import MINUTE_MS, Timeframe

SYMBOL = "BTC/USDT"
WINDOWS = (5, 10, 20, 30, 60, 90, 120, 180, 240, 360)
FUNCTIONS = ("mean", "std", "fmax", "lsbm", "area", "slope")
STATISTICS = ItbStats(FUNCTIONS, WINDOWS)
ETH = ("eth_open", "eth_high", "eth_low", "eth_close", "eth_volume")
OTHERS = (
    Klines((7, 14, 60, 180, 360), 1440, ("close_WMA", "volume_SMA", "span_SMA", "trades_SMA", "tb_base_SMA")),
    Depth(),
    RegressionCondensed(),
    Aggregates(),
    FractionalDifference((0.4,)),
    Cross(("eth",), WINDOWS),
    Derivatives(("funding", "funding_sum", "funding_annual", "funding_age", "basis", "premium"), (480, 1440), (1440,)),
    SeriesShape(("energy", "peaks", "curvature", "complexity", "c3"), WINDOWS),
    SeriesShape(("autocorrelation",), (60, 360)),
)
LONGER = RollingStats(("zscore", "rank"), (24, 168), ("close",))
MINUTE, FOUR_HOURS = Timeframe.parse("1m"), Timeframe.parse("4h")


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
        "cross, 4 functions of 10 windows": Cross(("eth",), WINDOWS),
        "derivatives, 11 columns": OTHERS[6],
        "shape, 5 functions of 10 windows": OTHERS[7],
        "shape, autocorrelation over 60 and 360": OTHERS[8],
        "default features of another source": OnSource(DefaultFeatures(), "eth"),
        "stats on 4h bars, 4 columns": OnTimeframe(LONGER, FOUR_HOURS, MINUTE),
    }


def market(count: int) -> Bars:
    bars = SyntheticMarket(bars=count, timeframe="1m", symbols=(SYMBOL, "ETH/USDT")).bars()
    main, other = bars[SYMBOL], bars["ETH/USDT"]
    rng = np.random.default_rng(0)
    settled = main.close_time // (8 * 60 * MINUTE_MS)
    return main.with_columns(
        **{name: rng.lognormal(size=count) for name in Depth().inputs},
        **{name: other[name.removeprefix("eth_")] for name in ETH},
        funding_time=(settled * 8 * 60 * MINUTE_MS).astype(np.float64),
        funding_rate=rng.normal(1e-4, 1e-4, int(settled[-1]) + 1)[settled],
        perp_close=main.close * np.exp(rng.normal(0, 1e-4, count)),
        mark_close=main.close * np.exp(rng.normal(0, 1e-4, count)),
    )


def everything() -> FeatureSet:
    """All families, each under a name of its own."""
    talib = TalibFeatures(("SMA", "LINEARREG", "STDDEV"), WINDOWS)
    condensed = (RegressionCondensed(normalised=True), CondensedAggregates())
    longer = OnTimeframe(LONGER, FOUR_HOURS, MINUTE)
    parts = (DefaultFeatures(flow=True), talib, STATISTICS, *OTHERS, *condensed, longer)
    return FeatureSet(tuple(Named(part, f"f{number}") for number, part in enumerate(parts)))


def measure(how: str) -> None:
    """Compute everything on a million bars and say what this process took."""
    whole, million = everything(), market(1_000_000)
    before = time.process_time()
    if how == "at once":
        whole.compute(million)
    else:
        with tempfile.TemporaryFile() as file:
            for block in whole.blocks(million, 100_000):
                file.write(block.tobytes())
    seconds = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(whole.names)} columns of 1,000,000 bars, {how}: {seconds:.1f} s, peak memory {peak:.2f} GiB")


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
    print(flush=True)
    for how in ("at once", "in blocks"):
        subprocess.run([sys.executable, __file__, "--memory", how], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        measure(sys.argv[2])
    else:
        main()
