"""Whether a bot stays as it is: memory and file descriptors of `itb live --practice` and its exchange, under faults.

Run with ``python benchmarks/bench_soak.py [FOLDER] [--hours 24] [--speed 60]``: hours are the market's, 24 of them take
24 minutes. Growth is the median of the last tenth of all measurements against that of the second one, when caches are
full. It ends with exit code 1 where the bot's memory, descriptors or threads grew by more than 5 %. Interrupted, the
same command with a folder goes on with the same bot; what was measured lies in ``FOLDER/measured.csv``.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from itb.errors import ItbError
from itb.live.cockpit import Status
from itb.live.run.control import RemoteCockpit
from itb.runs.rehearsal import find_exchange

SYMBOLS = "['BTC/USDT', 'ETH/USDT', 'BNB/USDT']"
COMMAND = (sys.executable, "-c", "from itb.cli import main; main()", "live", "--practice", "--json")
SETTINGS = (
    "data.timeframe=1m", f"data.symbols={SYMBOLS}", "walkforward.train=2000", "walkforward.workers=1",
    "walkforward.refit_every=10000000", "model.rounds=20", "live.retrain=false", "live.drift=tell",
    "strategy.buy_threshold=0.5", "strategy.sell_threshold=0.45", "strategy.stop_loss=0.002",
)  # fmt: skip
HEADER = "second,bot MiB,bot descriptors,bot threads,exchange MiB,exchange descriptors,bars,trades"
BEGINS = "2023-01-03T02:00"  # 3,000 bars behind the first of the built-in market
MOST_GROWTH = 0.05


def measured(pid: int) -> tuple[float, int, int]:
    """Memory in use (MiB), open descriptors and threads of a process."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(told["VmRSS"].split()[0]) / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(told["Threads"])


def start(folder: Path, asked: argparse.Namespace) -> subprocess.Popen[bytes]:
    """Start the bot, or let it go on."""
    minutes = round(asked.hours * 60 * 1.05) + 600
    settings = (*SETTINGS, f"synthetic.bars={minutes + 3_000}", *asked.set)
    command = [
        *COMMAND, "--speed", str(asked.speed), "--faults", asked.faults, "--start", BEGINS,
        *(part for text in settings for part in ("--set", text)),
    ]  # fmt: skip
    log = (folder / "bot.log").open("ab")
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def follow(folder: Path, bot: subprocess.Popen[bytes], asked: argparse.Namespace) -> None:
    """Measure again and again until the time is over, or the bot ends by itself."""
    home, file = folder / "runs" / "live" / "bot-practice", folder / "measured.csv"
    if not file.exists():
        file.write_text(HEADER + "\n")
    rows = rows_of(file)
    before = rows[-1][0] if rows else 0.0
    began: float | None = None
    while began is None or before + time.monotonic() - began < asked.hours * 3600 / asked.speed:
        time.sleep(asked.every)
        if bot.poll() is not None:
            raise SystemExit(f"the bot ended with exit code {bot.returncode}; see {folder / 'bot.log'}")
        exchange, told = find_exchange(home), status_of(home)
        if exchange is None or told is None or not told.bars:
            continue
        began = began or time.monotonic()
        mine, theirs = measured(bot.pid), measured(exchange.pid)
        second = before + time.monotonic() - began
        row = (second, *mine, *theirs[:2], told.steps, sum(one.trades for one in told.strategies))
        with file.open("a") as out:
            out.write(",".join(f"{value:.1f}" for value in row) + "\n")
        print(
            "  ".join(f"{name} {value:,.0f}" for name, value in zip(HEADER.split(","), row, strict=True)),
            file=sys.stderr,
        )


def status_of(home: Path) -> Status | None:
    try:
        return RemoteCockpit(home, timeout_s=10.0).status()
    except (ItbError, OSError):
        return None


def rows_of(file: Path) -> list[tuple[float, ...]]:
    return [tuple(map(float, line.split(","))) for line in file.read_text().splitlines()[1:]]


def judge(folder: Path) -> bool:
    """Print what changed, and give whether it is too much."""
    rows = rows_of(folder / "measured.csv")
    tenth = max(1, len(rows) // 10)
    first, last = rows[tenth : 2 * tenth] or rows[:1], rows[-tenth:]
    is_bad = False
    minutes, steps, trades = rows[-1][0] / 60, rows[-1][-2] - rows[0][-2], rows[-1][-1]
    print(
        f"{minutes:,.0f} minutes, {steps:,.0f} bars of each symbol, {trades:,.0f} trades, {len(rows):,} measurements\n"
    )
    print(f"{'median of':<22}{'second tenth':>14}{'last tenth':>12}{'growth':>9}")
    for place, name in enumerate(HEADER.split(",")[1:6], start=1):
        one, other = (statistics.median(row[place] for row in part) for part in (first, last))
        growth = other / one - 1
        is_wrong = growth > MOST_GROWTH and name.startswith("bot")
        is_bad |= is_wrong
        print(f"{name:<22}{one:>14,.1f}{other:>12,.1f}{growth:>+9.1%}{'  too much' if is_wrong else ''}")
    return is_bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where the bot lives; a temporary one otherwise")
    parser.add_argument("--hours", type=float, default=24.0, help="how long, in the market's time")
    parser.add_argument("--speed", type=float, default=60.0, help="market seconds in a second")
    parser.add_argument("--faults", default="all=10", help="as of `itb practice`")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two measurements")
    parser.add_argument("--set", action="append", default=[], help="a setting of the bot's, KEY=VALUE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bot = start(folder, asked)
        try:
            follow(folder, bot, asked)
        finally:
            if bot.poll() is None:
                bot.send_signal(signal.SIGTERM)
                bot.wait(300)
        is_bad = judge(folder)
    raise SystemExit(is_bad)


if __name__ == "__main__":
    main()
