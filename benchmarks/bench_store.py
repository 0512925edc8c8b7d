"""What the bar store costs beside plain pandas, on one million 1m bars; print seconds, megabytes and the ratios.

Run with ``python benchmarks/bench_store.py [BARS]``. The store writes a file per month, waits for the disk, takes a
lock and verifies checksums; pandas writes one file and does none of this. Wall seconds, the least of five.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from itb.datafeeds.check import check
from itb.datafeeds.importers import read_file
from itb.datafeeds.store import BarStore
from itb.datafeeds.synthetic import SyntheticMarket
from itb.market.bars import OHLCV, Bars

EXCHANGE, SYMBOL, TIMEFRAME = "bench", "BTC/USDT", "1m"


def least(work: Callable[[int], object], repeats: int = 5) -> float:
    """Least wall time of several runs; each is told its number."""
    best = float("inf")
    for number in range(repeats):
        before = time.perf_counter()
        work(number)
        best = min(best, time.perf_counter() - before)
    return best


def megabytes(path: Path) -> float:
    files = [path] if path.is_file() else list(path.rglob("*.parquet"))
    return sum(file.stat().st_size for file in files) / 1e6


def line(what: str, ours: float, theirs: float | None = None, unit: str = "s") -> None:
    beside = "" if theirs is None else f"{theirs:10.3f} {unit}{ours / theirs:10.2f} x"
    print(f"{what:<44}{ours:10.3f} {unit}{beside}")


def main() -> None:
    length = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    whole = SyntheticMarket(bars=length, timeframe=TIMEFRAME).bars()[SYMBOL]
    bars = Bars(whole.symbol, whole.timeframe, whole.open_time, {name: whole[name] for name in OHLCV})
    frame = bars.to_frame()
    print(f"{length:,} bars of {TIMEFRAME}, synthetic")
    print(f"{'':<44}{'itb':>12}{'pandas':>12}{'ratio':>12}")
    with tempfile.TemporaryDirectory() as folder:
        root, single = Path(folder), Path(folder) / "plain.parquet"
        stores = [BarStore(root / f"store{number}") for number in range(6)]
        store = stores[5]
        store.write(EXCHANGE, bars)
        day = bars.tail(1440)
        last_day = day.with_columns(volume=day.volume + 1)

        def write(number: int) -> None:
            stores[number].write(EXCHANGE, bars)

        def write_zstd(_: int) -> None:
            frame.to_parquet(single, compression="zstd")

        line("write", least(write), least(write_zstd))
        line(
            "read all",
            least(lambda _: store.read(EXCHANGE, SYMBOL, TIMEFRAME)),
            least(lambda _: pd.read_parquet(single)),
        )
        start = int(bars.open_time[length // 2])
        stop = start + 7 * 86_400_000
        line(
            "read one week",
            least(lambda _: store.read(EXCHANGE, SYMBOL, TIMEFRAME, start, stop)),
            least(
                lambda _: pd.read_parquet(
                    single,
                    filters=[
                        ("timestamp", ">=", pd.Timestamp(start, unit="ms", tz="UTC")),
                        ("timestamp", "<", pd.Timestamp(stop, unit="ms", tz="UTC")),
                    ],
                )
            ),
        )
        line("replace the last day", least(lambda number: stores[number].write(EXCHANGE, last_day)), least(write_zstd))
        line("on disk", megabytes(store.root), megabytes(single), "M")
        line("list what is stored", least(lambda _: store.list()))
        frame.reset_index().to_csv(root / "BTCUSDT-1m.csv", index=False)
        line(
            "read CSV",
            least(lambda _: read_file(root / "BTCUSDT-1m.csv"), 2),
            least(lambda _: pd.read_csv(root / "BTCUSDT-1m.csv", parse_dates=["timestamp"]), 2),
        )
        line("check for gaps, spikes, silence", least(lambda _: check(bars), 2))


if __name__ == "__main__":
    main()
