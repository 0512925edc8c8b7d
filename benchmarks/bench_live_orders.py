"""From a final bar to the order on the wire: `itb live --practice` whole, ccxt client and loopback sockets included.

Run with ``python benchmarks/bench_live_orders.py [BARS]`` (200). 100 features, LightGBM of 200 trees, MLThreshold with
thresholds so close that it trades every few bars. Measured from the moment when the barrier lets a timestamp go, which
is when its last symbol's final bar is known, until the bytes of the first order are handed to the socket: features,
prediction, strategy, journal with a durable commit, signature. An idle process sleeps beside it: how late it wakes is
what the machine adds.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.config import load_config
from itb.live.run.engine import Engine, Ticked
from itb.runs.live import Launch, bot_folder, live
from itb.runs.practice import Rehearsal
from itb.runs.rehearsal import find_exchange
from itb.runs.workspace import Workspace

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from itb.live.bars.barrier import Step

WINDOWS = list(range(5, 55, 5))
FUNCTIONS = "'SMA', 'EMA', 'STDDEV', 'RSI', 'ROC', 'LINEARREG_SLOPE', 'MAX', 'ATR', 'WILLR', 'CCI'"
SETTINGS = (
    "data.timeframe=1m", f"features=[{{family='talib', functions=[{FUNCTIONS}], windows={WINDOWS}}}]",
    "label={horizon=1, threshold=0.0, alias='up'}", "model={algorithm='lightgbm', rounds=200}",
    "walkforward={train=2000, refit_every=100000, workers=1}", "strategy.buy_threshold=0.5", "live.retrain=false",
    "strategy.sell_threshold=0.4999", "live.limits.max_orders_per_minute=0", "backtest.cash=1000000",
)  # fmt: skip
ORDER = b"POST /api/v3/order"
Milliseconds = np.ndarray[Any, np.dtype[np.float64]]


class Watch:
    """Notes when steps are let go, when all have decided, and when orders are written; looks on, changes nothing."""

    def __init__(self) -> None:
        self.orders: list[float] = []
        self.decided: list[float] = []
        self._since = 0.0

    def begin(self) -> None:
        """Look over the shoulders of the engine and of the sockets of this process."""
        transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]  # where bytes leave
        write, writelines, take, begin = transport.write, transport.writelines, Engine.take, Engine.__init__

        def taken(engine: Engine, step: Step) -> None:
            self._since = time.perf_counter()
            take(engine, step)

        def made(engine: Engine, *args: Any, **kwargs: Any) -> None:
            begin(engine, *args, **kwargs)
            engine.listeners.ticked.append(self._ticked)

        def written(this: Any, data: Any) -> None:
            self._written(bytes(data[:18]))
            write(this, data)

        def written_lines(this: Any, lines: Any) -> None:
            told = list(lines)
            self._written(bytes(told[0][:18]))
            writelines(this, told)

        transport.write, transport.writelines = written, written_lines
        changed: Any = Engine
        changed.take, changed.__init__ = taken, made

    def _written(self, start: bytes) -> None:
        if start == ORDER and self._since:
            self.orders.append((time.perf_counter() - self._since) * 1000)
            self._since = 0.0

    def _ticked(self, ticked: Ticked) -> None:
        self.decided.append(ticked.seconds * 1000)


def sleeper(ended: Event, told: Connection) -> None:
    """Sleep again and again; tell how late it woke, in milliseconds."""
    late = []
    while not ended.is_set():
        began = time.perf_counter()
        time.sleep(0.005)
        late.append((time.perf_counter() - began - 0.005) * 1000)
    told.send(late)


def run(symbols: int, bars: int, speed: int) -> tuple[Milliseconds, Milliseconds, Milliseconds]:
    """Live for some bars; give milliseconds to orders, to decisions, and how late an idle process was."""
    ended, (there, here) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
    idle = multiprocessing.Process(target=sleeper, args=(ended, here), daemon=True)
    watch = Watch()
    watch.begin()
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{'BTC' if not number else f'C{number}'}/USDT" for number in range(symbols)]
        settings = [*SETTINGS, f"data.symbols={names}", f"synthetic.bars={3_000 + bars}", f"runs.root={folder}/runs"]
        workspace = Workspace(load_config(None, settings))
        launch = Launch(is_paper=False, rehearsal=Rehearsal(speed=str(speed), bars=bars + 100), bars=bars)
        idle.start()
        try:
            live(workspace, launch, lambda _line: None)
        finally:
            exchange = find_exchange(bot_folder(workspace, launch))
            if exchange is not None:
                exchange.stop()
            ended.set()
        late = np.array(there.recv())
        idle.join()
    return np.array(watch.orders[3:]), np.array(watch.decided[5:]), late


def line(what: str, values: Milliseconds) -> None:
    told = (np.median(values), np.percentile(values, 99), values.max())
    print(f"{what:<50}{len(values):>6,}{told[0]:>9.2f}{told[1]:>9.2f}{told[2]:>9.2f}", flush=True)


def main() -> None:
    bars = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{'milliseconds':<50}{'count':>6}{'median':>9}{'p99':>9}{'most':>9}")
    orders, decided, late = run(1, bars, 300)
    line("1 symbol, final bar known to order written", orders)
    line("1 symbol, final bar known to decision taken", decided)
    line("an idle process beside it, late by", late)
    orders, decided, late = run(20, max(40, bars // 4), 60)
    line("20 symbols, last final bar to all decided", decided)
    line("20 symbols, last final bar to first order written", orders)
    line("an idle process beside it, late by", late)


if __name__ == "__main__":
    main()
