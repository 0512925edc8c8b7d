"""What a command costs from the shell: CPU seconds of the whole process, imports included.

Run with ``python benchmarks/bench_startup.py [BARS]`` (8,760 by default: a year of hours). ``itb backtest`` finds its
scores trained by a first, unmeasured run, and writes its report and capsule like any other run. The least of three.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ITB = Path(sys.executable).with_name("itb")


def cpu_seconds(arguments: list[str], folder: Path, repeats: int = 3) -> float:
    """Least CPU time, user and system, of a command and its children."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    best = float("inf")
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if ended.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{ended.stdout}{ended.stderr}")
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def line(what: str, seconds: float) -> None:
    print(f"{what:<52}{seconds:8.2f} s", flush=True)


def main(bars: int = 8_760) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line("a bare interpreter", cpu_seconds([sys.executable, "-c", "pass"], folder))
        line("itb --help", cpu_seconds([str(ITB), "--help"], folder))
        line("import itb.config", cpu_seconds([sys.executable, "-c", "import itb.config"], folder))
        heavy = "import backtrader, numpy, pandas, pyarrow, talib, lightgbm, sklearn, plotly"
        line("importing what a backtest stands on", cpu_seconds([sys.executable, "-c", heavy], folder))
        command = [str(ITB), "backtest", "--set", f"synthetic.bars={bars}"]
        line(f"itb backtest, {bars:,} bars, training included", cpu_seconds(command, folder, 1))
        line(f"itb backtest, {bars:,} bars, scores cached", cpu_seconds(command, folder))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8_760)
