from collections.abc import Callable

import numpy as np
import pytest

from itb.market.bars import Bars
from itb.market.timeframe import Timeframe
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.table import TrainingTable

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


def learnable(bars: int, seed: int = 3, horizon: int = 4) -> TrainingTable:
    """Six features, of which the first foretells a little of a 0/1 label; the first rows are still warming up."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(bars, 6)).astype(np.float32)
    features[:10, 3] = np.nan
    features[70, 1] = np.inf
    labels = (features[:, 0] + rng.normal(0, 1.5, bars) > 0).astype(np.float64)
    return TrainingTable(
        features=features,
        feature_names=tuple("abcdef"),
        label=LabelColumn.after(labels, horizon),
        label_name="up",
        is_binary=True,
        open_time=np.arange(bars) * HOUR_MS,
        timeframe=Timeframe(HOUR_MS),
    )


@pytest.fixture
def make_table() -> Callable[..., TrainingTable]:
    return learnable


@pytest.fixture
def table() -> TrainingTable:
    return learnable(600)
