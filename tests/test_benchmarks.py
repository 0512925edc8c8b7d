"""The benchmarks run, and compare engines that do the same work; how fast they are is not asserted here."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from itb.mlmodels.deep.lesson import PanelLesson
from itb.mlmodels.deep.resnet import Resnet1d

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-bench" / "bin" / "python"
BARS = 2_000
TASKS: dict[str, dict[str, float]] = {
    "thresholds": {"buy": 0.6, "sell": -0.6},
    "stop and target": {"buy": 0.6, "sell": -0.6, "stop_loss": 0.002, "take_profit": 0.003},
}


@pytest.fixture(scope="module")
def module() -> Callable[[str], ModuleType]:
    """Import a module of the benchmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        importlib.import_module("benchmarks")
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def market(module: Callable[[str], ModuleType]) -> Any:
    return module("bench_engine").make_market(BARS)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("peer", ["backtrader_plain", "backtrader_strategy"])
def test_itb_and_backtrader_do_the_same_work(
    module: Callable[[str], ModuleType], market: Any, task: str, peer: str
) -> None:
    asked = module("peers.child").Task(**TASKS[task])
    ours, theirs = (
        engine.tell(engine.run(engine.load(market, asked)))
        for engine in (module("peers.itb_sparse"), module(f"peers.{peer}"))
    )
    assert ours.fill_count == theirs.fill_count > 20
    assert np.array_equal(ours.fills, theirs.fills)
    assert np.array_equal(ours.cash, theirs.cash)
    assert np.array_equal(ours.value, theirs.value)
    assert len(ours.value) == BARS


@pytest.mark.skipif(not PEERS.exists(), reason="the peers are not installed: make .venv-bench/ready")
@pytest.mark.parametrize("peer", ["BACKTESTING", "NAUTILUS"])
def test_the_peers_trade_as_often_and_end_close_by(
    module: Callable[[str], ModuleType], market: Any, tmp_path: Path, peer: str
) -> None:
    bench, asked = module("bench_engine"), module("peers.child").Task(**TASKS["thresholds"])
    market.write(tmp_path / "market.npz")
    engine = module("peers.itb_sparse")
    ours = engine.tell(engine.run(engine.load(market, asked)))
    theirs = bench.measure(getattr(bench, peer), tmp_path / "market.npz", asked)
    assert abs(theirs.fill_count - ours.fill_count) <= 1  # a position still open is closed by backtesting.py
    assert theirs.end_value == pytest.approx(ours.end_value, rel=0.02)


def test_a_difference_between_engines_is_refused_by_its_place(module: Callable[[str], ModuleType]) -> None:
    bench = module("bench_engine")
    same = {"fills": np.ones((3, 4)), "cash": np.ones(3), "value": np.ones(3)}
    other = same | {"value": np.array([1.0, 2.0, 1.0])}
    ours, theirs = (
        bench.Measured(engine, cpu_s=1, load_s=0, peak_mib=1, fill_count=3, end_value=1.0, done=done)
        for engine, done in ((bench.ITB, same), (bench.PLAIN, other))
    )
    bench.require_identical(ours, ours)
    with pytest.raises(SystemExit, match=r"value of .* differ, first in row 1"):
        bench.require_identical(ours, theirs)


def test_figures_go_between_the_markers_of_a_page(module: Callable[[str], ModuleType]) -> None:
    insert = module("__main__").insert
    page = "before\n<!-- engine -->\n<!-- end -->\nafter"
    once = insert(page, "engine", "a table\n")
    assert once == "before\n<!-- engine -->\n```text\na table\n```\n<!-- end -->\nafter"
    assert insert(once, "engine", "a table\n") == once


def test_an_unknown_benchmark_is_refused_with_the_names_that_are_there() -> None:
    command = [sys.executable, "-m", "benchmarks", "motor"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert ended.returncode == 2
    assert "no benchmark named 'motor'; there are chat, deep, engine, families" in ended.stderr


def test_options_go_to_one_benchmark_only() -> None:
    command = [sys.executable, "-m", "benchmarks", "engine", "honesty", "--full"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert ended.returncode == 2
    assert "name one benchmark to give it --full" in ended.stderr


def test_many_coins_on_one_account_are_what_backtrader_makes_of_them(
    module: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    module("bench_several").main(1_200)
    assert "the same at every step, bit for bit" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_the_naive_loader_reads_what_itb_reads(module: Callable[[str], ModuleType]) -> None:
    bench = module("bench_deep")
    panel = bench.make_panel(bench.Preset(3, 2, 16), 200)
    rows, labels = range(20, 180), np.zeros((160, 3))
    lesson = PanelLesson(panel, rows, labels, rows[-20:], labels[-20:])
    loader = bench._Training(Resnet1d(steps=16, batch_rows=32), lesson, 0, None, None)
    table = np.array(panel.cells.T, dtype=np.float64)
    centre, scale = lesson.input_scale(16)
    places = lesson.batches(32, np.random.default_rng(0))
    for (windows, _, _), place in zip(loader._batches(np.random.default_rng(0)), places, strict=True):
        naive = bench.naive_loader(list(rows[place]), table, 16, centre, scale)
        np.testing.assert_allclose(windows.numpy(), naive.numpy(), rtol=0, atol=1e-5)


def test_a_storm_of_orders_counts_what_is_wrong(module: Callable[[str], ModuleType]) -> None:
    orders = module("bench_orders")
    found = orders.rehearse(40, 3)
    assert (found.orders >= 40, found.faults > 0, found.wrong) == (True, True, 0)
    for name in ("lost", "doubled", "phantom", "broken", "off_by"):
        assert orders.together([found, dataclasses.replace(found, **{name: 1})]).wrong == 1
    assert orders.together([found, found]).orders == 2 * found.orders
