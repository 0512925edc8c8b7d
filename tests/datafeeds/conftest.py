import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from itb.market.bars import Bars, IntArray
from itb.market.timeframe import Timeframe

MakeBars = Callable[..., Bars]


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
