"""Unmodified ccxt, sync, async and pro, against the practice exchange over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
import requests

from itb.live.practice.client import point_at
from itb.live.practice.server import Server
from tests.live.practice.conftest import FLAT, MINUTE, START, Rows, bars_of

Serve = Callable[..., Server]
PAIR = "BTC/USDT"


def client(server: Server, kind: Any = ccxt.binance, **options: Any) -> Any:
    settings = {"enableRateLimit": False, "timeout": 8000, "options": {"fetchMarkets": {"types": ["spot"]}, **options}}
    return point_at(kind(settings), server.url)


def control(server: Server, method: str, name: str, **sent: Any) -> dict[str, Any]:
    answer = requests.request(method, f"{server.url}/practice/{name}", json=sent or None, timeout=60)
    found: dict[str, Any] = answer.json()
    return found


def test_default_options_load_markets_from_this_exchange_alone(serve: Serve) -> None:
    server = serve(FLAT, bars_of(FLAT, "ETH/USDT"))
    markets = point_at(ccxt.binance({"enableRateLimit": False}), server.url).load_markets()  # sapi, fapi and dapi too
    assert sorted(markets) == ["BTC/USDT", "ETH/USDT"]
    market = markets[PAIR]
    assert (market["precision"]["price"], market["precision"]["amount"], market["limits"]["cost"]["min"]) == (
        0.01, 1e-5, 5.0,
    )  # fmt: skip


def test_what_the_market_shows(serve: Serve) -> None:
    x = client(serve([(100.0 + i, 101.5 + i, 99.0 + i, 100.5 + i, 8.0) for i in range(40)]))
    assert x.fetch_time() == START
    first, running = x.fetch_ohlcv(PAIR, "1m", limit=2)
    assert first == [START - MINUTE, 100.0, 101.5, 99.0, 100.5, 8.0]
    assert running == [START, 101.0, 101.0, 101.0, 101.0, 0.0]  # its open is all that is known
    assert x.fetch_ticker(PAIR)["last"] == 101.0
    book = x.fetch_order_book(PAIR, 5)
    assert (book["asks"][0][0], book["bids"][0][0]) == (101.0, 100.99)
    assert x.fetch_trades(PAIR, limit=1)[0]["price"] == 100.5
    assert x.fetch_bids_asks()[PAIR]["ask"] == 101.0
    assert x.fetch_trading_fee(PAIR)["taker"] == 0.001
    assert x.fetch_status()["status"] == "ok"


def test_coarser_bars_are_made_of_the_tape_and_the_running_one_comes_last(serve: Serve) -> None:
    rows: Rows = [(100.0 + i, 101.5 + i, 99.0 + i, 100.5 + i, 8.0) for i in range(40)]
    server = serve(rows)
    control(server, "POST", "step", bars=23)
    found = client(server).fetch_ohlcv(PAIR, "5m", since=START)
    assert [row[0] for row in found] == [START + 5 * i * MINUTE for i in range(5)]
    assert found[1] == [START + 5 * MINUTE, 106.0, 111.5, 105.0, 110.5, 40.0]
    assert found[-1] == [START + 20 * MINUTE, 121.0, 124.5, 120.0, 124.0, 24.0]


def test_the_life_of_a_limit_order(serve: Serve) -> None:
    rows: Rows = [*FLAT[:3], (100.0, 100.0, 94.0, 95.0, 8.0), *FLAT[:3]]
    server = serve(rows)
    x = client(server)
    order = x.create_order(PAIR, "limit", "buy", 0.5, 95.0, {"clientOrderId": "mine"})
    assert (order["status"], order["clientOrderId"], order["filled"]) == ("open", "mine", 0.0)
    assert [one["id"] for one in x.fetch_open_orders(PAIR)] == [order["id"]]
    assert x.fetch_balance()["USDT"] == {"free": 99952.5, "used": 47.5, "total": 100_000.0}
    control(server, "POST", "step", bars=3)
    done = x.fetch_order(None, PAIR, {"origClientOrderId": "mine"})
    assert (done["status"], done["average"], done["filled"]) == ("closed", 95.0, 0.5)
    (trade,) = x.fetch_my_trades(PAIR)
    assert (trade["order"], trade["takerOrMaker"], trade["fee"]) == (
        order["id"], "maker", {"currency": "BTC", "cost": 0.0005},
    )  # fmt: skip
    assert x.fetch_order_trades(order["id"], PAIR)[0]["id"] == trade["id"]
    assert x.fetch_balance()["BTC"]["total"] == 10.4995
    assert [one["status"] for one in x.fetch_orders(PAIR)] == ["closed"]
    assert control(server, "GET", "totals")["USDT"] == "99952.50000000"


def test_orders_of_every_kind_are_taken_edited_and_cancelled(serve: Serve) -> None:
    x = client(serve())
    placed = [
        x.create_order(PAIR, "market", "buy", 0.5),
        x.create_market_buy_order_with_cost(PAIR, 50.0),
        x.create_order(PAIR, "limit", "sell", 0.5, 110.0, {"postOnly": True}),
        x.create_order(PAIR, "limit", "buy", 0.5, 101.0, {"timeInForce": "IOC"}),
        x.create_order(PAIR, "limit", "buy", 0.5, 90.0, {"timeInForce": "FOK"}),
        x.create_order(PAIR, "market", "sell", 0.5, None, {"stopLossPrice": 95.0}),
        x.create_order(PAIR, "limit", "sell", 0.5, 94.0, {"stopLossPrice": 95.0}),
        x.create_order(PAIR, "market", "sell", 0.5, None, {"takeProfitPrice": 105.0}),
        x.create_order(PAIR, "limit", "sell", 0.5, 106.0, {"takeProfitPrice": 105.0}),
    ]
    raw = [one["info"].get("status") for one in (x.fetch_order(one["id"], PAIR) for one in placed)]
    assert raw == ["FILLED", "FILLED", "NEW", "FILLED", "EXPIRED", "NEW", "NEW", "NEW", "NEW"]
    moved = x.edit_order(placed[2]["id"], PAIR, "limit", "sell", 0.4, 111.0)
    assert (moved["status"], moved["price"]) == ("open", 111.0)
    assert x.cancel_order(moved["id"], PAIR)["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        x.cancel_order(moved["id"], PAIR)
    assert len(x.cancel_all_orders(PAIR)) == 4
    assert x.fetch_open_orders(PAIR) == []
    assert x.fetch_balance()["BTC"]["used"] == 0.0


@pytest.mark.parametrize("path", ["old", "new"])
def test_a_pair_over_the_wire(serve: Serve, path: str) -> None:
    server = serve([*FLAT[:3], (100.0, 106.0, 99.0, 105.0, 8.0), *FLAT[:2]])
    x = client(server)
    x.load_markets()
    old = {"price": "105", "stopPrice": "95", "stopLimitPrice": "94", "stopLimitTimeInForce": "GTC"}
    new = {"aboveType": "LIMIT_MAKER", "abovePrice": "105", "belowType": "STOP_LOSS", "belowStopPrice": "95"}
    base = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "listClientOrderId": "pair"}
    placed = x.private_post_order_oco({**base, **old}) if path == "old" else x.privatePostOrderListOco({**base, **new})
    assert placed["listOrderStatus"] == "EXECUTING"
    assert len(x.fetch_open_orders(PAIR)) == 2
    control(server, "POST", "step", bars=3)
    after = x.privateGetOrderList({"listClientOrderId": "pair"})
    assert after["listOrderStatus"] == "ALL_DONE"
    assert sorted(one["info"]["status"] for one in x.fetch_orders(PAIR)) == ["EXPIRED", "FILLED"]
    assert [trade["price"] for trade in x.fetch_my_trades(PAIR)] == [105.0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.fetch_order("7", PAIR), ccxt.OrderNotFound, "Order does not exist."),
        (lambda x: x.create_order(PAIR, "market", "buy", 5000), ccxt.InsufficientFunds, "insufficient balance"),
        (lambda x: x.create_order(PAIR, "limit", "buy", 0.001, 90.0), ccxt.ExchangeError, "NOTIONAL"),
        (lambda x: x.create_order(PAIR, "limit", "buy", 1, 101.0, {"postOnly": True}), ccxt.OrderImmediatelyFillable,
         "immediately match"),
        (lambda x: x.privatePostOrder({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.000001"}),
         ccxt.InvalidOrder, "lot size"),
        (lambda x: x.privatePostOrder({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1",
                                       "price": "90.001", "timeInForce": "GTC"}), ccxt.InvalidOrder, "PRICE_FILTER"),
        (lambda x: x.privateGetAccount({"recvWindow": 70000}), ccxt.BadRequest, "recvWindow must be less"),
        (lambda x: x.publicGetKlines({"symbol": "BTCUSDT", "interval": "7m"}), ccxt.BadRequest, "Invalid interval"),
        (lambda x: x.publicGetDepth({"symbol": "NOTHING"}), ccxt.BadSymbol, "Invalid symbol"),
        (lambda x: x.privatePostOrder({"symbol": "BTCUSDT", "side": "BUY"}), ccxt.ExchangeError, "'type'"),
    ],
)  # fmt: skip
def test_ccxt_understands_every_refusal(
    serve: Serve, call: Callable[[Any], Any], error: type[Exception], words: str
) -> None:
    x = client(serve())
    x.get_exceptions_by_url = lambda _url, kind: x.exceptions["spot"].get(kind, {})  # ccxt looks at the host's name
    x.load_markets()
    with pytest.raises(error, match=words):
        call(x)


def test_a_wrong_key_or_signature_is_refused(serve: Serve) -> None:
    server = serve()
    x = client(server)
    x.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        x.fetch_balance()
    x.apiKey = "stranger"
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        x.fetch_balance()


def test_a_duplicate_name_is_refused_while_the_first_is_open(serve: Serve) -> None:
    x = client(serve())
    x.create_order(PAIR, "limit", "buy", 1, 90.0, {"clientOrderId": "twice"})
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        x.create_order(PAIR, "market", "buy", 1, None, {"clientOrderId": "twice"})


@pytest.mark.parametrize("adjusts", [False, True], ids=["wall clock", "clock set by the exchange"])
def test_a_client_survives_600_times_the_speed_with_a_small_window(serve: Serve, adjusts: bool) -> None:
    server = serve(speed=600.0)
    x = client(server, adjustForTimeDifference=adjusts, recvWindow=10_000)
    began = control(server, "GET", "clock")["time"]  # a second GET /time would make older stamps good
    for _ in range(5):
        assert x.create_order(PAIR, "market", "buy", 0.1)["status"] == "closed"
    assert x.fetch_my_trades(PAIR)[-1]["timestamp"] >= began  # market time
    x.options["timeDifference"] = (x.options["timeDifference"] or 0) + 20_000
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        x.fetch_balance()
    x.options["timeDifference"] -= 60_000
    with pytest.raises(ccxt.InvalidNonce, match="ahead of the server"):
        x.fetch_balance()


def test_a_year_of_hours_goes_by_as_fast_as_it_can(serve: Serve) -> None:
    server = serve([(100.0, 101.0, 99.0, 100.0, 8.0)] * 2000, speed="max")
    x = client(server)
    while not control(server, "GET", "clock")["over"]:
        x.fetch_time()
    assert x.fetch_ohlcv(PAIR, "1m", limit=1)[0][0] == START + 1998 * MINUTE
    assert x.fetch_time() == START + 1999 * MINUTE


def test_lock_step_waits_for_every_symbol(serve: Serve) -> None:
    server = serve(FLAT, bars_of(FLAT, "ETH/USDT"))
    x = client(server)
    assert control(server, "GET", "clock")["waiting"] == {"BTCUSDT": START - MINUTE, "ETHUSDT": START - MINUTE}
    read = x.fetch_ohlcv(PAIR, "1m", limit=2)[0][0]
    assert control(server, "POST", "answered", symbol="BTCUSDT", open_time=read)["time"] == START
    again = control(server, "POST", "answered", symbol="BTCUSDT", open_time=read)
    assert "is not waited for; waiting for ETHUSDT" in again["msg"]
    assert control(server, "POST", "answered", symbol="ETHUSDT", open_time=read)["time"] == START + MINUTE
    assert x.fetch_time() == START + MINUTE


def test_async_ccxt_trades_too(serve: Serve) -> None:
    server = serve()

    async def trade() -> tuple[str, int, float]:
        x = client(server, ccxt.async_support.binance)
        try:
            placed = await asyncio.gather(*(x.create_order(PAIR, "market", "buy", 0.1) for _ in range(10)))
            balance = await x.fetch_balance()
            return placed[-1]["status"], len({one["id"] for one in placed}), balance["BTC"]["total"]
        finally:
            await x.close()

    assert asyncio.run(trade()) == ("closed", 10, 10.999)


def test_pro_hears_bars_trades_quotes_and_books(serve: Serve) -> None:
    server = serve([(100.0 + i, 101.0 + i, 99.0 + i, 100.5 + i, 8.0) for i in range(100)])

    async def watch() -> list[Any]:
        x = client(server, ccxt.pro.binance)
        try:
            await x.load_markets()
            watchers = [
                x.watch_ohlcv(PAIR, "1m"), x.watch_trades(PAIR), x.watch_bids_asks([PAIR]), x.watch_ticker(PAIR),
                x.watch_order_book(PAIR),
            ]  # fmt: skip
            tasks = [asyncio.ensure_future(one) for one in watchers]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0.05)  # so that subscriptions arrive between two bars
                await asyncio.to_thread(control, server, "POST", "step", bars=1)
            return [task.result() for task in tasks]
        finally:
            await x.close()

    bars, trades, quotes, ticker, book = asyncio.run(asyncio.wait_for(watch(), 120))
    assert bars[-1][1] - 100.0 == (bars[-1][0] - START) / MINUTE + 1  # the bar that it says it is
    assert trades[-1]["price"] > 98
    assert quotes[PAIR]["ask"] == pytest.approx(quotes[PAIR]["bid"] + 0.01)
    assert ticker["last"] > 98
    assert book["asks"][0][0] == pytest.approx(book["bids"][0][0] + 0.01)


def test_pro_hears_its_own_orders_fills_and_balances_and_trades_by_websocket(serve: Serve) -> None:
    server = serve()

    async def watch() -> tuple[Any, ...]:
        x = client(server, ccxt.pro.binance)
        try:
            await x.load_markets()
            orders, trades = asyncio.ensure_future(x.watch_orders(PAIR)), asyncio.ensure_future(x.watch_my_trades(PAIR))
            balance = asyncio.ensure_future(x.watch_balance())
            while not any(listener.user for listener in server.exchange.streams.listeners):  # noqa: ASYNC110  (another's)
                await asyncio.sleep(0.05)
            asked = {f"orders:{PAIR}", f"myTrades:{PAIR}", "spot:balance"}  # the client's own part of it
            while not asked <= {name for one in x.clients.values() for name in one.futures}:  # noqa: ASYNC110  (another's)
                await asyncio.sleep(0.05)
            placed = await x.create_order_ws(PAIR, "limit", "buy", 1, 90.0)
            cancelled = await x.cancel_order_ws(placed["id"], PAIR)
            await x.create_order(PAIR, "market", "buy", 0.1)
            rows = await x.fetch_ohlcv_ws(PAIR, "1m", None, 2)
            heard = [await orders, await trades, await balance]
            while x.balance["spot"].get("BTC", {}).get("free") != 10.0999:
                await x.watch_balance()
            return placed, *heard, cancelled, rows
        finally:
            await x.close()

    placed, orders, trades, balance, cancelled, rows = asyncio.run(asyncio.wait_for(watch(), 120))
    assert placed["status"] == "open"
    assert (orders[0]["id"], orders[0]["status"]) == (placed["id"], "canceled")  # what it has become since
    assert trades[0]["amount"] == 0.1
    assert balance["BTC"]["free"] == 10.0999
    assert cancelled["status"] == "canceled"
    assert len(rows) == 2


def test_money_that_comes_from_elsewhere_is_heard_and_seen(serve: Serve) -> None:
    server = serve()
    assert control(server, "POST", "transfer", asset="BTC", amount="1.5")["BTC"] == "11.50000000"
    assert client(server).fetch_balance()["BTC"]["free"] == 11.5
    assert control(server, "POST", "transfer", asset="BTC", amount="-100")["code"] == -2010


def test_limits_answer_429_then_418_with_retry_after(serve: Serve) -> None:
    from itb.live.practice.guard import Meter

    server = serve(meter=Meter(is_strict=True, weight_limit=100))
    x = client(server)
    codes, headers = [], {}
    for _ in range(108):
        answer = requests.get(f"{server.url}/api/v3/ping", timeout=60)
        codes.append(answer.status_code)
        headers = dict(answer.headers)
    assert 429 in codes
    assert codes[-1] == 418
    assert int(headers["Retry-After"]) > 100
    with pytest.raises(ccxt.DDoSProtection, match="banned until"):
        x.fetch_time()
