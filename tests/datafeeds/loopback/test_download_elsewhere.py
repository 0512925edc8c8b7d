"""An exchange of another make: Kraken keeps the newest 720 bars only, whatever it is asked for."""

from __future__ import annotations

import pytest

from itb.datafeeds.backoff import Retrier
from itb.datafeeds.ccxt_history import Connection
from itb.datafeeds.download import download
from itb.errors import ConfigError, GatewayError
from itb.market.timeframe import DAY_MS, Timeframe

from .server import serving
from .venue import MINUTE, START, as_json, walk

KEPT = 720
_COIN = {"aclass": "currency", "decimals": 10, "display_decimals": 5, "status": "enabled"}
_PAIR = {
    "altname": "XBTUSDT",
    "wsname": "XBT/USDT",
    "aclass_base": "currency",
    "base": "XXBT",
    "aclass_quote": "currency",
    "quote": "USDT",
    "pair_decimals": 1,
    "cost_decimals": 5,
    "lot_decimals": 8,
    "leverage_buy": [],
    "leverage_sell": [],
    "fees": [[0, 0.4]],
    "fees_maker": [[0, 0.25]],
    "ordermin": "0.0001",
    "costmin": "0.5",
    "tick_size": "0.1",
    "status": "online",
}


@pytest.fixture
def bars():
    return walk(2_000)


@pytest.fixture
def kraken(bars):
    now_s = int(bars.open_time[-1]) // 1_000 + 20

    def rows(query):
        columns = zip(bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True)
        newest = list(columns)[-KEPT:]
        texts = [
            [int(t) // 1_000, f"{o:.2f}", f"{h:.2f}", f"{lo:.2f}", f"{c:.2f}", "1.0", f"{v:.3f}", 7]
            for t, o, h, lo, c, v in newest
        ]
        return {"XBTUSDT": texts, "last": texts[-1][0]}

    answers = {
        "Assets": lambda query: {"XXBT": {**_COIN, "altname": "XBT"}, "USDT": {**_COIN, "altname": "USDT"}},
        "AssetPairs": lambda query: {"XBTUSDT": _PAIR},
        "Time": lambda query: {"unixtime": now_s, "rfc1123": ""},
        "OHLC": rows,
    }
    with serving(lambda path, query: as_json({"error": [], "result": answers[path.split("/")[-1]](query)})) as base_url:
        yield Connection(base_url=base_url, settings={"rateLimit": 1}, timeout_s=2)


def fetch(store, kraken, symbol="BTC/USDT", timeframe=MINUTE, exchange="kraken", **more):
    retrier = Retrier(sleep=lambda seconds: None, seed=1)
    options = {"since_ms": START, "connection": kraken, "retrier": retrier, **more}
    return download(store, exchange, symbol, timeframe, **options)


def test_an_exchange_that_keeps_few_bars_gives_those(store, kraken, bars):
    result = fetch(store, kraken)
    assert store.read("kraken", "BTC/USDT", MINUTE).equals(bars.slice(-KEPT, -1))
    assert (result.bars, result.missing) == (KEPT - 1, 0)
    assert result.first_ms == int(bars.open_time[-KEPT])


def test_a_second_run_asks_only_for_what_is_new(store, kraken):
    fetch(store, kraken)
    assert fetch(store, kraken).bars == 0


def test_a_since_years_ago_ends_in_a_few_requests(store, kraken):
    assert fetch(store, kraken, since_ms=START - 2_000 * DAY_MS).requests < 10


def test_timeframes_are_those_of_the_exchange(store, kraken):
    with pytest.raises(GatewayError, match="kraken: timeframe 3m is not offered"):
        fetch(store, kraken, timeframe=Timeframe.parse("3m"))


def test_an_unknown_exchange_is_answered_with_near_names(store, kraken):
    with pytest.raises(ConfigError, match="exchange 'krakn' is not known to ccxt; did you mean kraken"):
        fetch(store, kraken, exchange="krakn")


def test_an_exchange_without_past_bars_is_refused(store, kraken):
    with pytest.raises(GatewayError, match="does not offer past bars"):
        fetch(store, kraken, exchange="bit2c")


@pytest.mark.parametrize("wrong", [{"base_url": "127.0.0.1:80"}, {"timeout_s": 0}])
def test_a_connection_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Connection(**wrong)
