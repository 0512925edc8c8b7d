"""What a walk-forward costs beside the bare LightGBM loop inside it; print seconds, memory and quality.

Run with ``python benchmarks/bench_walkforward.py [bar|1h|1m]``. ``1h``: 35,000 bars x 60 features, 180 days sliding,
30-day refits. ``1m``: 1,000,000 bars x 60 features, 180 days sliding, 20 refits, every 5th row. Both grow 200
trees of 31 leaves; bars are real where ITB_DATA_DIR (default ``../shared/data``) has them, else synthetic, and
the first line says so.
``bar``: 12 refits on 105,120 rows x 100 made-up features beside bare ``lightgbm.train`` calls, at 30 and at 200 rounds,
exact and with reused bins, by one and by two workers; then one row at a time.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.default_features import DefaultFeatures
from itb.indicators.feature_set import FeatureSet
from itb.market.bars import OHLCV, Bars
from itb.market.timeframe import Timeframe
from itb.mlmodels.algorithm import score_rows
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.labels import FutureReturn, LabelColumn
from itb.mlmodels.quality import grade_result
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.training import Training
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


def made_up(rows: int, columns: int) -> TrainingTable:
    """Features without drift, and a label that they tell a little of."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, columns)).astype(np.float32)
    labels = (features[:, :5].sum(axis=1) + rng.normal(0, 8, rows) > 0) + 0.0
    names, times = tuple(f"f{i}" for i in range(columns)), np.arange(rows) * 300_000
    return TrainingTable(
        features,
        names,
        LabelColumn.after(labels, 12),
        "up",
        is_binary=True,
        open_time=times,
        timeframe=Timeframe.parse("5m"),
    )


def bare_calls(table: TrainingTable, walk: WalkForward, algorithm: LightGbm) -> None:
    """The least that has to be done: LightGBM's own calls on slices, no file, no manifest, no purge."""
    import lightgbm

    for block in walk.blocks(table):
        part, params = slice(block.train_start, block.known_until - 11), algorithm._params(0)
        rows = lightgbm.Dataset(table.features[part], label=table.label.values[part], params=params)
        booster = lightgbm.train(params, rows, num_boost_round=algorithm.rounds)
        booster.predict(table.features[block.test_start : block.test_stop], num_threads=1)


def measured(act: Callable[[], object]) -> tuple[float, float]:
    start, wall = cpu(), time.perf_counter()
    act()
    return cpu() - start, time.perf_counter() - wall


def bar() -> None:
    table = made_up(105_120, 100)
    walk = WalkForward(train_bars=35_040, refit_every=5_840)
    print(f"{len(table):,} rows x {len(table.feature_names)} features, {len(walk.blocks(table))} refits")
    algorithm = LightGbm()
    bare_calls(table, replace(walk, refit_every=100_000), replace(algorithm, rounds=2))  # pays for imports
    for rounds in (30, 200):
        algorithm = replace(algorithm, rounds=rounds)
        bare, bare_wall = measured(lambda: bare_calls(table, walk, algorithm))  # noqa: B023 -- called at once
        print(f"{rounds:4d} rounds, bare calls:          {bare:6.1f} s CPU {bare_wall:6.1f} s wall")
        for name, workers, reuse in (("exact", 1, False), ("exact", 2, False), ("reused bins", 1, True)):
            own = replace(walk, training=Training(reuse_bins=reuse))
            with tempfile.TemporaryDirectory() as folder:
                used, took = measured(lambda: own.run(table, algorithm, Path(folder), workers=workers))  # noqa: B023
            told = f"{used:6.1f} s CPU {took:6.1f} s wall   {used / bare:.3f}x CPU, {took / bare_wall:.2f}x wall"
            print(f"{rounds:4d} rounds, {name:11s} {workers} worker(s): {told}")


def one_row() -> None:
    table = made_up(5_000, 60)
    model = LightGbm(rounds=100).fit(table.features, np.nan_to_num(table.label.values), 0)
    rows = [table.features[i : i + 1] for i in range(5_000)]
    for name, score in (("predict_one", model.predict_one), ("Booster.predict", model.predict)):
        times = []
        for row in rows:
            start = time.perf_counter_ns()
            score(row)
            times.append(time.perf_counter_ns() - start)
        print(f"one row of 60 features, 100 trees, {name:15s}: p50 {np.median(times) / 1000:5.1f} us")


def peak_mib() -> tuple[float, float]:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main(size: str) -> None:
    if size == "bar":
        bar()
        one_row()
        return
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
    main(sys.argv[1] if len(sys.argv) > 1 else "bar")
