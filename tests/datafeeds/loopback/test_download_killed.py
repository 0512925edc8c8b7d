from __future__ import annotations

import multiprocessing
import signal
import threading

import numpy as np
import pytest

from itb.datafeeds.download import download

from .venue import MINUTE, START, Venue, walk

KILLER = multiprocessing.get_context("forkserver")
KILLER.set_forkserver_preload(["itb.datafeeds.download", "pyarrow.parquet"])
PAGES = 12


@pytest.fixture(scope="module")
def bars():
    return walk(PAGES * 1_000 + 1)


def download_and_kill(store, venue, connection, *, at_request, after_s):
    """Run a download in a process of its own and kill it ``after_s`` after its request number ``at_request``."""
    due = threading.Event()
    venue.on_request = lambda count: due.set() if count == at_request else None
    child = KILLER.Process(
        target=download,
        args=(store, "binance", "BTC/USDT", MINUTE),
        kwargs={"since_ms": START, "connection": connection, "batch_pages": 1},
        daemon=True,
    )
    child.start()
    assert due.wait(30)
    threading.Event().wait(after_s)
    child.kill()
    child.join()
    venue.on_request = lambda count: None
    return child.exitcode


def check_killed_download(fetch, connect, store, bars, seed):
    rng = np.random.default_rng(seed)
    venue = Venue(bars)
    moment = {"at_request": int(rng.integers(3, PAGES + 3)), "after_s": float(rng.uniform(0, 0.03))}
    exitcode = download_and_kill(store, venue, connect(venue), **moment)
    assert exitcode in (-signal.SIGKILL, 0)

    held = store.read("binance", "BTC/USDT", MINUTE) if store.list() else bars.head(0)
    assert held.equals(bars.head(len(held)))
    assert len(held) >= 1_000 * (moment["at_request"] - 3), "more than the batch in flight was lost"

    result = fetch(venue)
    assert result.bars == PAGES * 1_000 - len(held)
    assert store.read("binance", "BTC/USDT", MINUTE).equals(venue.closed)


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_download_leaves_good_bars_and_is_completed_by_the_next(fetch, connect, store, bars, seed):
    check_killed_download(fetch, connect, store, bars, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 100))
def test_downloads_killed_at_many_moments_leave_good_bars(fetch, connect, store, bars, seed):
    check_killed_download(fetch, connect, store, bars, seed)
