"""A small project in a folder of its own, for tests of single commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from itb.config import load_config
from itb.datafeeds.store import BarStore
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe
from itb.runs.workspace import Workspace

collect_ignore = ["wild_parts.py"]  # a plugin: whoever imports it enters its parts into the tables
NOW = 1_767_312_000_000  # 2026-01-02
SMALL = (
    "synthetic.bars=600",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label.horizon=6",
    "model.algorithm=logistic",
    "walkforward.train=300",
    "walkforward.refit_every=100",
    "walkforward.min_train_rows=50",
    "walkforward.workers=1",
)
THREE = (
    "labels=[{horizon=6, threshold=0.0, alias='rise'}, {horizon=4, alias='move'}]",
    "models=[{algorithm='logistic', labels=['rise']}, {algorithm='linear'}]",
)


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[..., Workspace]:
    """A workspace in ``tmp_path`` on a small synthetic market; ``options`` are those of the command line."""

    def make(*settings: str, options: dict | None = None, **more) -> Workspace:
        config = load_config(overrides=[*SMALL, *settings], options=options, folder=tmp_path, environ={})
        return Workspace(config, **{"clock": lambda: NOW, **more})

    return make


@pytest.fixture
def several(tmp_path: Path) -> Callable[..., Workspace]:
    """The same workspace with three score columns: ``rise_logistic``, ``rise_linear`` and ``move_linear``."""
    kept = [setting for setting in SMALL if not setting.startswith(("label", "model"))]

    def make(*settings: str, **more) -> Workspace:
        config = load_config(overrides=[*kept, *THREE, *settings], folder=tmp_path, environ={})
        return Workspace(config, **{"clock": lambda: NOW, **more})

    return make


@pytest.fixture
def bars() -> Callable[..., Bars]:
    """Valid bars at given positions on the raster."""

    def make(symbol: str = "BTC/USDT", timeframe: str = "1h", positions=range(400), start: int = 1_704_067_200_000):
        frame = Timeframe.parse(timeframe)
        close = 100 + np.sin(np.asarray(positions) / 9)
        times = start + np.asarray(positions, dtype=np.int64) * frame.ms
        prices = {"open": close, "high": close + 1, "low": close - 1, "close": close}
        return Bars.of(symbol, frame, times, **prices, volume=np.ones(len(close)))

    return make


@pytest.fixture
def stored(tmp_path: Path, bars) -> Callable[..., BarStore]:
    """Put bars into the project's store."""

    def put(exchange: str = "mine", symbol: str = "BTC/USDT", timeframe: str = "1h", **more) -> BarStore:
        store = BarStore(tmp_path / "data")
        store.write(exchange, bars(symbol, timeframe, **more))
        return store

    return put


@pytest.fixture
def damage(tmp_path: Path) -> Callable[[], Path]:
    """Flip a byte in the middle of a stored file."""

    def flip() -> Path:
        path = next((tmp_path / "data").rglob("*.parquet"))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
        return path

    return flip


@pytest.fixture
def own_strategy(tmp_path):
    """Write a strategy file into the project and give the setting that names it."""

    def write(body):
        text = "import backtrader as bt\n\nfrom itb.indicators.score import MLScore\n\n\nclass Own(bt.Strategy):\n"
        (tmp_path / "own.py").write_text(text + body)
        return f"strategy.name={tmp_path / 'own.py'}:Own"

    return write
