"""From a final bar to the order on the wire: `itb live --practice` whole, ccxt client and loopback sockets included.

Run with ``python benchmarks/bench_live_orders.py [BARS]`` (300). 100 features, LightGBM of 200 trees, and a strategy
that asks the model and trades at every bar. Measured from the moment when the barrier lets a timestamp go, which is
when its last symbol's final bar is known, until the bytes of the first order are handed to the socket. The parts of
that: ``decision`` until the first orders leave their strategy's thread (features, prediction, strategy); ``commit``,
all waiting for the journal's disk between that and the wire; ``wire``, the rest: back to the network's thread, the
machine, signature, client, write.

On a busy machine most of this is other people's time. So beside it stand, in the same run, how late a process wakes
that only sleeps, how long that process waits for the same disk (one write and one fsync: no order can be faster), and
the processor time that the whole bot, all threads of it, took between the two moments.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.config import load_config
from itb.live.door import Door
from itb.live.journal.store import Journal
from itb.live.run.engine import Engine, Ticked
from itb.runs.live import Launch, bot_folder, live
from itb.runs.practice import Rehearsal
from itb.runs.rehearsal import find_exchange
from itb.runs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from itb.live.bars.barrier import Step

WINDOWS = list(range(5, 55, 5))
FUNCTIONS = "'SMA', 'EMA', 'STDDEV', 'RSI', 'ROC', 'LINEARREG_SLOPE', 'MAX', 'ATR', 'WILLR', 'CCI'"
SETTINGS = (
    "data.timeframe=1m", f"features=[{{family='talib', functions=[{FUNCTIONS}], windows={WINDOWS}}}]",
    "label={horizon=1, threshold=0.0, alias='up'}", "model={algorithm='lightgbm', rounds=200}",
    "walkforward={train=2000, refit_every=100000, workers=1}", "live.retrain=false",
    "strategy={buy_threshold=0.001, sell_threshold=0.0005, max_bars=1}", "live.limits.max_orders_per_minute=0",
    "backtest.cash=1000000",
)  # fmt: skip
ORDER = b"POST /api/v3/order"
LEFT_OUT = 5  # first steps, in which things are done for the first time
DISK_EVERY = 20  # sleeps of the idle process
Milliseconds = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Sent:
    """One timestamp that led to an order: seconds since its last final bar, and how many commits lay between."""

    asked: float = 0.0
    committed: float = 0.0
    commits: int = 0
    first: float = 0.0
    last: float = 0.0
    cpu: float = 0.0


@dataclass
class Watch:
    """Notes when steps are let go, when strategies ask, when the disk has it, when orders are written."""

    sent: list[Sent] = field(default_factory=list)
    decided: list[float] = field(default_factory=list)
    _since: float = 0.0
    _cpu: float = 0.0
    _now: Sent | None = None

    def begin(self) -> None:
        """Look over the shoulders of engine, door, journal and sockets of this process; change nothing."""
        transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]  # where bytes leave
        engine: Any = Engine
        door: Any = Door
        journal: Any = Journal
        write, writelines, append = transport.write, transport.writelines, journal.append
        take, begin, ask = engine.take, engine.__init__, door.__call__

        def taken(this: Engine, step: Step) -> None:
            self._since, self._cpu, self._now = time.perf_counter(), time.process_time(), Sent()
            take(this, step)

        def made(this: Engine, *args: Any, **kwargs: Any) -> None:
            begin(this, *args, **kwargs)
            this.listeners.ticked.append(self._ticked)

        def asked(this: Door, *args: Any) -> None:
            if self._now is not None and not self._now.asked:
                self._now.asked = time.perf_counter() - self._since
            ask(this, *args)

        def appended(this: Journal, events: Sequence[Any]) -> None:
            began, now = time.perf_counter(), self._now
            append(this, events)
            if now is not None and now.asked and not now.first:
                now.committed += time.perf_counter() - began
                now.commits += 1

        def written(this: Any, data: Any) -> None:
            self._written(bytes(data[:18]))
            write(this, data)

        def written_lines(this: Any, lines: Any) -> None:
            told = list(lines)
            self._written(bytes(told[0][:18]))
            writelines(this, told)

        transport.write, transport.writelines, journal.append = written, written_lines, appended
        engine.take, engine.__init__, door.__call__ = taken, made, asked

    def _written(self, start: bytes) -> None:
        now = self._now
        if start != ORDER or now is None or not now.asked:
            return
        now.last = time.perf_counter() - self._since
        if not now.first:
            now.first, now.cpu = now.last, time.process_time() - self._cpu
            self.sent.append(now)

    def _ticked(self, ticked: Ticked) -> None:
        self.decided.append(ticked.seconds)


def idle(ended: Event, told: Connection, folder: str) -> None:
    """Sleep again and again; tell how late it woke, and how long the disk took, in milliseconds."""
    late, disk = [], []
    with (Path(folder) / "idle").open("wb", buffering=0) as file:
        while not ended.is_set():
            began = time.perf_counter()
            time.sleep(0.005)
            late.append((time.perf_counter() - began - 0.005) * 1000)
            if len(late) % DISK_EVERY == 0:
                began = time.perf_counter()
                file.write(bytes(4_096))
                os.fsync(file.fileno())
                disk.append((time.perf_counter() - began) * 1000)
    told.send((late, disk))


def run(symbols: int, bars: int, speed: int) -> tuple[Watch, Milliseconds, Milliseconds]:
    """Live for some bars; give what was noted, how late an idle process was, and how long its disk took."""
    watch = Watch()
    watch.begin()
    with tempfile.TemporaryDirectory() as folder:
        ended, (there, here) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
        beside = multiprocessing.Process(target=idle, args=(ended, here, folder), daemon=True)
        names = [f"{'BTC' if not number else f'C{number}'}/USDT" for number in range(symbols)]
        settings = [*SETTINGS, f"data.symbols={names}", f"synthetic.bars={3_000 + bars}", f"runs.root={folder}/runs"]
        workspace = Workspace(load_config(None, settings))
        launch = Launch(is_paper=False, rehearsal=Rehearsal(speed=str(speed), bars=bars + 100), bars=bars)
        beside.start()
        try:
            live(workspace, launch, lambda _line: None)
        finally:
            exchange = find_exchange(bot_folder(workspace, launch))
            if exchange is not None:
                exchange.stop()
            ended.set()
        late, disk = there.recv()
        beside.join()
    return watch, np.array(late), np.array(disk)


def line(what: str, values: Sequence[float] | Milliseconds, scale: float = 1000.0) -> None:
    told = np.asarray(values, dtype=np.float64) * scale
    print(
        f"{what:<52}{len(told):>6,}{np.median(told):>9.2f}{np.percentile(told, 99):>9.2f}{told.max():>9.2f}", flush=True
    )


def show(symbols: int, bars: int, speed: int) -> None:
    watch, late, disk = run(symbols, bars, speed)
    sent, many = watch.sent[LEFT_OUT:], symbols > 1
    name, known = f"{symbols} symbol{'s' if many else ''}", "last final bar" if many else "final bar known"
    line(f"{name}, {known} to {'first ' if many else ''}order written", [one.first for one in sent])
    line("  of it decision", [one.asked for one in sent])
    line("  of it commit", [one.committed for one in sent])
    line("  of it wire", [one.first - one.asked - one.committed for one in sent])
    line("  commits in it", [one.commits for one in sent], 1)
    line("  processor time in it, all threads", [one.cpu for one in sent])
    if many:
        line(f"{name}, {known} to last order written", [one.last for one in sent])
    line(f"{name}, {known} to {'all decided' if many else 'decision taken'}", watch.decided[LEFT_OUT:])
    line("an idle process beside it: late by", late, 1)
    line("an idle process beside it: a write and an fsync", disk, 1)


def main() -> None:
    bars = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"{'milliseconds':<52}{'count':>6}{'median':>9}{'p99':>9}{'most':>9}")
    show(1, bars, 300)
    show(20, max(40, bars // 4), 60)
    print(
        f"processes that wanted to run, over the last minutes: {', '.join(f'{load:.1f}' for load in os.getloadavg())}"
    )


if __name__ == "__main__":
    main()
