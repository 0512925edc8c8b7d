"""Small panels, and what skips a test where torch is absent."""

from __future__ import annotations

import numpy as np
import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.mlmodels.deep.door import is_there

COINS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if is_there():
        return
    absent = pytest.mark.skip(reason="torch is not installed; make test installs it where it is to be had")
    for item in items:
        if item.get_closest_marker("torch"):
            item.add_marker(absent)


@pytest.fixture(scope="session")
def coins():
    return SyntheticMarket(symbols=COINS, bars=700, seed=5).bars()


@pytest.fixture(scope="session")
def gappy(coins):
    """The same coins: ETH lacks some bars in the middle, SOL is listed late."""
    eth, sol = coins["ETH/USDT"], coins["SOL/USDT"]
    keep = np.ones(len(eth), dtype=bool)
    keep[[300, 301, 450]] = False
    holed = type(eth)(eth.symbol, eth.timeframe, eth.open_time[keep], {k: v[keep] for k, v in eth.columns.items()})
    return {**coins, "ETH/USDT": holed, "SOL/USDT": sol.slice(200, None)}
