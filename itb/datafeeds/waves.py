"""Two plain test feeds, a sine and a triangle, whose every bar can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from itb.market.bars import Bars, FloatArray
from itb.market.timeframe import Timeframe

MIDDLE = 200.0
SWING = 4.0  # 2 % of the middle
PERIOD_MINUTES = 360
START_MS = 1_672_531_200_000  # 2023-01-01 00:00 UTC


def sinus(bars: int = 1440, timeframe: str | Timeframe = "1m", *, start_ms: int = START_MS) -> Bars:
    """Give bars of a price that swings as a sine between 196 and 204 with a period of 360 minutes.

    The price ``t`` minutes after ``start_ms`` is ``200 + 4 y`` with ``y = sin(2 pi t / 360)``. A bar opens at the
    price of its open time and closes at the price of its close time; every minute that ends in it adds a volume of
    ``100 (1 - |y|)``.

    >>> feed = sinus(bars=91)
    >>> feed.open[[0, 90]].tolist(), feed.close[89].item(), feed.volume[89].item()
    ([200.0, 204.0], 204.0, 0.0)
    """
    return _bars("SINUS/USDT", _sine, bars, timeframe, start_ms)


def triangle(bars: int = 1440, timeframe: str | Timeframe = "1m", *, start_ms: int = START_MS) -> Bars:
    """Give bars of a price that runs in straight lines between 196 and 204 with a period of 360 minutes.

    As :func:`sinus`, with ``y`` rising from 0 to 1 in 90 minutes, falling to -1 in 180 and rising to 0 in 90.

    >>> triangle(bars=361).close[[44, 89, 179, 269, 359]].tolist()
    [202.0, 204.0, 200.0, 196.0, 200.0]
    """
    return _bars("TRIANGLE/USDT", _triangle, bars, timeframe, start_ms)


def _sine(turns: FloatArray) -> FloatArray:
    return np.sin(2 * np.pi * turns)


def _triangle(turns: FloatArray) -> FloatArray:
    height: FloatArray = 1 - 4 * np.abs((turns + 0.25) % 1 - 0.5)
    return height


def _bars(
    symbol: str, wave: Callable[[FloatArray], FloatArray], bars: int, timeframe: str | Timeframe, start_ms: int
) -> Bars:
    frame = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
    if bars < 1:
        raise ValueError(f"bars must be at least 1, was {bars}")
    y = wave(np.arange(bars * frame.minutes + 1) / PERIOD_MINUTES)
    price = MIDDLE + SWING * y
    ends = price[1:].reshape(bars, frame.minutes)
    opens = price[: -frame.minutes : frame.minutes]
    columns = {
        "open": opens,
        "high": np.maximum(opens, ends.max(axis=1)),
        "low": np.minimum(opens, ends.min(axis=1)),
        "close": ends[:, -1],
        "volume": np.maximum(0.0, 100 * (1 - np.abs(y[1:]))).reshape(bars, frame.minutes).sum(axis=1),
    }
    open_time = int(frame.floor(start_ms)) + frame.ms * np.arange(bars, dtype=np.int64)
    return Bars(symbol, frame, open_time, columns)
