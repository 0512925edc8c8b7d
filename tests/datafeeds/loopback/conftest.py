from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from itb.datafeeds.backoff import Retrier
from itb.datafeeds.ccxt_history import Connection
from itb.datafeeds.download import Downloaded, download
from itb.datafeeds.store import BarStore
from itb.market.timeframe import Timeframe

from .server import serving
from .venue import MINUTE, START, Venue


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "bars")


@pytest.fixture
def connect() -> Iterator[Callable[[Venue], Connection]]:
    """Put a venue on 127.0.0.1 and say how the real ccxt client reaches it."""
    with ExitStack() as servers:

        def start(venue: Venue) -> Connection:
            base_url = servers.enter_context(serving(venue.answer))
            return Connection(base_url=base_url, settings={"rateLimit": 1}, timeout_s=0.25)

        yield start


@pytest.fixture
def fetch(connect, store) -> Callable[..., Downloaded]:
    """Download from a venue into the store; whoever waits moves the venue's clock instead."""
    connections: dict[int, Connection] = {}

    def run(venue: Venue, symbol: str = "BTC/USDT", timeframe: Timeframe = MINUTE, **more) -> Downloaded:
        if id(venue) not in connections:
            connections[id(venue)] = connect(venue)
        retrier = Retrier(sleep=venue.wait, seed=1)
        options = {"since_ms": START, "connection": connections[id(venue)], "retrier": retrier, **more}
        return download(store, "binance", symbol, timeframe, **options)

    return run
