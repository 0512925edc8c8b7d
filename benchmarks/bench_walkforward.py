"""What a walk-forward costs beside the bare LightGBM loop inside it; print seconds, memory and quality.

Run with ``python benchmarks/bench_walkforward.py [1h|1m]``. ``1h``: 35,000 bars x 60 features, 180 days sliding, 30-day
refits. ``1m``: 1,000,000 bars x 60 features, 180 days sliding, 20 refits, every 5th row. 200 rounds of 31 leaves. Bars
are real where ITB_DATA_DIR (default ``../shared/data``) has them, else synthetic; the first line says which.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.feature_set import FeatureSet
from itb.market.bars import OHLCV, Bars
from itb.market.timeframe import Timeframe
from itb.mlmodels.algorithm import score_rows
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.quality import grade_result
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.walkforward import WalkForward

DATA = Path(os.environ.get("ITB_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))
SETS = {
    "1h": ("binance/BTCUSDT-1h.parquet", 35_063, WalkForward()),
    "1m": (
        "bitfinex/BTCUSD-1m.parquet",
        1_000_000,
        WalkForward(train_bars=259_200, refit_every=40_000, every_nth_row=5),
    ),
}


def load(size: str) -> tuple[Bars, str]:
    name, count, _ = SETS[size]
    if (DATA / name).exists():
        import pyarrow.parquet as pq

        table = pq.read_table(DATA / name, columns=["timestamp", *OHLCV])
        return Bars.from_arrow(table, "BTC/USD", Timeframe.parse(size)), f"real, {name}"
    return next(iter(SyntheticMarket(bars=count, timeframe=size).bars().values())), "synthetic"


def cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def bare_loop(table: TrainingTable, walk: WalkForward, algorithm: LightGbm) -> None:
    for block in walk.blocks(table):
        rows = block.training_rows(table.label.known_at)
        rows = rows[table.open_time[rows] // table.timeframe.ms % walk.every_nth_row == 0]
        rows = rows[np.isfinite(table.features[rows]).all(axis=1)]
        model = algorithm.fit(table.features[rows], table.label.values[rows], 0)
        score_rows(model, table.features[block.test_start : block.test_stop])


def peak_mib() -> tuple[float, float]:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main(size: str) -> None:
    walk = SETS[size][2]
    bars, origin = load(size)
    label = FutureReturn(24 if size == "1h" else 60, threshold=0.0)
    algorithm = LightGbm(rounds=200, num_leaves=31)
    start = cpu()
    features = FeatureSet((DefaultFeatures(),))
    table = TrainingTable.of(bars, features.compute(bars), features.names, label)
    print(
        f"{len(bars):,} bars ({origin}), {len(features.names)} features, label {label.name}: {cpu() - start:.1f} s CPU"
    )
    start, wall = cpu(), time.perf_counter()
    bare_loop(table, walk, algorithm)
    bare_cpu, bare_wall = cpu() - start, time.perf_counter() - wall
    refits = len(walk.blocks(table))
    print(f"bare loop, {refits} refits, one thread:   {bare_cpu:6.1f} s CPU {bare_wall:6.1f} s wall")
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            start, wall = cpu(), time.perf_counter()
            result = walk.run(table, algorithm, Path(folder), workers=workers)
            used, took = cpu() - start, time.perf_counter() - wall
            ratio = f"{used / bare_cpu:.2f}x CPU of the bare loop"
            print(f"WalkForward.run, {workers} worker(s): {used:12.1f} s CPU {took:6.1f} s wall   {ratio}")
            start, wall = cpu(), time.perf_counter()
            walk.run(table, algorithm, Path(folder), workers=workers)
            print(f"the same again, resumed:     {cpu() - start:12.1f} s CPU {time.perf_counter() - wall:6.1f} s wall")
    start = cpu()
    print(grade_result(result).pooled.sentence)
    own, worker = peak_mib()
    print(f"graded in {cpu() - start:.1f} s CPU; peak memory {own:.0f} MiB, of a worker at most {worker:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "1h")
