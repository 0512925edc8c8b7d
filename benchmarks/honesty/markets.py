"""Three years of hourly returns without anything to find: what is earned is luck, or the market's own rise."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np

from itb.market.bars import FloatArray

DATA = Path(os.environ.get("ITB_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))
REAL = "binance/BTCUSDT-1h.parquet"
DAYS = 1_095
HOURS = 24 * DAYS
HOURLY = 0.6 / np.sqrt(24 * 365)  # 60 % a year
BLOCK = 72


def gaussian(rng: np.random.Generator) -> FloatArray:
    """Independent normal returns without drift."""
    return rng.normal(0, HOURLY, HOURS)


def garch(rng: np.random.Generator) -> FloatArray:
    """GARCH(1,1), alpha 0.08, beta 0.90, Student shocks of 5 degrees: calm and wild weeks, fat tails, no drift."""
    shocks = (rng.standard_t(5, HOURS) / np.sqrt(5 / 3)).tolist()
    base, variance, returns = 0.02 * HOURLY**2, HOURLY**2, []
    for shock in shocks:
        now = variance**0.5 * shock
        returns.append(now)
        variance = base + 0.08 * now * now + 0.9 * variance
    return np.asarray(np.clip(returns, -0.3, 0.3), dtype=np.float64)


def real(rng: np.random.Generator) -> FloatArray:
    """Blocks of real hourly returns, three days long on average, in a random order, with the drift they had."""
    return resample(_real(), rng)


def bull(rng: np.random.Generator) -> FloatArray:
    """Independent normal returns in a market whose own Sharpe ratio is 1.5: being in it pays, timing does not."""
    return rng.normal(1.5 * HOURLY / np.sqrt(24 * 365), HOURLY, HOURS)


def resample(returns: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw three years from ``returns`` by the stationary bootstrap."""
    begins = rng.random(HOURS) < 1 / BLOCK
    begins[0] = True
    latest = np.maximum.accumulate(np.where(begins, np.arange(HOURS), 0))
    start = rng.integers(0, len(returns), HOURS)
    return np.asarray(returns[(start[latest] + np.arange(HOURS) - latest) % len(returns)])


def has_real() -> bool:
    return (DATA / REAL).exists()


@cache
def _real() -> FloatArray:
    import pyarrow.parquet as pq

    close = pq.read_table(DATA / REAL, columns=["close"])["close"].to_numpy()
    return np.asarray(np.diff(close) / close[:-1])


MARKETS = {"Gaussian": gaussian, "GARCH": garch, "real, resampled": real, "bull": bull}
