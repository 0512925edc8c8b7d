"""A walk-forward to be killed: run by test_kill.py in a process of its own, never imported."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from itb.market.timeframe import Timeframe
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.walkforward import WalkForward

WALK = WalkForward(train_bars=400, refit_every=50, min_train_rows=50)
TREES = LightGbm(rounds=40, min_data_in_leaf=20)


def learnable() -> TrainingTable:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(1500, 12)).astype(np.float32)
    labels = LabelColumn.after((features[:, 0] + rng.normal(size=1500) > 0).astype(np.float64), horizon=3)
    times = np.arange(1500) * 60_000
    return TrainingTable(features, tuple("abcdefghijkl"), labels, "up", True, times, Timeframe(60_000))


def kill_at_random_moments(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """Fork, let the child train for a random while, kill -9 it, again; then resume and compare with a clean run."""
    table = learnable()
    clean = WALK.run(table, TREES, folder / "clean")
    moments = random.Random(seed)
    start = time.perf_counter()
    WALK.run(table, TREES, folder / "timed")
    whole_s = time.perf_counter() - start
    lost = wrong = resumed = 0
    round_ = kept = 0
    for _ in range(kills):
        child = os.fork()
        if not child:
            WALK.run(table, TREES, folder / f"round{round_}")
            os._exit(0)
        time.sleep(moments.uniform(0, whole_s / 2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        folds = len(list((folder / f"round{round_}").rglob("*.npz")))
        lost += folds < kept
        kept = folds
        if kept == len(clean.folds):
            wrong += _differs(clean, WALK.run(table, TREES, folder / f"round{round_}"))
            round_, kept = round_ + 1, 0
            resumed += 1
    final = WALK.run(table, TREES, folder / f"round{round_}")
    wrong += _differs(clean, final)
    return {"lost": lost, "wrong": wrong, "rounds": resumed + 1, "refitted": final.fitted, "kept": kept}


def _differs(one, other) -> bool:
    return not (np.array_equal(one.scores, other.scores, equal_nan=True) and one.timeline == other.timeline)


def tell_workers(folder: Path) -> None:
    """Train in two processes and print their ids as soon as they are at work."""
    import multiprocessing

    def tell(done: int, total: int, what: str) -> None:
        if done == 1:
            print(json.dumps([child.pid for child in multiprocessing.active_children()]), flush=True)

    WALK.run(learnable(), LightGbm(rounds=400, min_data_in_leaf=20), folder, workers=3, progress=tell)


if __name__ == "__main__":
    if sys.argv[1] == "workers":
        tell_workers(Path(sys.argv[2]))
    else:
        print(json.dumps(kill_at_random_moments(Path(sys.argv[2]), kills=int(sys.argv[1]), seed=int(sys.argv[3]))))
