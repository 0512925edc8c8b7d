"""How fast windows of many coins are read, learned from and scored.

Run with ``python benchmarks/bench_deep.py [BARS]`` (20,000 bars of noise by default); the sizes are those of
binancepredict and of its README. One thread; wall-clock, and CPU time where it says so. Where there is a GPU, training
with the full preset is measured beside what the device's own matrix product reaches; without one that part says so.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from itb.datafeeds.synthetic import SyntheticMarket
from itb.live.bars.bar import rows_of
from itb.live.episodes import Episodes
from itb.live.host.growing import GrowingBars
from itb.live.scores.panel import PanelDesk
from itb.market.timeframe import Timeframe
from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.blocks import scaled
from itb.mlmodels.deep.door import is_there
from itb.mlmodels.deep.fit import _Training, teach
from itb.mlmodels.deep.lesson import PanelLesson
from itb.mlmodels.deep.model import PanelModel
from itb.mlmodels.deep.panel import PRESETS, Panel, Preset
from itb.mlmodels.deep.resnet import Resnet1d
from itb.mlmodels.registry import Manifest, save_content
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry

BATCH = 256
AUTHORS = Resnet1d(steps=512, blocks=6, filters=64, double_every=4, dropout=0.2, pooling="mean")
SMALL = Resnet1d(steps=64, blocks=2, filters=32)


def make_panel(preset: Preset, times: int, folder: Path | None = None) -> Panel:
    """Fill a panel with noise; with ``folder`` it is a memory map."""
    shape = (preset.coins * preset.columns, times)
    rng = np.random.default_rng(1)
    if folder is None:
        cells: Any = rng.normal(size=shape).astype(np.float32)
    else:
        cells = np.lib.format.open_memmap(folder / "cells.npy", mode="w+", dtype=np.float32, shape=shape)
        for row in cells:
            row[:] = rng.normal(size=times)
        cells = np.load(folder / "cells.npy", mmap_mode="c")
    symbols = tuple(f"C{number:02d}/USDT" for number in range(preset.coins))
    channels = tuple(f"{symbol} {column}" for symbol in symbols for column in range(preset.columns))
    there = np.ones((times, preset.coins), dtype=np.bool_)
    return Panel(symbols, channels, np.arange(times) * 60_000, Timeframe.parse("1m"), cells, there)


def naive_loader(rows: list[int], table: Any, steps: int, centre: Any, scale: Any) -> Any:
    """Read as a data set of single windows does: copy, scale, fill and turn each, then stack them."""
    import torch

    found = []
    for row in rows:
        window = (table[row - steps + 1 : row + 1] - centre) / scale
        window = np.where(np.isnan(window), -1.0, window)
        found.append(torch.from_numpy(np.ascontiguousarray(window.T, dtype=np.float32)))
    return torch.stack(found)


def bench_reading(times: int) -> None:
    """Compare ways to deliver scaled batches as tensors of their own, by CPU time, and what is left of it in training.

    itb's way is the one that training takes, a whole epoch of it; the floor copies a batch that is whole already.
    """
    import torch

    preset = PRESETS["binancepredict"]
    with tempfile.TemporaryDirectory() as folder:
        panel = make_panel(preset, times, Path(folder))
        table = np.array(panel.cells.T, dtype=np.float64)
        centre, scale = table.mean(axis=0), table.std(axis=0)
        count = times - preset.steps - 1
        labels = np.zeros((count, preset.coins))
        rows = range(preset.steps, preset.steps + count)
        lesson = PanelLesson(panel, rows, labels, rows[-BATCH:], labels[-BATCH:])
        part = dataclasses.replace(SMALL, steps=preset.steps, batch_rows=BATCH, device="cpu")
        loader = _Training(part, lesson, 0, None, None)
        prepared = cpu_of(loader._scaled_cells)
        places = list(lesson.batches(BATCH, np.random.default_rng(0)))
        first = torch.nn.Conv1d(len(panel.channels), 64, 3, padding=1)

        def naive(act: Callable[[Any], object], most: int = 4) -> float:
            start = time.thread_time()
            for place in places[:most]:
                act(naive_loader(list(rows[place]), table, preset.steps, centre, scale))
            return (time.thread_time() - start) / most

        def ours(act: Callable[[Any], object], most: int = len(places)) -> float:
            start = time.thread_time()
            for number, (windows, _, _) in enumerate(loader._batches(np.random.default_rng(0))):
                act(windows)
                if number + 1 == most:
                    break
            return (time.thread_time() - start) / most

        whole = torch.zeros(BATCH, len(panel.channels), preset.steps)
        room = torch.zeros_like(whole)

        def convolved(windows: Any) -> None:
            with torch.inference_mode():
                first(windows)

        def taken(_windows: Any) -> None:
            pass

        ways: list[tuple[str, Callable[[], float]]] = [
            ("window by window: copied, scaled, stacked", lambda: naive(taken)),
            ("itb: scaled once, copied where one was before", lambda: ours(taken)),
            ("the floor: a batch copied as it is", lambda: cpu_of(lambda: room.copy_(whole))),
            ("window by window, and one convolution", lambda: naive(convolved, 2)),
            ("itb, and one convolution", lambda: ours(convolved, 4)),
        ]
        size = f"{preset.coins} coins x {preset.columns} columns x {preset.steps} steps"
        print(f"Delivering batches of {BATCH} windows of {size}, CPU time")
        print(f"{'':48}{'ms':>10}{'ratio':>12}")
        base = 0.0
        for name, act in ways:
            act()
            seconds = min(act() for _ in range(2))
            base = seconds if name.startswith("window") else base
            print(f"{name:48}{1e3 * seconds:10.3f}{base / seconds:11,.1f}x")
        print(f"scaling, once for a refit of {len(places)} batches an epoch: {1e3 * prepared:,.0f} ms")
        whole_panel, one = panel.cells.nbytes, whole.nbytes
        windows = count * len(panel.channels) * preset.steps * 4
        told = f"mapped {whole_panel / 2**20:,.0f} MiB, a batch {one / 2**20:,.0f} MiB, used again and again"
        print(f"{told}; all windows copied would be {windows / 2**30:,.1f} GiB\n")


def cpu_of(act: Callable[[], object]) -> float:
    """Give the CPU seconds of one call."""
    start = time.thread_time()
    act()
    return time.thread_time() - start


def fitted(part: DeepAlgorithm, panel: Panel) -> PanelModel:
    """Give a network that has learned nothing."""
    import torch

    torch.manual_seed(0)
    network = scaled(part.body(len(panel.channels), len(panel.symbols)), len(panel.channels))
    state = {name: one.detach().numpy().copy() for name, one in network.state_dict().items()}
    coins = len(panel.symbols)
    return PanelModel(
        part, panel.symbols, panel.channels, state, np.ones(coins), np.zeros(coins), np.eye(coins), np.zeros(coins)
    )


def bench_scoring(tries: int = 200) -> None:
    """Time one forward pass, and a bar of a bot: from the bars of all coins to the score of each."""
    preset = PRESETS["binancepredict_readme"]
    print(f"Scoring {preset.coins} coins x {preset.columns} columns, one bar, double precision, one thread")
    print(f"{'':38}{'CPU p50':>11}{'p99 ms':>9}{'wall p50':>11}{'p99 ms':>9}")
    medians = []
    for name, part in (("binancepredict's network, 512 steps", AUTHORS), ("small preset, 64 steps", SMALL)):
        panel = make_panel(preset, part.steps + 300)
        model = fitted(part, panel)

        def score(at: int, model: PanelModel = model, panel: Panel = panel, steps: int = part.steps) -> None:
            row = steps + 1 + at % 290
            model.scores(panel, range(row, row + 1))

        medians.append(_told(name, score, tries))
        with tempfile.TemporaryDirectory() as folder:
            desk = a_desk(part, preset, tries, Path(folder))
            symbol = next(iter(desk.windows))
            times = desk.windows[symbol].open_time[-tries:].tolist()
            _told("  as a bot, bars to scores", lambda at: desk.at(symbol, times[at]), tries)  # noqa: B023  called here

    def idle(_at: int) -> None:
        end = time.thread_time() + medians[0]
        while time.thread_time() < end:
            pass

    _told(f"nothing, for {1e3 * medians[0]:.0f} ms: what the machine adds", idle, tries)
    print()


def _told(name: str, act: Callable[[int], object], tries: int) -> float:
    """Print how long calls take; give the median of their CPU seconds."""
    act(0)
    taken = []
    for number in range(tries):
        start = time.perf_counter(), time.thread_time()
        act(number)
        taken.append((time.thread_time() - start[1], time.perf_counter() - start[0]))
    cpu, wall = (1e3 * np.quantile(column, [0.5, 0.99]) for column in np.transpose(taken))
    print(f"{name:38}{cpu[0]:11.2f}{cpu[1]:9.2f}{wall[0]:11.2f}{wall[1]:9.2f}")
    return float(cpu[0]) / 1e3


def a_desk(part: DeepAlgorithm, preset: Preset, ticks: int, folder: Path) -> PanelDesk:
    """Give the desk of a bot whose last ``ticks`` bars are not scored yet."""
    symbols = tuple(f"C{number:02d}/USDT" for number in range(preset.coins))
    market = SyntheticMarket(symbols=symbols, bars=part.steps + ticks + 20, seed=1, timeframe="1m").bars()
    rng = np.random.default_rng(2)
    extras = {f"extra{number}": rng.random(part.steps + ticks + 20) for number in range(preset.columns - 5)}
    bars = {symbol: one.with_columns(**extras) for symbol, one in market.items()}
    panel = Panel.of(bars, part.reading)
    first, frame = int(panel.open_time[0]), panel.timeframe.ms
    manifest = Manifest("r", "r", part.name, {}, panel.channels, 1, 0, first, first, first)
    name = save_content(fitted(part, panel).to_bytes(), part.suffix, manifest, folder / "models")
    entry = TimelineEntry(first, first, first + frame, f"models/{name}", promoted=True, reason="")
    ModelTimeline("r", -np.inf, np.inf, panel.channels, (entry,)).save(folder / "timeline.json")
    windows = {symbol: GrowingBars(one.head(len(one) - ticks)) for symbol, one in bars.items()}
    desk = PanelDesk(windows, folder, Episodes(print), frame)
    for symbol, one in bars.items():
        for bar in rows_of(one.slice(len(one) - ticks, None)):
            windows[symbol].append(bar)
    return desk


def bench_learning(part: DeepAlgorithm, preset: Preset, rows: int, name: str) -> float:
    """Time epochs of training; give windows a second, of the faster of two epochs."""
    panel = make_panel(preset, rows + part.steps + 1)
    labels = np.random.default_rng(2).normal(size=(rows, preset.coins))
    cut = rows - rows // 8
    places = range(part.steps, part.steps + rows)
    lesson = PanelLesson(panel, places[:cut], labels[:cut], places[cut:], labels[cut:])
    stamps: list[float] = []
    teach(part, lesson, 0, told=lambda _done, _most: stamps.append(time.perf_counter()))
    speed = cut / min(np.diff(stamps))
    print(f"{name:60}{speed:12,.0f} windows/s")
    return float(speed)


def bench_device(rows: int) -> None:
    """Measure training with the full preset on a GPU against the device's own matrix product."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    if not torch.cuda.is_available():
        print("No GPU is at hand: training with the full preset is not measured on one.")
        return
    preset = PRESETS["binancepredict"]
    network = scaled(AUTHORS.body(preset.coins * preset.columns, preset.coins), preset.coins * preset.columns)
    counter = FlopCounterMode(display=False)
    with counter:
        network(torch.zeros(8, preset.coins * preset.columns, preset.steps)).sum().backward()
    flops = counter.get_total_flops() / 8
    print(f"{torch.cuda.get_device_name()}: {flops / 1e9:.2f} GFLOP a window, forward and backward")
    for name, mixed, kind in (("float32", False, torch.float32), ("bfloat16", True, torch.bfloat16)):
        part = dataclasses.replace(
            AUTHORS, epochs=3, patience=9, mixed_precision=mixed, deterministic=False, prefetch=3, batch_rows=BATCH
        )
        speed = bench_learning(part, preset, rows, f"training, {name}")
        one = torch.randn(8192, 8192, device="cuda", dtype=kind)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(20):
            one @ one
        torch.cuda.synchronize()
        limit = 20 * 2 * 8192**3 / (time.perf_counter() - start)
        print(
            f"  {speed * flops / 1e12:.1f} TFLOP/s, {100 * speed * flops / limit:.0f} % of the device's matrix product"
        )


def main(times: int) -> None:
    """Run everything."""
    if not is_there():
        print("torch is not installed: nothing was measured")
        return
    import torch

    torch.set_num_threads(1)
    bench_reading(times)
    bench_scoring()
    quick = dataclasses.replace(SMALL, epochs=3, patience=9, device="cpu")
    bench_learning(quick, Preset(10, 6, 64), min(times, 8_000), "Learning on the CPU: small preset, 10 coins x 6 x 64")
    bench_device(min(times, 40_000))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
