"""What one backtest costs: itb beside plain backtrader, backtesting.py and nautilus_trader on the same arrays.

Run with ``python benchmarks/bench_engine.py [BARS]`` (525,600 by default: a year of minutes; takes four minutes). Each
engine runs in a process of its own, from arrays in memory to a finished result; CPU seconds, user and system, of that
alone, after a warm-up. Fills, cash and value of itb and backtrader must be identical on every bar, or this fails.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python benchmarks/bench_engine.py` looks beside this file only

from benchmarks.peers.child import Market, Task, write_task  # noqa: E402 - after the path is set

PEERS = ROOT / ".venv-bench" / "bin" / "python"
YEAR_OF_MINUTES = 525_600


@dataclass(frozen=True)
class Engine:
    """One way to run the task: a module of ``benchmarks.peers``, and how often."""

    title: str
    module: str
    repeats: int = 1
    is_peer: bool = False
    must_equal: bool = False


ITB = Engine("itb, sparse stepping", "itb_sparse", 5)
PLAIN = Engine("backtrader, plain", "backtrader_plain", must_equal=True)
SAME_CLASS = Engine("backtrader, itb's strategy and feed", "backtrader_strategy", must_equal=True)
BACKTESTING = Engine("backtesting.py 0.6.6", "backtesting_py", 2, is_peer=True)
NAUTILUS = Engine("nautilus_trader 1.221", "nautilus", is_peer=True)


@dataclass(frozen=True)
class Measured:
    """One engine's figures, and what it did."""

    engine: Engine
    cpu_s: float
    load_s: float
    peak_mib: float
    fill_count: int
    end_value: float
    done: dict[str, Any]


def make_market(bars: int, seed: int = 7) -> Market:
    """Draw synthetic 1m bars and a smooth random score (half-life about 20 bars, standard deviation 1)."""
    from scipy.signal import lfilter

    from itb.datafeeds.synthetic import SyntheticMarket

    made = SyntheticMarket(bars=bars, timeframe="1m", seed=seed).bars()["BTC/USDT"]
    weight = 2 / 31
    score = lfilter([weight], [1, weight - 1], np.random.default_rng(seed).normal(size=bars))
    columns = {name: made[name] for name in ("open", "high", "low", "close", "volume")}
    return Market(open_time=made.open_time, score=score / score.std(), **columns)


def measure(engine: Engine, market: Path, task: Task) -> Measured:
    asked = market.with_name("task.json")
    write_task(dataclasses.replace(task, repeats=engine.repeats), asked)
    python = PEERS if engine.is_peer else Path(sys.executable)
    command = [str(python), "-m", f"benchmarks.peers.{engine.module}", str(market), str(asked)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{engine.title} failed:\n{ended.stderr}")
    told = json.loads(ended.stdout.splitlines()[-1])
    with np.load(asked.with_suffix(".npz")) as stored:
        return Measured(engine, done=dict(stored), **told)


def require_identical(ours: Measured, theirs: Measured) -> None:
    """Refuse the first difference in fills, or in cash or value of any bar."""
    for what in ("fills", "cash", "value"):
        mine, other = ours.done[what], theirs.done[what]
        if not np.array_equal(mine, other):
            same = min(len(mine), len(other))
            rows = np.flatnonzero((mine[:same] != other[:same]).reshape(same, -1).any(axis=1))
            row = int(rows[0]) if len(rows) else same
            raise SystemExit(
                f"{what} of {ours.engine.title} and {theirs.engine.title} differ, first in row {row} of "
                f"{len(mine)} and {len(other)}: {mine[row : row + 1]} and {other[row : row + 1]}"
            )


def compare(title: str, market: Path, task: Task, engines: list[Engine]) -> list[Measured]:
    """Measure engines on one task and print a line for each; the first is what the others are compared with."""
    heads = f"{'CPU s':>8}{'loading':>9}{'ratio':>9}{'runs':>6}{'peak MiB':>10}{'fills':>8}{'end value':>14}"
    print(f"\n{title}\n{'':<38}{heads}")
    found: list[Measured] = []
    for engine in engines:
        one = measure(engine, market, task)
        found.append(one)
        if engine.must_equal:
            require_identical(found[0], one)
        ratio = f"{one.cpu_s / found[0].cpu_s:8.1f}x"
        same = "  identical" if engine.must_equal else ""
        print(
            f"{engine.title:<38}{one.cpu_s:8.2f}{one.load_s:9.2f}{ratio}{engine.repeats:6}{one.peak_mib:10.0f}"
            f"{one.fill_count:8,}{one.end_value:14,.2f}{same}",
            flush=True,
        )
    return found


def main(bars: int = YEAR_OF_MINUTES) -> None:
    print(f"{bars:,} synthetic 1m bars, one score column, fee 0.1 %, long only")
    peers = [BACKTESTING, NAUTILUS] if PEERS.exists() else []
    if not peers:
        print("backtesting.py and nautilus_trader are left out: make .venv-bench/ready installs them")
    with tempfile.TemporaryDirectory() as folder:
        market = Path(folder) / "market.npz"
        make_market(bars).write(market)
        task = Task()
        compare("Enter and leave by the score", market, task, [ITB, *peers, SAME_CLASS, PLAIN])
        task = dataclasses.replace(task, stop_loss=0.004, take_profit=0.006)
        compare("With stop-loss and take-profit, tested from the next bar on", market, task, [ITB, PLAIN])
        task = dataclasses.replace(task, protection_from="fill")
        compare("With stop-loss and take-profit from the fill on (itb's default)", market, task, [ITB])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else YEAR_OF_MINUTES)
