import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.market.bars import Bars


@pytest.fixture(scope="session")
def hourly() -> Bars:
    return SyntheticMarket(bars=6000, seed=5).bars()["BTC/USDT"]


@pytest.fixture(scope="session")
def plain_hourly(hourly: Bars) -> Bars:
    names = ("open", "high", "low", "close", "volume")
    return Bars(hourly.symbol, hourly.timeframe, hourly.open_time, {name: hourly[name] for name in names})
