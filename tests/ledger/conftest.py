"""Tapes: bars and fills drawn from a seed, with every kind of fill that moves money."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import coverage
import numpy as np
import pytest

from itb.market.bars import Bars
from itb.market.fills import Fill

Tape = tuple[Bars, list[Fill]]


def _bars(rng: np.random.Generator, count: int, timeframe: str, gaps: bool) -> Bars:
    minutes = {"1m": 1, "1h": 60, "1d": 1440}[timeframe]
    steps = 1 + (rng.random(count) < 0.05) * rng.integers(1, 60, count) if gaps else np.ones(count, dtype=int)
    times = 1_700_000_000_000 // 86_400_000 * 86_400_000 + np.cumsum(steps) * minutes * 60_000
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    volume = rng.uniform(1, 100, count)
    return Bars.of("BTC/USDT", timeframe, times, open=opened, high=high, low=low, close=close, volume=volume)


def _fee(rng: np.random.Generator, qty: float, price: float, currency: str) -> tuple[float, float, str]:
    worth = abs(qty) * price * 0.001
    if currency == "base" and qty > 0:
        return qty * 0.001, worth, "base"
    return worth, worth, "quote" if currency == "base" else currency


@pytest.fixture(scope="session")
def tape() -> Callable[..., Tape]:
    """Draw a tape: entries, scale-ins, partial exits, exits, reversals and, if asked, funding."""

    def draw(
        seed: int,
        *,
        bars: int = 300,
        fills: int = 60,
        currency: str = "quote",
        funding: bool = False,
        timeframe: str = "1h",
        gaps: bool = False,
    ) -> Tape:
        rng = np.random.default_rng(seed)
        market = _bars(rng, bars, timeframe, gaps)
        held, made = 0, []
        for number, bar in enumerate(np.sort(rng.integers(0, bars, fills)).tolist()):
            opened, price = int(market.open_time[bar]), float(market.open[bar])
            if funding and rng.random() < 0.2:
                paid = float(rng.normal(0, 0.01)) * held * price
                made.append(Fill(bar, opened, 0, "BTC/USDT", 0.0, price, paid, paid, "quote", "funding"))
                continue
            change = -held if held and rng.random() < 0.3 else int(rng.choice([-5, -3, -2, -1, 1, 2, 3, 5]))
            held += change
            fee, worth, name = _fee(rng, float(change), price, currency)
            made.append(Fill(bar, opened, number + 1, "BTC/USDT", float(change), price, fee, worth, name, "signal"))
        return market, made

    return draw


@pytest.fixture
def cpu_ms() -> Callable[[Callable[[], object]], float]:
    """Measure the least CPU time, in milliseconds, of several calls; skip where tracing would be measured."""
    if sys.gettrace() is not None or coverage.Coverage.current() is not None:
        pytest.skip("coverage tracing multiplies the time; make test measures it")

    def measure(work: Callable[[], object]) -> float:
        took = []
        for _ in range(5):
            began = time.process_time()
            work()
            took.append(time.process_time() - began)
        return min(took) * 1_000

    return measure
