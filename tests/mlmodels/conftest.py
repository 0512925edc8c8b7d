from collections.abc import Callable

import numpy as np
import pytest

from itb.market.bars import Bars

HOUR_MS = 3_600_000


def random_bars(n: int, seed: int, step: float = 0.01) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, step, n)))
    opened = np.roll(close, 1)
    opened[0] = 100.0
    reach = 1 + np.abs(rng.normal(0, step, (2, n)))
    high = np.maximum(opened, close) * reach[0]
    low = np.minimum(opened, close) / reach[1]
    volume = rng.uniform(1, 2, n)
    times = np.arange(n) * HOUR_MS
    return Bars.of("BTC/USDT", "1h", times, open=opened, high=high, low=low, close=close, volume=volume)


@pytest.fixture
def make_bars() -> Callable[..., Bars]:
    return random_bars


@pytest.fixture
def bars() -> Bars:
    return random_bars(400, seed=1)
