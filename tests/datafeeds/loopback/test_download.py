from __future__ import annotations

import numpy as np
import pytest

from itb.errors import ConfigError, GatewayError
from itb.market.timeframe import DAY_MS, Timeframe

from .venue import FAULTS, MINUTE, PAGE, START, Faults, Reply, Venue, as_json, walk, without

MS = MINUTE.ms
SYMBOL = ("binance", "BTC/USDT", MINUTE)


@pytest.fixture(scope="module")
def bars():
    return walk(3_300)


def assert_holds(store, truth):
    stored = store.read("binance", "BTC/USDT", truth.timeframe)
    assert stored.equals(truth), (len(stored), len(truth))


def test_history_of_several_pages_equals_the_truth(fetch, store, bars):
    venue = Venue(bars)
    result = fetch(venue)
    assert_holds(store, venue.closed)
    assert (result.bars, result.stored, result.missing, result.revised, result.retries) == (3_299, 3_299, 0, 0, 0)
    assert (result.first_ms, result.last_ms) == (START, START + 3_298 * MS)


def test_only_the_requests_that_are_needed_are_sent(fetch, bars):
    venue = Venue(bars)
    result = fetch(venue)
    assert venue.paths == ["/api/v3/exchangeInfo", "/api/v3/time", *["/api/v3/klines"] * 4]
    assert result.requests == 6


def test_perpetuals_are_asked_from_the_futures_side_only(fetch, bars):
    venue = Venue(bars)
    fetch(venue, "BTC/USDT:USDT")
    assert {path.split("/")[1] for path in venue.paths} == {"fapi"}


def test_the_running_bar_by_the_exchanges_clock_is_never_stored(fetch, store, bars):
    venue = Venue(bars, now_ms=START + 1_500 * MS + MS - 1)
    fetch(venue)
    assert store.last(*SYMBOL) == START + 1_499 * MS


def test_a_bar_is_stored_from_the_millisecond_of_its_close(fetch, store, bars):
    fetch(Venue(bars, now_ms=START + 1_500 * MS))
    assert store.last(*SYMBOL) == START + 1_499 * MS


def test_nothing_is_asked_for_beyond_until(fetch, store, bars):
    venue = Venue(bars)
    until = START + 1_234 * MS
    fetch(venue, until_ms=until)
    assert all(int(q["startTime"]) + int(q["limit"]) * MS <= until for q in venue.asked)
    assert_holds(store, venue.bars.head(1_234))


def test_since_and_until_inside_bars_take_whole_bars_only(fetch, store, bars):
    venue = Venue(bars)
    fetch(venue, since_ms=START + 1, until_ms=START + 10 * MS + 1)
    assert_holds(store, venue.bars.slice(1, 10))


@pytest.mark.parametrize("kind", FAULTS)
def test_one_kind_of_fault_on_every_other_request_loses_nothing(fetch, store, kind):
    venue = Venue(walk(1_100), Faults([kind], rate=0.4, seed=11))
    fetch(venue)
    assert kind in venue.faults.struck
    assert_holds(store, venue.closed)


@pytest.mark.parametrize("seed", range(6))
def test_any_schedule_of_faults_loses_nothing(fetch, store, bars, seed):
    venue = Venue(bars, Faults(rate=0.5, seed=seed))
    fetch(venue)
    assert venue.faults.struck
    assert_holds(store, venue.closed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 300))
def test_hundreds_of_schedules_of_faults_lose_nothing(fetch, store, bars, seed):
    venue = Venue(bars, Faults(rate=0.6, seed=seed))
    fetch(venue)
    assert_holds(store, venue.closed)


@pytest.mark.parametrize("header", ["7", "120"])
def test_retry_after_is_waited_for(fetch, bars, header):
    venue = Venue(bars)
    left = [1, 1]
    venue.always = lambda path: as_json({"code": -1003}, 429, Retry_After=header) if left and left.pop() else None
    result = fetch(venue)
    assert venue.clock_s >= 2 * float(header)
    assert result.retries == 2


@pytest.mark.parametrize(("status", "words"), [(418, "banned"), (403, "refuses"), (451, "country"), (401, "login")])
def test_a_refusal_stops_at_once(fetch, bars, status, words):
    venue = Venue(bars)
    venue.always = lambda path: as_json({"code": -1003, "msg": "no"}, status) if "klines" in path else None
    with pytest.raises(GatewayError, match=words):
        fetch(venue)
    assert len(venue.asked) == 0
    assert len([path for path in venue.paths if "klines" in path]) == 1


def test_an_hour_of_retry_after_is_not_waited_for(fetch, bars):
    venue = Venue(bars)
    venue.always = lambda path: as_json({"code": -1003}, 429, Retry_After="3600")
    with pytest.raises(GatewayError, match="come back in 3600 seconds"):
        fetch(venue)
    assert venue.clock_s == 0


def test_an_exchange_that_stays_down_is_given_up_and_what_came_is_stored(fetch, store, bars):
    venue = Venue(bars)
    venue.always = lambda path: Reply(503) if len(venue.asked) == 2 else None
    with pytest.raises(GatewayError, match=r"gave up after 8 tries.*2,000 bars stored; run again to resume"):
        fetch(venue)
    assert_holds(store, venue.bars.head(2 * PAGE))
    venue.always = lambda path: None
    assert fetch(venue).bars == 1_299


def test_nonsense_for_ever_is_named(fetch, store, bars):
    venue = Venue(bars)
    venue.always = lambda path: Reply(200, b"<html>welcome</html>") if "klines" in path else None
    with pytest.raises(GatewayError, match="not JSON: <html>welcome"):
        fetch(venue)
    assert store.last(*SYMBOL) is None


def test_a_bar_that_stays_nonsense_is_refused_and_counted(fetch, store, bars):
    venue = Venue(bars)
    venue.spoil(slice(100, 101), 3, lambda low: "-1.00")
    result = fetch(venue)
    assert (result.refused, result.missing) == (1, 1)
    assert "2024-01-01 01:40 UTC has a price that is not above 0" in result.refusal
    assert_holds(store, without(venue.closed, [100]))


def test_bars_that_are_all_nonsense_are_an_error(fetch, bars):
    venue = Venue(bars)
    venue.spoil(slice(None), 0, lambda open_time: open_time + 17)
    with pytest.raises(GatewayError, match=r"every row was refused.*not on the grid of 1m"):
        fetch(venue)


def test_gaps_of_the_exchange_are_reported_and_not_asked_for_again(fetch, store, bars):
    venue = Venue(without(bars, [50, 51, 999, 1_000, 1_001, 2_500]))
    first = fetch(venue)
    assert (first.missing, first.bars) == (6, 3_293)
    assert_holds(store, venue.closed)
    venue.asked.clear()
    again = fetch(venue)
    assert (again.missing, again.bars, len(venue.asked)) == (6, 0, 0)
    assert "6 missing (run with --repair" in again.summary


def test_repair_brings_bars_that_the_exchange_left_out(fetch, store, bars):
    venue = Venue(without(bars, [50, 51, 1_000, 2_500]))
    fetch(venue)
    whole = Venue(bars)
    assert fetch(whole).bars == 0
    result = fetch(whole, repair=True)
    assert (result.bars, result.missing, result.revised) == (4, 0, 0)
    assert_holds(store, whole.closed)


def test_since_before_the_listing_finds_the_first_bar(fetch, store, bars):
    venue = Venue(bars)
    result = fetch(venue, since_ms=START - 900 * DAY_MS)
    assert (result.first_ms, result.missing) == (START, 0)
    assert len(venue.asked) == 5
    assert_holds(store, venue.closed)


def test_a_halt_of_many_days_is_crossed(fetch, store, bars):
    later = walk(1_500, seed=2, start_ms=START + 40 * DAY_MS + 7 * MS)
    venue = Venue(bars, more=later, skips=False)
    result = fetch(venue)
    assert_holds(store, venue.closed)
    assert result.missing == 40 * 1_440 + 7 - 3_300
    assert len(venue.asked) < 25


def test_a_listing_is_found_where_the_exchange_answers_empty_before_it(fetch, store, bars):
    venue = Venue(bars, skips=False)
    result = fetch(venue, since_ms=START - 2_500 * DAY_MS - 3 * MS)
    assert_holds(store, venue.closed)
    assert result.first_ms == START
    assert len(venue.asked) < 25


def test_a_market_without_bars_ends(fetch, bars):
    result = fetch(Venue(bars, now_ms=START + 9_000 * MS), since_ms=START + 4_000 * MS)
    assert result.stored == 0
    assert "no bars between" in result.summary


def test_a_second_run_begins_five_bars_before_the_last(fetch, bars):
    fetch(Venue(bars, now_ms=START + 2_000 * MS))
    venue = Venue(bars)
    result = fetch(venue)
    assert int(venue.asked[0]["startTime"]) == START + 1_995 * MS
    assert (result.bars, result.revised) == (1_299, 0)


def test_bars_that_the_exchange_revised_are_overwritten_and_counted(fetch, store, bars):
    fetch(Venue(bars, now_ms=START + 2_000 * MS))
    venue = Venue(bars)
    venue.revise([1_996, 1_999])
    result = fetch(venue)
    assert result.revised == 2
    assert_holds(store, venue.closed)


def test_a_complete_stretch_costs_no_page(fetch, bars):
    fetch(Venue(bars))
    venue = Venue(bars)
    assert fetch(venue).bars == 0
    assert venue.asked == []


def test_an_earlier_since_fills_in_before_the_first_stored_bar(fetch, store, bars):
    venue = Venue(bars)
    fetch(venue, since_ms=START + 2_000 * MS)
    assert fetch(venue).bars == 2_000
    assert_holds(store, venue.closed)


def test_bars_between_two_downloads_are_not_forgotten(fetch, store, bars):
    venue = Venue(bars)
    fetch(venue, until_ms=START + 500 * MS)
    fetch(venue, since_ms=START + 3_000 * MS)
    assert fetch(venue).bars == 2_500
    assert_holds(store, venue.closed)


def test_what_was_asked_is_forgotten_when_the_bars_are_gone(fetch, store, bars):
    venue = Venue(bars)
    fetch(venue)
    for path in store.root.rglob("*.parquet"):
        path.unlink()
    assert fetch(venue).bars == 3_299


def test_a_timeframe_above_a_minute_is_downloaded_alike(fetch, store):
    hour = Timeframe.parse("1h")
    venue = Venue(walk(1_700, timeframe=hour))
    fetch(venue, timeframe=hour)
    assert_holds(store, venue.closed)


def test_progress_counts_milliseconds_of_history(fetch, bars):
    told = []
    fetch(Venue(bars), progress=lambda done, total, what: told.append((done, total, what)))
    total = 3_299 * MS
    assert told == [(done, total, "BTC/USDT 1m") for done in (PAGE * MS, 2 * PAGE * MS, 3 * PAGE * MS, total)]


def test_ctrl_c_keeps_what_came_and_the_next_run_goes_on(fetch, store, bars):
    def interrupt(done, total, what):
        if done > PAGE * MS:
            raise KeyboardInterrupt

    venue = Venue(bars)
    with pytest.raises(KeyboardInterrupt, match="stopped; 2,000 bars stored; run again to resume"):
        fetch(venue, progress=interrupt)
    assert_holds(store, bars.head(2_000))
    assert fetch(venue).bars == 1_299
    assert_holds(store, venue.closed)


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("BTC/USDTT", "symbol BTC/USDTT is not listed; did you mean BTC/USDT"),
        ("DOGE/JPY", "symbol DOGE/JPY is not listed"),
        ("btc", "cannot split symbol"),
    ],
)
def test_an_unknown_symbol_is_answered_with_near_ones(fetch, bars, symbol, words):
    with pytest.raises((ConfigError, GatewayError), match=words):
        fetch(Venue(bars), symbol)


def test_a_timeframe_that_is_not_offered_is_answered_with_those_that_are(fetch, bars):
    with pytest.raises(
        GatewayError, match=r"timeframe 10m is not offered, only 1m, 3m, 5m, .*download 5m and aggregate"
    ):
        fetch(Venue(bars), timeframe=Timeframe.parse("10m"))


def test_since_after_until_is_refused_before_any_request(fetch, bars):
    venue = Venue(bars)
    with pytest.raises(ConfigError, match="is not before until"):
        fetch(venue, since_ms=START, until_ms=START)
    assert venue.paths == []


def test_since_in_the_future_is_refused(fetch, bars):
    with pytest.raises(ConfigError, match="choose an earlier since"):
        fetch(Venue(bars), since_ms=START + 4_000 * MS)


def test_rows_are_compared_with_what_is_stored_bit_by_bit(fetch, store, bars):
    venue = Venue(bars)
    fetch(venue)
    stored = store.read(*SYMBOL)
    assert all(np.array_equal(stored[name], venue.closed[name]) for name in ("open", "high", "low", "close", "volume"))
