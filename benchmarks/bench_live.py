"""How long a final bar takes to become a decision: 100 features, LightGBM of 200 trees, one symbol and twenty.

Run with ``python benchmarks/bench_live.py [BARS]`` (400 live bars by default). Wall-clock milliseconds from the moment
the barrier gets the last symbol's bar until the strategy is done, host thread and queue included; beside them what the
same queue and thread take for nothing, in the same run.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue_broker import VenueBroker
from itb.indicators.feature_set import FeatureSet
from itb.indicators.score import MLScore
from itb.indicators.talib_features import TalibFeatures
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Barrier, BarrierRules
from itb.live.bars.schedule import Delivery
from itb.live.episodes import Episode, Episodes
from itb.live.host.growing import GrowingBars
from itb.live.host.host import Decided, Hosting, LiveHost, LiveMarket
from itb.live.scores.desk import ScoreDesk
from itb.live.scores.speaking import ColumnFiles, SpeakingColumn
from itb.market.bars import Bars
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.registry import Manifest, save_model
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry
from itb.strategies.base import Strategy

FEATURES = FeatureSet(
    (
        TalibFeatures(
            ("SMA", "EMA", "STDDEV", "RSI", "ROC", "LINEARREG_SLOPE", "MAX", "ATR", "WILLR", "CCI"),
            windows=(5, 10, 15, 20, 25, 30, 35, 40, 45, 50),
        ),
    )
)


class ReadsAll(Strategy):
    """Reads a score on every feed and buys and sells by it."""

    def __init__(self) -> None:
        super().__init__()
        self.read = [MLScore(data) for data in self.datas]

    def next(self) -> None:
        for data, score in zip(self.datas, self.read, strict=True):
            held = self.getposition(data).size
            if not held and score[0] > 0.55:
                self.buy(data=data, size=0.001)
            elif held and score[0] < 0.45:
                self.sell(data=data, size=held)


def trained(folder: Path, bars: Bars) -> None:
    """Fit one model of 200 trees and write its timeline."""
    rows = FEATURES.compute(bars)
    labels = (np.roll(bars.close, -1) > bars.close).astype(np.float64)
    known = np.isfinite(rows).all(axis=1)
    algorithm = LightGbm(rounds=200, min_data_in_leaf=20)
    model = algorithm.fit(rows[known], labels[known], seed=0)
    last = int(bars.open_time[-1])
    manifest = Manifest("up_lightgbm", "up", "lightgbm", {}, FEATURES.names, int(known.sum()), 0, 0, last, last)
    file = save_model(model, algorithm, manifest, folder / "models")
    entry = TimelineEntry(last, last, last + 1, f"models/{file}", promoted=True, reason="benchmark")
    ModelTimeline("up_lightgbm", 0.0, 1.0, FEATURES.names).appended(entry).save(folder / "timeline.json")


def tell(episode: Episode) -> None:
    print(f"trouble: {episode.text}")


def latencies(symbols: int, live: int, folder: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    warm = FEATURES.warmup + 1_500
    bars = SyntheticMarket(warm + live, "1m").bars()["BTC/USDT"]
    if not (folder / "timeline.json").exists():
        trained(folder, bars.head(warm - 1))
    names = [f"C{number}/USDT" for number in range(symbols)]
    markets = {}
    for name in names:
        growing, episodes = GrowingBars(bars.head(warm)), Episodes(tell)
        column = SpeakingColumn(ColumnFiles(folder), FEATURES.names, episodes)
        markets[name] = LiveMarket(growing, ScoreDesk(growing, FEATURES, (column,), episodes=episodes).sources)
    done, ends = threading.Semaphore(0), []

    def decided(_told: Decided) -> None:
        ends.append(time.perf_counter())
        done.release()

    host = LiveHost(ReadsAll, {}, VenueBroker(), markets, Hosting(trouble=tell, decided=decided))
    barrier = Barrier(names, BarrierRules(bars.timeframe), int(bars.open_time[warm]))
    host.start()
    found = []
    for row in rows_of(bars)[warm:]:
        now = float(row.open_time + bars.timeframe.ms)
        for name in names[:-1]:
            barrier.settled(name, [Delivery(row.open_time, row)], now)
        began = time.perf_counter()
        for step in barrier.settled(names[-1], [Delivery(row.open_time, row)], now):
            host.step(step)
        host.wake()  # the round that follows a step's tells its end
        done.acquire()
        found.append((ends[-1] - began) * 1000)
        time.sleep(0.002)
    host.stop()
    return np.array(found[5:])


def idle(rounds: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The same hand-over between threads, with nothing to do."""
    import queue

    there: queue.SimpleQueue[float] = queue.SimpleQueue()
    back: queue.SimpleQueue[float] = queue.SimpleQueue()

    def answer() -> None:
        while (sent := there.get()) >= 0:
            back.put(time.perf_counter() - sent)

    thread = threading.Thread(target=answer)
    thread.start()
    found = []
    for _ in range(rounds):
        there.put(time.perf_counter())
        found.append(back.get() * 1000)
        time.sleep(0.002)
    there.put(-1.0)
    thread.join()
    return np.array(found)


def line(what: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    print(f"{what:<52} median {np.median(values):7.2f} ms   p99 {np.percentile(values, 99):7.2f} ms")


def main() -> None:
    live = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with tempfile.TemporaryDirectory() as folder:
        line("hand-over between threads, nothing to do", idle(live))
        line("1 symbol, final bar known to decision taken", latencies(1, live, Path(folder)))
        twenty = latencies(20, max(40, live // 4), Path(folder))
        line("20 symbols, last bar at the barrier to all decided", twenty)
        print(f"20 symbols: slowest {twenty.max():.0f} ms of 250 allowed")


if __name__ == "__main__":
    main()
