from __future__ import annotations

import signal

import numpy as np
import pytest

from itb.datafeeds.download import download

from .killing import run_and_end
from .venue import MINUTE, START, Venue, walk

PAGES = 12
SERIES = ("binance", "BTC/USDT", MINUTE)


@pytest.fixture(scope="module")
def bars():
    return walk(PAGES * 1_000 + 1)


def check_killed_download(fetch, connect, store, bars, seed):
    rng = np.random.default_rng(seed)
    venue = Venue(bars)
    at_request = int(rng.integers(3, PAGES + 3))
    moment = {"server": venue, "at_request": at_request, "after_s": float(rng.uniform(0, 0.03))}
    run_and_end(download, store, *SERIES, since_ms=START, connection=connect(venue), batch_pages=1, **moment)

    held = store.read(*SERIES) if store.list() else bars.head(0)
    assert held.equals(bars.head(len(held)))
    assert len(held) >= 1_000 * (at_request - 3), "more than the batch in flight was lost"

    assert fetch(venue).bars == PAGES * 1_000 - len(held)
    assert store.read(*SERIES).equals(venue.closed)


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_download_leaves_good_bars_and_is_completed_by_the_next(fetch, connect, store, bars, seed):
    check_killed_download(fetch, connect, store, bars, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 110))
def test_downloads_killed_at_many_moments_leave_good_bars(fetch, connect, store, bars, seed):
    check_killed_download(fetch, connect, store, bars, seed)


def test_an_interrupted_download_stores_every_page_that_came(connect, store, bars):
    venue = Venue(bars)
    run_and_end(
        download,
        store,
        *SERIES,
        since_ms=START,
        connection=connect(venue),
        server=venue,
        at_request=8,
        with_signal=signal.SIGINT,
    )
    held = store.read(*SERIES)
    assert len(held) >= 5_000
    assert held.equals(bars.head(len(held)))
