"""The exchange's REST interface as functions: parameters in, JSON out, refusals raised (no sockets here)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from itb.live.practice import quotes, refusals, wording
from itb.live.practice.refusals import RefusedError

if TYPE_CHECKING:
    from itb.live.practice.orders import Order, OrderList
    from itb.live.practice.params import Params
    from itb.live.practice.venue import Venue

_DEFAULT_ROWS, _MOST_ROWS = 500, 1000


class Route(NamedTuple):
    """A path's function (a method of :class:`Api`), its weight, who may call it, and which faults can strike it."""

    name: str
    weight: int = 1
    security: str = "none"
    moments: tuple[str, ...] = ("request",)


_CHANGE, _ORDER = ("request", "change"), ("request", "change", "order")
ROUTES: Mapping[tuple[str, str], Route] = {
    ("GET", "/api/v3/ping"): Route("ping"),
    ("GET", "/api/v3/time"): Route("time"),
    ("GET", "/api/v3/exchangeInfo"): Route("exchange_info", 20),
    ("GET", "/api/v3/klines"): Route("klines", 2, moments=("request", "klines")),
    ("GET", "/api/v3/uiKlines"): Route("klines", 2, moments=("request", "klines")),
    ("GET", "/api/v3/depth"): Route("depth", 5),
    ("GET", "/api/v3/trades"): Route("trades", 25),
    ("GET", "/api/v3/historicalTrades"): Route("trades", 25),
    ("GET", "/api/v3/aggTrades"): Route("agg_trades", 4),
    ("GET", "/api/v3/avgPrice"): Route("average", 2),
    ("GET", "/api/v3/ticker"): Route("day_ticker", 4),
    ("GET", "/api/v3/ticker/24hr"): Route("day_ticker", 2),
    ("GET", "/api/v3/ticker/price"): Route("last_price", 2),
    ("GET", "/api/v3/ticker/bookTicker"): Route("book_ticker", 2),
    ("POST", "/api/v3/order"): Route("place", 1, "signed", _ORDER),
    ("POST", "/api/v3/order/test"): Route("test", 1, "signed"),
    ("GET", "/api/v3/order"): Route("order", 4, "signed", ("request", "query")),
    ("DELETE", "/api/v3/order"): Route("cancel", 1, "signed", _CHANGE),
    ("POST", "/api/v3/order/cancelReplace"): Route("replace", 1, "signed", _CHANGE),
    ("GET", "/api/v3/openOrders"): Route("open_orders", 6, "signed"),
    ("DELETE", "/api/v3/openOrders"): Route("cancel_all", 1, "signed", _CHANGE),
    ("GET", "/api/v3/allOrders"): Route("all_orders", 20, "signed"),
    ("POST", "/api/v3/order/oco"): Route("place_pair", 1, "signed", _ORDER),
    ("POST", "/api/v3/orderList/oco"): Route("place_pair", 1, "signed", _ORDER),
    ("GET", "/api/v3/orderList"): Route("order_list", 4, "signed"),
    ("DELETE", "/api/v3/orderList"): Route("cancel_pair", 1, "signed", _CHANGE),
    ("GET", "/api/v3/openOrderList"): Route("open_lists", 6, "signed"),
    ("GET", "/api/v3/allOrderList"): Route("all_lists", 20, "signed"),
    ("GET", "/api/v3/account"): Route("account", 20, "signed"),
    ("GET", "/api/v3/account/commission"): Route("commission", 20, "signed"),
    ("GET", "/api/v3/myTrades"): Route("my_trades", 20, "signed"),
    ("GET", "/api/v3/rateLimit/order"): Route("order_limits", 40, "signed"),
    ("GET", "/sapi/v1/system/status"): Route("system_status"),
    ("GET", "/sapi/v1/capital/config/getall"): Route("coins", 10, "signed"),
    ("GET", "/sapi/v1/asset/tradeFee"): Route("fees", 1, "signed"),
    ("GET", "/sapi/v1/margin/allPairs"): Route("nothing", 1),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Route("nothing", 1),
    ("GET", "/fapi/v1/exchangeInfo"): Route("no_symbols", 1),
    ("GET", "/dapi/v1/exchangeInfo"): Route("no_symbols", 1),
}


class Api:
    """Answers every route of ``ROUTES`` from a venue."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    def call(self, route: Route, params: Params) -> Any:
        """Answer a route."""
        function: Callable[[Params], Any] = getattr(self, route.name)
        return function(params)

    # ---- public

    def ping(self, _params: Params) -> Any:
        return {}

    def nothing(self, _params: Params) -> Any:
        return []

    def no_symbols(self, _params: Params) -> Any:
        return {"symbols": [], "rateLimits": [], "serverTime": self.venue.now}

    def system_status(self, _params: Params) -> Any:
        return {"status": int(self.venue.is_halted), "msg": "system_maintenance" if self.venue.is_halted else "normal"}

    def time(self, _params: Params) -> Any:
        return {"serverTime": self.venue.now}

    def exchange_info(self, params: Params) -> Any:
        wanted = params.text("symbol")
        tapes = [self.venue.tape(wanted)] if wanted else list(self.venue.tapes.values())
        limits = [("REQUEST_WEIGHT", "MINUTE", 1, 6000), ("ORDERS", "SECOND", 10, 100), ("ORDERS", "DAY", 1, 200_000)]
        return {
            "timezone": "UTC",
            "serverTime": self.venue.now,
            "rateLimits": [
                {"rateLimitType": kind, "interval": unit, "intervalNum": count, "limit": most}
                for kind, unit, count, most in limits
            ],
            "exchangeFilters": [],
            "symbols": [wording.symbol(tape, is_halted=self.venue.is_halted) for tape in tapes],
        }

    def klines(self, params: Params) -> Any:
        tape = self.venue.tape(params.need("symbol"))
        frame = quotes.interval(params.need("interval"), tape)
        limit = _DEFAULT_ROWS if (asked := params.whole("limit")) is None else asked
        return quotes.klines(tape, frame, self.venue.now, params.whole("startTime"), params.whole("endTime"), limit)

    def depth(self, params: Params) -> Any:
        return quotes.depth(self.venue.tape(params.need("symbol")), self.venue.now, params.whole("limit") or 100)

    def trades(self, params: Params) -> Any:
        return quotes.trades(self.venue.tape(params.need("symbol")), _rows(params), aggregated=False)

    def agg_trades(self, params: Params) -> Any:
        tape = self.venue.tape(params.need("symbol"))
        return quotes.trades(tape, _rows(params), aggregated=True, start=params.whole("startTime"))

    def average(self, params: Params) -> Any:
        price = wording.number(self.venue.price(params.need("symbol")))
        return {"mins": 5, "price": price, "closeTime": self.venue.now}

    def day_ticker(self, params: Params) -> Any:
        return self._each(params, lambda name: quotes.day_ticker(self.venue.tape(name), self.venue.now))

    def book_ticker(self, params: Params) -> Any:
        return self._each(params, lambda name: quotes.book_ticker(self.venue.tape(name), self.venue.now))

    def last_price(self, params: Params) -> Any:
        return self._each(params, lambda name: {"symbol": name, "price": wording.number(self.venue.price(name))})

    def _each(self, params: Params, word: Callable[[str], Any]) -> Any:
        if symbol := params.text("symbol"):
            return word(symbol)
        listed = params.text("symbols")
        names = list(self.venue.tapes) if listed is None else [n.strip(' "') for n in listed.strip("[]").split(",")]
        return [word(name) for name in names]

    # ---- orders

    def place(self, params: Params) -> Any:
        order = self.venue.place(params.ask())
        usual = "FULL" if order.ask.kind in {"MARKET", "LIMIT"} else "ACK"
        return wording.placed(order, self.venue.now, params.text("newOrderRespType") or usual)

    def test(self, params: Params) -> Any:
        params.ask()
        return {}

    def order(self, params: Params) -> Any:
        return wording.order(self._find(params, refusals.NO_SUCH_ORDER))

    def cancel(self, params: Params) -> Any:
        order = self._find(params, refusals.UNKNOWN_ORDER)
        gone = self.venue.cancel(order, params.text("newClientOrderId") or "")
        if order.list_id in self.venue.lists and len(gone) > 1:
            return wording.order_list(self.venue.lists[order.list_id], self.venue.now, reports=True)
        return wording.cancelled(order, self.venue.now)

    def cancel_all(self, params: Params) -> Any:
        standing = list(self.venue.open_orders(params.need("symbol")))
        if not standing:
            raise RefusedError(refusals.UNKNOWN_ORDER)
        for order in standing:
            if order.is_open:
                self.venue.cancel(order)
        return [wording.cancelled(order, self.venue.now) for order in standing]

    def replace(self, params: Params) -> Any:
        named = {"orderId": "cancelOrderId", "origClientOrderId": "cancelOrigClientOrderId"}
        names = {name: params.text(wire) or "" for name, wire in named.items()}
        failed, goes_on = None, params.need("cancelReplaceMode") == "ALLOW_FAILURE"
        answer: dict[str, Any] = {"cancelResult": "SUCCESS", "newOrderResult": "NOT_ATTEMPTED"}
        try:
            order = self._lookup(params.need("symbol"), names, refusals.UNKNOWN_ORDER)
            self.venue.cancel(order, params.text("cancelNewClientOrderId") or "")
            answer["cancelResponse"] = wording.cancelled(order, self.venue.now)
        except RefusedError as error:
            failed = answer["cancelResponse"] = error.body
            answer["cancelResult"] = "FAILURE"
        if failed is None or goes_on:
            try:
                answer["newOrderResponse"], answer["newOrderResult"] = self.place(params), "SUCCESS"
            except RefusedError as error:
                failed = answer["newOrderResponse"] = error.body
                answer["newOrderResult"] = "FAILURE"
        if failed is not None:
            partly = "SUCCESS" in {answer["cancelResult"], answer["newOrderResult"]}
            words = (-2021, "Order cancel-replace partially failed.", 409) if partly else (
                -2022, "Order cancel-replace failed.", 400)  # fmt: skip
            raise RefusedError(refusals.Words(*words))
        return answer

    def open_orders(self, params: Params) -> Any:
        return [wording.order(order) for order in self.venue.open_orders(params.text("symbol"))]

    def all_orders(self, params: Params) -> Any:
        symbol, start, stop = params.need("symbol"), params.whole("startTime"), params.whole("endTime")
        self.venue.tape(symbol)
        since = params.whole("orderId")
        found = [
            order
            for order in self.venue.orders.values()
            if order.ask.symbol == symbol
            and (start is None or order.time >= start)
            and (stop is None or order.time <= stop)
            and (since is None or order.id >= since)
        ]
        is_first = since is not None or start is not None
        chosen = found[: _rows(params)] if is_first else found[-_rows(params) :]
        return [wording.order(order) for order in chosen]

    def my_trades(self, params: Params) -> Any:
        symbol, start, stop = params.need("symbol"), params.whole("startTime"), params.whole("endTime")
        first, wanted = params.whole("fromId"), params.whole("orderId")
        found = (
            fill
            for fill in self.venue.fills(symbol)
            if (start is None or fill.time >= start)
            and (stop is None or fill.time <= stop)
            and (first is None or fill.id >= first)
            and (wanted is None or fill.order_id == wanted)
        )
        count = _rows(params)
        chosen = list(islice(found, count)) if first is not None or start is not None else list(found)[-count:]
        lists = {fill.order_id: self.venue.orders.get(fill.order_id) for fill in chosen}
        return [wording.my_trade(fill, order.list_id if (order := lists[fill.order_id]) else -1) for fill in chosen]

    # ---- pairs

    def place_pair(self, params: Params) -> Any:
        pair = self.venue.place_pair(*params.pair(), params.text("listClientOrderId") or "")
        return wording.order_list(pair, self.venue.now, reports=True)

    def order_list(self, params: Params) -> Any:
        return wording.order_list(self._find_pair(params, refusals.NO_SUCH_LIST), self.venue.now, reports=False)

    def cancel_pair(self, params: Params) -> Any:
        pair = self._find_pair(params, refusals.UNKNOWN_ORDER)
        standing = [leg for leg in pair.legs if leg.is_open]
        if not standing:
            raise RefusedError(refusals.UNKNOWN_ORDER)
        self.venue.cancel(standing[0])
        return wording.order_list(pair, self.venue.now, reports=True)

    def open_lists(self, _params: Params) -> Any:
        standing = [pair for pair in self.venue.lists.values() if pair.state == "EXECUTING"]
        return [wording.order_list(pair, self.venue.now, reports=False) for pair in standing]

    def all_lists(self, params: Params) -> Any:
        pairs = list(self.venue.lists.values())[-_rows(params) :]
        return [wording.order_list(pair, self.venue.now, reports=False) for pair in pairs]

    # ---- account

    def account(self, _params: Params) -> Any:
        return wording.account(self.venue.wallet, self.venue.now, self._fees)

    def commission(self, params: Params) -> Any:
        rates = wording.account(self.venue.wallet, 0, self._fees)["commissionRates"]
        zero = dict.fromkeys(rates, "0.00000000")
        return {"symbol": params.need("symbol"), "standardCommission": rates, "taxCommission": zero}

    def fees(self, params: Params) -> Any:
        maker, taker = map(wording.number, self._fees)
        names = [self.venue.tape(params.need("symbol")).id] if params.text("symbol") else list(self.venue.tapes)
        return [{"symbol": name, "makerCommission": maker, "takerCommission": taker} for name in names]

    def coins(self, _params: Params) -> Any:
        return [{"coin": asset, "name": asset, "trading": True, "isLegalMoney": False, "networkList": []}
                for asset in self.venue.wallet.assets()]  # fmt: skip

    def order_limits(self, _params: Params) -> Any:
        return [{"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100, "count": 0}]

    @property
    def _fees(self) -> tuple[Decimal, Decimal]:
        return self.venue.terms.maker_fee, self.venue.terms.taker_fee

    def _find(self, params: Params, otherwise: refusals.Words) -> Order:
        return self._lookup(params.need("symbol"), params.texts, otherwise)

    def _lookup(self, symbol: str, texts: Mapping[str, str], otherwise: refusals.Words) -> Order:
        number, cid = texts.get("orderId") or None, texts.get("origClientOrderId") or None
        if number is None and cid is None:
            raise RefusedError(refusals.NEITHER_ID)
        if number is not None and not number.isdecimal():
            raise RefusedError(refusals.missing("orderId"))
        order = self.venue.find(symbol, None if number is None else int(number), cid)
        if order is None:
            raise RefusedError(otherwise)
        return order

    def _find_pair(self, params: Params, otherwise: refusals.Words) -> OrderList:
        number, cid = params.whole("orderListId"), params.text("listClientOrderId") or params.text("origClientOrderId")
        for pair in self.venue.lists.values():
            if pair.id == number or (number is None and cid is not None and pair.cid == cid):
                return pair
        raise RefusedError(otherwise)


def _rows(params: Params) -> int:
    return max(1, min(params.whole("limit") or _DEFAULT_ROWS, _MOST_ROWS))
