"""What every engine's process shares: arrays in, one backtest measured, fills and figures out.

``python -m benchmarks.peers.ENGINE MARKET.npz TASK.json`` writes the fills to ``TASK.npz`` beside the task and prints
one line of JSON. Runs under the engine's own interpreter, so it needs NumPy alone.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP_BARS = 2_000


@dataclass(frozen=True)
class Market:
    """Bars and one score a bar: ``open_time`` in UTC milliseconds, the rest float64."""

    open_time: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    score: Any

    def head(self, count: int) -> Market:
        return Market(**{one.name: getattr(self, one.name)[:count] for one in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Market:
        with np.load(path) as stored:
            return cls(**{one.name: stored[one.name] for one in fields(cls)})

    def write(self, path: Path) -> None:
        np.savez(path, **{one.name: getattr(self, one.name) for one in fields(self)})


@dataclass(frozen=True)
class Task:
    """Enter long at a score of ``buy`` or more, leave at ``sell`` or less; stop and target as fractions, 0 is none."""

    buy: float = 1.5
    sell: float = -1.5
    fee: float = 0.001
    cash: float = 1_000_000.0
    fraction: float = 0.95
    cushion: float = 0.005
    stop_loss: float = 0.0
    take_profit: float = 0.0
    protection_from: str = "next_bar"
    repeats: int = 1

    def quantity(self, equity: float, close: float) -> float:
        return self.fraction * equity / (close * (1 + self.fee + self.cushion))


@dataclass(frozen=True)
class Outcome:
    """What an engine did: how many fills, the worth at the end and, where it tells, every fill and every bar.

    ``fills`` holds (bar, signed quantity, price, fee); ``cash`` and ``value`` one number a bar.
    """

    fill_count: int
    end_value: float
    fills: Any = field(default_factory=lambda: np.empty((0, 4)))
    cash: Any = field(default_factory=lambda: np.empty(0))
    value: Any = field(default_factory=lambda: np.empty(0))


def serve(load: Callable[[Market, Task], Any], run: Callable[[Any], Any], tell: Callable[[Any], Outcome]) -> None:
    """Measure one engine: ``load`` turns arrays into what it reads, ``run`` ends with its statistics.

    CPU seconds of this process, all threads, user and system, the least of ``task.repeats`` after a run on the first
    bars that pays for imports and compilation. ``tell`` is not measured.
    """
    market, asked = Market.read(Path(sys.argv[1])), Path(sys.argv[2])
    task = Task(**json.loads(asked.read_text()))
    run(load(market.head(WARM_UP_BARS), task))
    best: tuple[float, float] = (float("inf"), 0.0)
    for _ in range(task.repeats):
        made = loaded = None
        gc.collect()
        begins = time.process_time()
        loaded = load(market, task)
        between = time.process_time()
        made = run(loaded)
        ends = time.process_time()
        best = min(best, (ends - begins, between - begins))
    peak = _peak_mib()
    outcome = tell(made)
    np.savez(asked.with_suffix(".npz"), fills=outcome.fills, cash=outcome.cash, value=outcome.value)
    told = {
        "cpu_s": best[0],
        "load_s": best[1],
        "peak_mib": peak,
        "fill_count": outcome.fill_count,
        "end_value": outcome.end_value,
    }
    print(json.dumps(told))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def write_task(task: Task, path: Path) -> None:
    path.write_text(json.dumps(asdict(task)))
