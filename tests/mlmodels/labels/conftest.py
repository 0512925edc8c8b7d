import numpy as np
import pytest

from itb.market.bars import Bars


@pytest.fixture
def make_tape():
    """Give hourly bars of closes, and of highs and lows where they differ."""

    def make(close, high=None, low=None):
        times = np.arange(len(close)) * 3_600_000
        prices = {"open": close, "high": close if high is None else high, "low": close if low is None else low}
        return Bars.of("BTC/USDT", "1h", times, **prices, close=close, volume=close)

    return make
