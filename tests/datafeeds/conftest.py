import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from itb.market.bars import Bars, IntArray
from itb.market.timeframe import Timeframe

MakeBars = Callable[..., Bars]
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def make_bars() -> MakeBars:
    """Valid bars at the given raster positions after ``start``, with prices on a grid of 0.01."""

    def make(
        positions: IntArray | range,
        timeframe: str = "1h",
        *,
        start: int = 1_704_067_200_000,
        seed: int = 7,
        extras: tuple[str, ...] = (),
        symbol: str = "BTC/USDT",
    ) -> Bars:
        rng = np.random.default_rng(seed)
        frame = Timeframe.parse(timeframe)
        n = len(positions)
        ends = rng.integers(100, 1_000_000, (4, n)) / 100
        extra = {name: rng.integers(0, 10**9, n) / 1e5 for name in extras}
        columns = {"open": ends[0], "high": ends.max(axis=0), "low": ends.min(axis=0), "close": ends[1]}
        times = frame.floor(start) + np.asarray(positions, dtype=np.int64) * frame.ms
        return Bars.of(symbol, frame, times, **columns, volume=rng.integers(0, 10**9, n) / 1e5, **extra)

    return make


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """A file of the real data, such as ``binance/BTCUSDT-1h``; skips where it is not there."""
    root = Path(os.environ.get("ITB_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / f"{name}.parquet"
        if not path.exists():
            pytest.skip(f"no real data: {path} is absent (set ITB_DATA_DIR)")
        return path

    return find


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lines to a file: packed according to the name's last suffix."""

    def pack(*lines: str, name: str = "BTCUSDT-1h.csv", end: str = "\n") -> Path:
        path = tmp_path / name
        content = (end.join(lines) + end).encode()
        if path.suffix == ".gz":
            content = gzip.compress(content)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{path.stem}.csv", content)
        else:
            path.write_bytes(content)
        return path

    return pack


@pytest.fixture
def three_bars() -> Bars:
    times = 1_704_067_200_000 + np.arange(3) * 3_600_000
    columns = {"open": [2, 2, 4], "high": [3, 4, 4], "low": [1, 2, 3], "close": [2, 4, 3], "volume": [9, 8, 7]}
    return Bars.of("BTC/USDT", "1h", times, **columns)
