import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.market.bars import Bars, IntArray
from itb.market.timeframe import Timeframe

MakeBars = Callable[..., Bars]


@pytest.fixture(scope="session")
def make_bars() -> MakeBars:
    """Valid bars at the given raster positions, with prices on a grid of 0.01 and volumes of 5 decimals."""

    def make(positions: IntArray | range, timeframe: str = "1h", seed: int = 7, extras: tuple[str, ...] = ()) -> Bars:
        rng = np.random.default_rng(seed)
        frame = Timeframe.parse(timeframe)
        n = len(positions)
        ends = rng.integers(100, 1_000_000, (4, n)) / 100
        extra = {name: rng.integers(0, 10**9, n) / 1e5 for name in extras}
        columns = {"open": ends[0], "high": ends.max(axis=0), "low": ends.min(axis=0), "close": ends[1]}
        times = frame.floor(1_700_000_000_000) + np.asarray(positions, dtype=np.int64) * frame.ms
        return Bars.of("BTC/USDT", frame, times, **columns, volume=rng.integers(0, 10**9, n) / 1e5, **extra)

    return make


@pytest.fixture(scope="session")
def real_bars() -> Callable[[str], Bars]:
    """Bars of a file of the real data, such as ``binance/BTCUSDT-1h``; skips where it is not there."""
    root = Path(os.environ.get("ITB_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))

    def read(name: str) -> Bars:
        path = root / f"{name}.parquet"
        if not path.exists():
            pytest.skip(f"no real data: {path} is absent (set ITB_DATA_DIR)")
        symbol, timeframe = path.stem.split("-")
        return Bars.from_arrow(pq.read_table(path), symbol, Timeframe.parse(timeframe))

    return read
