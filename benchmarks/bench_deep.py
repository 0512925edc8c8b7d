"""How fast windows of many coins are read, learned from and scored.

Run with ``python benchmarks/bench_deep.py [BARS]`` (20,000 bars of noise by default); the sizes are those of
binancepredict and of its README. One thread; wall-clock, and CPU time where it says so. Where there is a GPU, training
with the full preset is measured beside what the device's own matrix product reaches; without one that part says so.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from itb.market.timeframe import Timeframe
from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.blocks import scaled
from itb.mlmodels.deep.door import is_there
from itb.mlmodels.deep.fit import teach
from itb.mlmodels.deep.lesson import PanelLesson
from itb.mlmodels.deep.model import PanelModel
from itb.mlmodels.deep.panel import PRESETS, Panel, Preset
from itb.mlmodels.deep.resnet import Resnet1d

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


def best_of(act: Callable[[], object], times: int) -> float:
    """Give the least seconds of several tries."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        found.append(time.perf_counter() - start)
    return min(found)


def bench_reading(times: int) -> None:
    """Compare ways to get a batch of windows."""
    import torch

    preset = PRESETS["binancepredict"]
    with tempfile.TemporaryDirectory() as folder:
        panel = make_panel(preset, times, Path(folder))
        table = np.array(panel.cells.T, dtype=np.float64)
        centre, scale = table.mean(axis=0), table.std(axis=0)
        apart = (times - preset.steps) // BATCH
        rows = range(preset.steps, preset.steps + apart * BATCH, apart)
        first = torch.nn.Conv1d(len(panel.channels), 64, 3, padding=1)

        def naive() -> Any:
            return naive_loader(list(rows), table, preset.steps, centre, scale)

        def view() -> Any:
            return torch.from_numpy(panel.windows(rows, preset.steps))

        ways: list[tuple[str, Callable[[], object], int]] = [
            ("window by window: copied, scaled, stacked", naive, 3),
            ("itb: a view of cells that were scaled once", view, 100),
            ("window by window, and the first convolution", lambda: first(naive()), 3),
            ("itb, and the first convolution", lambda: first(view()), 3),
        ]
        print(f"Reading {BATCH} windows of {preset.coins} coins x {preset.columns} columns x {preset.steps} steps")
        print(f"{'':46}{'ms':>10}{'ratio':>12}")
        seconds = []
        for name, act, tries in ways:
            act()
            seconds.append(best_of(act, tries))
            base = seconds[(len(seconds) - 1) // 2 * 2]  # the way before that is not itb's
            print(f"{name:46}{1e3 * seconds[-1]:10.3f}{base / seconds[-1]:11,.1f}x")
        whole, one = panel.cells.nbytes, BATCH * len(panel.channels) * preset.steps * 4
        windows = (times - preset.steps) * len(panel.channels) * preset.steps * 4
        told = f"mapped {whole / 2**20:,.0f} MiB, a batch copied {one / 2**20:,.0f} MiB"
        print(f"{told}, all windows copied {windows / 2**30:,.1f} GiB\n")


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
    """Time one forward pass, as live takes it at each bar."""
    preset = PRESETS["binancepredict_readme"]
    print(f"Scoring {preset.coins} coins x {preset.columns} columns, one bar, double precision, one thread")
    print(f"{'':38}{'wall p50':>11}{'p99 ms':>9}{'CPU p50':>11}{'p99 ms':>9}")
    for name, part in (("binancepredict's network, 512 steps", AUTHORS), ("small preset, 64 steps", SMALL)):
        panel = make_panel(preset, part.steps + 300)
        model = fitted(part, panel)
        model.scores(panel, range(part.steps + 1, part.steps + 2))
        taken = []
        for row in range(tries):
            at = part.steps + 1 + row % 290
            start = time.perf_counter(), time.thread_time()
            model.scores(panel, range(at, at + 1))
            taken.append((1e3 * (time.perf_counter() - start[0]), 1e3 * (time.thread_time() - start[1])))
        wall, cpu = (np.quantile(column, [0.5, 0.99]) for column in np.transpose(taken))
        print(f"{name:38}{wall[0]:11.2f}{wall[1]:9.2f}{cpu[0]:11.2f}{cpu[1]:9.2f}")
    print()


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
    import dataclasses

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
    import dataclasses

    import torch

    torch.set_num_threads(1)
    bench_reading(times)
    bench_scoring()
    quick = dataclasses.replace(SMALL, epochs=3, patience=9, device="cpu")
    bench_learning(quick, Preset(10, 6, 64), min(times, 8_000), "Learning on the CPU: small preset, 10 coins x 6 x 64")
    bench_device(min(times, 40_000))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
