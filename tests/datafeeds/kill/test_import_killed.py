import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.datafeeds.importers import import_file
from itb.datafeeds.store import BarStore
from itb.market.bars import Bars

MakeBars = Callable[..., Bars]

MONTHS = 24
IMPORT = """
import sys
from pathlib import Path
from itb.datafeeds.importers import import_file
from itb.datafeeds.store import BarStore

print("start", flush=True)
say = lambda done, total, what: print(done, total, what, flush=True)
import_file(BarStore(Path(sys.argv[1])), "binance", Path(sys.argv[2]), progress=say)
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kill")


@pytest.fixture(scope="module")
def file(places: Path, make_bars: MakeBars) -> Path:
    """Two minutes of every sixth hour of two years."""
    path = places / "BTCUSDT-1m.parquet"
    hours = np.arange(MONTHS * 30 * 4) * 360
    bars = make_bars(np.sort(np.concatenate([hours, hours + 1])), "1m", seed=1, extras=("trades",))
    pq.write_table(bars.to_arrow(), path)
    return path


@pytest.fixture(scope="module")
def before(places: Path, make_bars: MakeBars) -> BarStore:
    """A store with bars of its own, some of them in the file with other numbers."""
    store = BarStore(places / "before")
    store.write("binance", make_bars(np.arange(MONTHS * 30 * 2) * 540, "1m", seed=2))
    return store


@pytest.fixture(scope="module")
def after(places: Path, file: Path, before: BarStore) -> BarStore:
    """What an import that nobody interrupts makes of ``before``."""
    store = BarStore(shutil.copytree(before.root, places / "after"))
    import_file(store, "binance", file)
    return store


def killed_import(root: Path, file: Path, steps: int, wait_s: float) -> int:
    """Import in another process and kill it with signal 9 a moment after it has told of so many steps."""
    command = [sys.executable, "-c", IMPORT, str(root), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(1 + steps):
            process.stdout.readline()
        until = time.perf_counter() + wait_s
        while time.perf_counter() < until:
            pass
        process.kill()
        process.stdout.read()
    return process.returncode


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rows(store: BarStore) -> dict[int, tuple[float, ...]]:
    bars = store.read("binance", "BTC/USDT", "1m")
    values = zip(*(bars[name].tolist() for name in ("open", "high", "low", "close", "volume")), strict=True)
    return dict(zip(bars.open_time.tolist(), values, strict=True))


def check_a_killed_import(root: Path, file: Path, before: BarStore, after: BarStore, seed: int) -> None:
    rng = np.random.default_rng(seed)
    store = BarStore(shutil.copytree(before.root, root))
    killed_import(store.root, file, int(rng.integers(0, MONTHS - 4)), float(rng.uniform(0, 0.004)))

    old, now, new = rows(before), rows(store), rows(after)
    assert old.keys() <= now.keys() <= new.keys()
    assert all(row in (old.get(time), new[time]) for time, row in now.items())
    assert store.series("binance", "BTC/USDT", "1m").bars == len(now)

    import_file(store, "binance", file)
    assert content(store.root) == content(after.root)


@pytest.mark.parametrize("seed", range(10))
def test_an_import_killed_at_any_moment_loses_nothing_and_is_completed_by_the_next(
    tmp_path: Path, file: Path, before: BarStore, after: BarStore, seed: int
) -> None:
    check_a_killed_import(tmp_path / "bars", file, before, after, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 200))
def test_a_hundred_killed_imports_lose_nothing(
    tmp_path: Path, file: Path, before: BarStore, after: BarStore, seed: int
) -> None:
    check_a_killed_import(tmp_path / "bars", file, before, after, seed)


def test_a_first_import_that_is_killed_is_completed_by_the_next(tmp_path: Path, file: Path) -> None:
    whole, store = BarStore(tmp_path / "whole"), BarStore(tmp_path / "killed")
    import_file(whole, "binance", file)
    assert killed_import(store.root, file, 2, 0.0) == -9
    import_file(store, "binance", file)
    assert content(store.root) == content(whole.root)
