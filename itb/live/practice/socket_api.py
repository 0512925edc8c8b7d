"""The websocket interface of the exchange: the same calls as REST, and the subscription to the user data stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from itb.live.practice.exchange import Call, Exchange, Reply
from itb.live.practice.params import Params
from itb.live.practice.refusals import RefusedError

if TYPE_CHECKING:
    from itb.live.practice.streams import Listener

METHODS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "klines": ("GET", "/api/v3/klines"),
    "uiKlines": ("GET", "/api/v3/klines"),
    "depth": ("GET", "/api/v3/depth"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "trades.historical": ("GET", "/api/v3/historicalTrades"),
    "trades.aggregate": ("GET", "/api/v3/aggTrades"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "orderList.place": ("POST", "/api/v3/order/oco"),
    "orderList.place.oco": ("POST", "/api/v3/orderList/oco"),
    "orderList.cancel": ("DELETE", "/api/v3/orderList"),
    "orderList.status": ("GET", "/api/v3/orderList"),
    "account.status": ("GET", "/api/v3/account"),
    "account.commission": ("GET", "/api/v3/account/commission"),
    "myTrades": ("GET", "/api/v3/myTrades"),
}
_SUBSCRIBE = "userDataStream.subscribe.signature"
_SILENT = {"timeout_before", "timeout_after"}
_BREAKS = {"reset_before", "reset_after", "cut_body", "empty"}


async def ask(exchange: Exchange, listener: Listener, text: str) -> str | None:
    """Answer one frame; ``None`` where a fault leaves the client without an answer."""
    try:
        sent = json.loads(text)
        number, method, given = sent.get("id"), sent.get("method"), dict(sent.get("params") or {})
    except (ValueError, AttributeError, TypeError):
        return json.dumps({"id": None, "status": 400, "error": {"code": -1102, "msg": "The request is not JSON."}})
    texts = {name: _text(value) for name, value in given.items()}
    payload = "&".join(f"{name}={texts[name]}" for name in sorted(texts) if name != "signature")
    if method == _SUBSCRIBE:
        return _subscribe(exchange, listener, number, Call("", "", Params(texts), payload, texts.get("apiKey")))
    if method not in METHODS:
        words = {"code": -1000, "msg": f"Unknown method {method!r}."}
        return json.dumps({"id": number, "status": 400, "error": words})
    reply = await exchange.answer(Call(*METHODS[method], Params(texts), payload, texts.get("apiKey")))
    return _frame(listener, number, reply)


def _frame(listener: Listener, number: Any, reply: Reply) -> str | None:
    if reply.broken in _SILENT:
        return None
    if reply.broken in _BREAKS:
        listener.put(None)
        return None
    if reply.broken is not None:
        internal = {"code": -1000, "msg": "An unknown error occurred while processing the request."}
        return json.dumps({"id": number, "status": 500, "error": internal})
    kind = "result" if reply.status == 200 else "error"
    return json.dumps({"id": number, "status": reply.status, kind: reply.body, "rateLimits": []})


def _subscribe(exchange: Exchange, listener: Listener, number: Any, call: Call) -> str:
    try:
        exchange.guard.check_key(call.key)
        exchange.check_signed(call)
    except RefusedError as error:
        return json.dumps({"id": number, "status": error.words.status, "error": error.body})
    listener.user = "wrapped"
    return json.dumps({"id": number, "status": 200, "result": {"subscriptionId": 0}, "rateLimits": []})


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
