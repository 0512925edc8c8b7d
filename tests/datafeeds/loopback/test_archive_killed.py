from __future__ import annotations

import numpy as np
import pytest

from itb.datafeeds.archive import download_archive
from itb.market.timeframe import DAY_MS

from .archive_site import ArchiveSite, days
from .killing import run_and_end
from .server import serving
from .venue import MINUTE, START, walk

DAYS = 12
SERIES = ("binance", "BTC/USDT", MINUTE)


@pytest.fixture(scope="module")
def bars():
    return walk(DAYS * 1_440)


@pytest.fixture(scope="module")
def files(bars):
    site = ArchiveSite()
    site.publish(bars, days(bars))
    return site.files


def check_killed_archive(store, bars, files, seed):
    rng = np.random.default_rng(seed)
    site = ArchiveSite()
    site.files = files
    options = {"since_ms": START, "now_ms": START + DAYS * DAY_MS}
    with serving(site.answer) as base_url:
        moment = {"at_request": int(rng.integers(1, 2 * DAYS + 1)), "after_s": float(rng.uniform(0, 0.06))}
        run_and_end(download_archive, store, *SERIES, base_url=base_url, server=site, **options, **moment)
        held = store.read(*SERIES) if store.list() else bars.head(0)
        assert np.array_equal(held.open_time, bars.open_time[: len(held)])
        assert np.array_equal(held.close, bars.close[: len(held)])

        result = download_archive(store, *SERIES, base_url=base_url, **options)
    assert result.bars == len(bars) - len(held)
    assert result.skipped == len(held) // 1_440
    assert np.array_equal(store.read(*SERIES).close, bars.close)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_archive_download_leaves_whole_days_and_is_completed_by_the_next(store, bars, files, seed):
    check_killed_archive(store, bars, files, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4, 54))
def test_archive_downloads_killed_at_many_moments_leave_whole_days(store, bars, files, seed):
    check_killed_archive(store, bars, files, seed)
