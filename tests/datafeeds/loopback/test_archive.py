from __future__ import annotations

import dataclasses

import pytest

from itb.datafeeds.archive import download_archive
from itb.datafeeds.backoff import Retrier
from itb.errors import ConfigError, GatewayError
from itb.market.bars import OHLCV
from itb.market.timeframe import DAY_MS, Timeframe

from .archive_site import ArchiveSite, as_zip, days, months
from .server import serving
from .venue import START, Reply, walk, without

HOUR = Timeframe.parse("1h")
FEBRUARY = START + 31 * DAY_MS
MARCH = FEBRUARY + 29 * DAY_MS
APRIL = MARCH + 31 * DAY_MS
MID_APRIL = APRIL + 10 * DAY_MS + 5 * HOUR.ms


@pytest.fixture(scope="module")
def bars():
    """Hours from the first of January to the tenth of April."""
    return walk((31 + 29 + 31 + 10) * 24, timeframe=HOUR)


@pytest.fixture
def site(bars):
    site = ArchiveSite()
    site.publish(bars, months(bars.between(None, APRIL)))
    site.publish(bars, days(bars.between(APRIL, None)))
    return site


@pytest.fixture
def load(store, site):
    """Download from the site; nobody waits."""
    with serving(site.answer) as base_url:

        def run(symbol="BTC/USDT", **more):
            options = {
                "since_ms": START,
                "now_ms": MID_APRIL,
                "base_url": base_url,
                "timeout_s": 0.5,
                "retrier": Retrier(sleep=lambda seconds: None, seed=1),
                **more,
            }
            return download_archive(store, "binance", symbol, options.pop("timeframe", HOUR), **options)

        yield run


def assert_holds(store, truth, symbol="BTC/USDT"):
    stored = store.read("binance", symbol, HOUR)
    plain = dataclasses.replace(stored, columns={name: stored[name] for name in OHLCV})
    assert plain.equals(dataclasses.replace(truth, symbol=symbol)), (len(stored), len(truth))


def spoilt(reply):
    return dataclasses.replace(reply, body=reply.body[:-40] + bytes(40))


def test_months_and_days_give_the_whole_history(load, store, site, bars):
    result = load()
    assert_holds(store, bars)
    assert (result.files, result.bars, result.missing, result.absent) == (3 + 10, len(bars), 0, ())
    assert result.requests == len(site.paths) == 26
    assert store.read("binance", "BTC/USDT", HOUR)["trades"][0] == 7


def test_microseconds_are_told_from_milliseconds(load, store, site, bars):
    site.publish(bars, months(bars.between(FEBRUARY, MARCH)), unit=1_000)
    load()
    assert_holds(store, bars)


def test_futures_lie_elsewhere_and_have_a_header(load, store, site, bars):
    site.publish(bars, months(bars.between(None, MARCH)), symbol="BTC/USDT:USDT", header=True)
    load("BTC/USDT:USDT", until_ms=MARCH)
    assert_holds(store, bars.between(None, MARCH), "BTC/USDT:USDT")
    assert all(path.startswith("/data/futures/um/monthly/klines/BTCUSDT/1h/") for path in site.paths)


def test_what_is_complete_is_skipped(load, site):
    load()
    site.paths.clear()
    result = load()
    assert (result.files, result.skipped, result.bars, site.paths) == (0, 13, 0, [])


def test_a_month_with_gaps_of_the_exchange_is_not_fetched_again(load, store, site, bars):
    gappy = without(bars, [5, 6, 1_000])
    site.publish(gappy, months(gappy.between(None, APRIL)))
    assert load().missing == 3
    site.paths.clear()
    assert load().missing == 3
    assert site.paths == []


def test_only_bars_that_were_asked_for_are_stored(load, store, bars):
    since, until = START + 40 * HOUR.ms, FEBRUARY + 7 * HOUR.ms
    load(since_ms=since, until_ms=until)
    assert_holds(store, bars.between(since, until))


def test_months_before_the_listing_are_reported_and_no_fault(load, store, bars):
    result = load(since_ms=START - 60 * DAY_MS)
    assert result.absent == ("2023-11", "2023-12")
    assert "2 files are not in the archive (2023-11 to 2023-12)" in result.summary
    assert_holds(store, bars)


def test_days_stand_in_for_a_month_that_is_not_out_yet(load, store, site, bars):
    march = months(bars.between(MARCH, APRIL))
    site.publish(bars, days(bars.between(MARCH, APRIL)))
    for path in [path for path in site.files if f"-{march[0].name}.zip" in path]:
        del site.files[path]
    result = load()
    assert result.files == 2 + 31 + 10
    assert_holds(store, bars)


def test_the_newest_day_may_be_missing(load, store, site, bars):
    for path in [path for path in site.files if "2024-04-10" in path]:
        del site.files[path]
    result = load()
    assert result.absent == ("2024-04-10",)
    assert_holds(store, bars.head(len(bars) - 24))


def test_an_archive_without_the_symbol_is_an_error(load):
    with pytest.raises(GatewayError, match="the archive has nothing of NOPE/USDT 1h from 2024-01 to 2024-04"):
        load("NOPE/USDT")


def test_a_file_that_was_spoilt_on_the_way_is_fetched_again(load, store, site, bars):
    site.spoil("2024-02.zip", spoilt)
    load()
    assert_holds(store, bars)
    assert len([path for path in site.paths if path.endswith("2024-02.zip")]) == 2


def test_a_checksum_that_is_wrong_twice_is_refused(load, store, site, bars):
    site.spoil("2024-02.zip", spoilt, times=99)
    with pytest.raises(GatewayError, match=r"2024-02.zip: its SHA-256 is \w+, the archive says \w+, twice.*744 bars"):
        load()
    assert_holds(store, bars.between(None, FEBRUARY))


def test_a_checksum_file_of_nonsense_is_refused(load, store, site):
    site.spoil("2024-01.zip.CHECKSUM", lambda reply: Reply(200, b"<html>"), times=99)
    with pytest.raises(GatewayError, match="no SHA-256 checksum in '<html>'"):
        load()
    assert store.list() == []


def test_a_broken_file_with_a_right_checksum_is_refused(load, store, site):
    path = next(path for path in site.files if path.endswith("2024-01.zip"))
    site.put(path, site.files[path][:5_000])
    with pytest.raises(GatewayError, match=r"2024-01.zip"):
        load()
    assert store.list() == []


def test_bars_of_another_month_are_refused(load, store, site, bars):
    path = next(path for path in site.files if path.endswith("2024-01.zip"))
    site.files[path] = site.files[path.replace("01.zip", "02.zip")]
    site.put(path, site.files[path])
    with pytest.raises(GatewayError, match="holds bars that are not of 2024-01"):
        load()
    assert store.list() == []


@pytest.mark.parametrize(
    "fault",
    [
        lambda reply: Reply(503),
        lambda reply: Reply(429, headers={"Retry-After": "3"}),
        lambda reply: dataclasses.replace(reply, ending="cut"),
        lambda reply: Reply(ending="reset"),
        lambda reply: Reply(ending="hang"),
    ],
    ids=["503", "429", "cut", "reset", "hang"],
)
def test_faults_that_pass_cost_retries_only(load, store, site, bars, fault):
    site.spoil("2024-02.zip", fault, times=2)
    site.spoil("2024-03.zip.CHECKSUM", fault, times=1)
    result = load()
    assert_holds(store, bars)
    assert result.retries == 3


def test_an_archive_that_stays_down_is_given_up_and_what_came_is_stored(load, store, site, bars):
    site.spoil("2024-03.zip", lambda reply: Reply(500), times=99)
    with pytest.raises(GatewayError, match=r"gave up after 8 tries, last: HTTP 500; 1,440 bars stored; run again"):
        load()
    assert_holds(store, bars.between(None, MARCH))
    site.faults.clear()
    assert load().skipped == 2
    assert_holds(store, bars)


def test_a_refusal_is_not_repeated(load, site):
    site.spoil("2024-01.zip", lambda reply: Reply(403), times=99)
    with pytest.raises(GatewayError, match="the archive refuses"):
        load()
    assert len([path for path in site.paths if path.endswith("2024-01.zip")]) == 1


def test_ctrl_c_keeps_what_came_and_the_next_run_goes_on(load, store, bars):
    def interrupt(done, total, what):
        if "2024-02" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="stopped; 1,440 bars stored; run again to resume"):
        load(progress=interrupt)
    assert_holds(store, bars.between(None, MARCH))
    load()
    assert_holds(store, bars)


def test_progress_comes_in_order_of_time(load):
    told = []
    load(progress=lambda done, total, what: told.append((done, total, what)))
    assert [what for _, _, what in told][:4] == [f"BTC/USDT 1h 2024-{name}" for name in ("01", "02", "03", "04-01")]
    assert told[-1][0] == told[-1][1] == 101 * DAY_MS


def test_no_more_files_at_a_time_than_workers(load, site):
    load(workers=2)
    assert site.most_at_once <= 2


def test_nothing_is_left_behind_on_the_disk(load, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    load()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("exchange", "words"),
    [("kraken", "has no archive that itb can read"), ("binanse", "has no archive that itb can read")],
)
def test_an_exchange_without_an_archive_is_refused(store, exchange, words):
    with pytest.raises(ConfigError, match=words):
        download_archive(store, exchange, "BTC/USDT", HOUR, since_ms=START)


def test_a_timeframe_that_is_not_kept_is_refused(load):
    with pytest.raises(GatewayError, match="keeps no 10m bars"):
        load(timeframe=Timeframe.parse("10m"))


def test_an_empty_zip_is_refused(load, store, site):
    path = next(path for path in site.files if path.endswith("2024-01.zip"))
    site.put(path, as_zip("BTCUSDT-1h-2024-01", ""))
    with pytest.raises(GatewayError, match=r"2024-01.zip"):
        load()
    assert store.list() == []
