"""A small exchange of one USD-margined perpetual, netted, as Binance words it: what the gateway is held against."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

ZERO = Decimal(0)
FEE = Decimal("0.0005")
_MARKET = {
    "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": "BTC",
    "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 2, "quantityPrecision": 3,
    "deliveryDate": 4133404800000,
    "orderTypes": ["LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET"], "timeInForce": ["GTC"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "1000000", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ],
}  # fmt: skip


class Refused(Exception):
    """An error body."""


class PerpetualVenue:
    """One account; ``price`` and ``now`` are the market."""

    def __init__(self, wallet: str) -> None:
        self.price, self.now = Decimal("100.00"), 1_700_000_000_000
        self.wallet, self.qty, self.entry = Decimal(wallet), ZERO, ZERO
        self.orders: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.incomes: list[dict[str, Any]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.leverage, self.margin, self.is_dual, self.is_shared = 20, "CROSSED", False, False
        self.rates: list[dict[str, Any]] = []
        self.every = 8 * 3_600_000  # holders pay one another so often

    # ---- the market

    def fund(self, rate: str) -> None:
        """Let holders pay: a long pays where the rate is above 0."""
        paid = (-self.qty * self.price * Decimal(rate)).quantize(Decimal("1e-8"))
        self.wallet += paid
        self.incomes.append({
            "symbol": "BTCUSDT", "incomeType": "FUNDING_FEE", "income": f"{paid:f}", "asset": "USDT", "time": self.now,
            "info": "FUNDING_FEE", "tranId": 9_000_000 + len(self.incomes), "tradeId": "",
        })  # fmt: skip

    def move(self, price: str) -> None:
        """Let the market trade at another price."""
        self.price = Decimal(price)
        for order in [one for one in self.orders if one["status"] == "NEW"]:
            limit = Decimal(order["price"])
            if self.price <= limit if order["side"] == "BUY" else self.price >= limit:
                self._fill(order, limit)

    def _fill(self, order: dict[str, Any], price: Decimal) -> None:
        signed = Decimal(order["origQty"]) * (1 if order["side"] == "BUY" else -1)
        closed = min(abs(signed), abs(self.qty)) if self.qty * signed < 0 else ZERO
        gain = (closed * (price - self.entry) * (1 if self.qty > 0 else -1)).quantize(Decimal("1e-8"))
        fee = (abs(signed) * price * FEE).quantize(Decimal("1e-8"))
        self.wallet += gain - fee
        before, self.qty = self.qty, self.qty + signed
        if not self.qty:
            self.entry = ZERO
        elif before * signed >= 0:
            self.entry = ((abs(before) * self.entry + abs(signed) * price) / abs(self.qty)).quantize(Decimal("1e-8"))
        elif before * self.qty < 0:
            self.entry = price
        order |= {"status": "FILLED", "executedQty": order["origQty"], "avgPrice": f"{price:f}",
                  "cumQuote": f"{abs(signed) * price:f}"}  # fmt: skip
        self.trades.append({
            "symbol": "BTCUSDT", "id": len(self.trades) + 1, "orderId": order["orderId"], "side": order["side"],
            "price": f"{price:f}", "qty": order["origQty"], "realizedPnl": f"{gain:f}", "marginAsset": "USDT",
            "quoteQty": f"{abs(signed) * price:f}", "commission": f"{fee:f}", "commissionAsset": "USDT",
            "time": self.now, "positionSide": "BOTH", "buyer": order["side"] == "BUY", "maker": False,
        })  # fmt: skip

    # ---- the interface

    def answer(self, method: str, path: str, sent: dict[str, str]) -> Any:
        """Answer a request."""
        self.asked.append((f"{method} {path}", sent))
        name = path.rpartition("/fapi/")[2]
        table = {
            ("GET", "v1/time"): lambda: {"serverTime": self.now},
            ("GET", "v1/exchangeInfo"): lambda: {"symbols": [_MARKET], "rateLimits": []},
            ("GET", "v3/account"): lambda: {"assets": [{"asset": "USDT", "walletBalance": f"{self.wallet:f}"}]},
            ("GET", "v3/positionRisk"): lambda: [] if not self.qty else [{
                "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": f"{self.qty:f}",
                "entryPrice": f"{self.entry:f}"}],
            ("GET", "v1/income"): lambda: [one for one in self.incomes if one["time"] >= int(sent.get("startTime", 0))],
            ("GET", "v1/accountConfig"): lambda: {
                "dualSidePosition": self.is_dual, "multiAssetsMargin": self.is_shared},
            ("GET", "v1/symbolConfig"): lambda: [{
                "symbol": "BTCUSDT", "marginType": self.margin, "leverage": self.leverage}],
            ("GET", "v1/fundingRate"): lambda: [
                one for one in self.rates if one["fundingTime"] >= int(sent.get("startTime", 0))],
            ("GET", "v1/premiumIndex"): lambda: {
                "symbol": "BTCUSDT", "markPrice": f"{self.price:f}", "indexPrice": f"{self.price:f}",
                "lastFundingRate": "0.0001", "interestRate": "0.0001", "time": self.now,
                "nextFundingTime": (self.now // self.every + 1) * self.every},
            ("POST", "v1/positionSide/dual"): lambda: self._set_mode(sent["dualSidePosition"] == "true"),
            ("POST", "v1/marginType"): lambda: self._set_margin(sent["marginType"]),
            ("POST", "v1/leverage"): lambda: self._set_leverage(int(sent["leverage"])),
            ("GET", "v1/openOrders"): lambda: [one for one in self.orders if one["status"] == "NEW"],
            ("GET", "v1/allOrders"): lambda: [one for one in self.orders if one["time"] >= int(sent["startTime"])],
            ("GET", "v1/userTrades"): lambda: [one for one in self.trades if one["time"] >= int(sent["startTime"])],
            ("GET", "v1/order"): lambda: self._find(sent),
            ("POST", "v1/order"): lambda: self._place(sent),
            ("DELETE", "v1/order"): lambda: self._cancel(sent),
        }  # fmt: skip
        return (self.more(sent) | table)[method, name]()

    def more(self, sent: dict[str, str]) -> dict[tuple[str, str], Callable[[], Any]]:
        """Answer for the algo service, which holds nothing here."""
        del sent
        return {
            ("GET", "v1/openAlgoOrders"): list,
            ("GET", "v1/allAlgoOrders"): list,
            ("GET", "v1/algoOrder"): lambda: refuse(-2013, "Order does not exist."),
        }

    def _set_mode(self, is_dual: bool) -> dict[str, Any]:
        if self.is_dual == is_dual:
            refuse(-4059, "No need to change position side.")
        if self.qty:
            refuse(-4068, "Position side cannot be changed if there exists position.")
        self.is_dual = is_dual
        return {"code": 200, "msg": "success"}

    def _set_margin(self, margin: str) -> dict[str, Any]:
        if self.margin == margin:
            refuse(-4046, "No need to change margin type.")
        if self.qty:
            refuse(-4048, "Margin type cannot be changed if there exists position.")
        self.margin = margin
        return {"code": 200, "msg": "success"}

    def _set_leverage(self, leverage: int) -> dict[str, Any]:
        self.leverage = leverage
        return {"leverage": leverage, "symbol": "BTCUSDT"}

    def _find(self, sent: dict[str, str], code: int = -2013) -> dict[str, Any]:
        found = [one for one in self.orders if one["clientOrderId"] == sent["origClientOrderId"]]
        return found[-1] if found else refuse(code, "Order does not exist.")

    def _cancel(self, sent: dict[str, str]) -> dict[str, Any]:
        order = self._find(sent, -2011)
        if order["status"] != "NEW":
            refuse(-2011, "Unknown order sent.")
        order["status"] = "CANCELED"
        return order

    def _place(self, sent: dict[str, str]) -> dict[str, Any]:
        qty, side = Decimal(sent["quantity"]), sent["side"]
        signed = qty if side == "BUY" else -qty
        if sent.get("reduceOnly") == "true" and (self.qty * signed >= 0 or abs(signed) > abs(self.qty)):
            refuse(-2022, "ReduceOnly Order is rejected.")
        if abs(self.qty + signed) * self.price > self.wallet:
            refuse(-2019, "Margin is insufficient.")
        order: dict[str, Any] = {
            "symbol": "BTCUSDT", "orderId": len(self.orders) + 1, "clientOrderId": sent["newClientOrderId"],
            "price": sent.get("price", "0"), "origQty": f"{qty:f}", "executedQty": "0", "cumQuote": "0",
            "status": "NEW", "timeInForce": "GTC", "type": sent["type"], "side": side, "stopPrice": "0",
            "time": self.now, "updateTime": self.now, "reduceOnly": sent.get("reduceOnly") == "true",
            "positionSide": "BOTH", "avgPrice": "0",
        }  # fmt: skip
        self.orders.append(order)
        limit = Decimal(order["price"])
        if sent["type"] == "MARKET" or (self.price <= limit if side == "BUY" else self.price >= limit):
            self._fill(order, self.price)
        return order

    def strike(self, method: str, path: str) -> str:
        """Say what goes wrong with a request: nothing here."""
        del method, path
        return ""

    async def serve(self) -> tuple[web.AppRunner, str]:
        """Listen on this machine; give what stops it, and the address."""

        async def handle(request: web.Request) -> web.Response:
            sent = dict(parse_qsl(request.query_string) + parse_qsl(await request.text()))
            fault = self.strike(request.method, request.path)
            if fault == "before":
                return _abort(request)
            try:
                answer = web.json_response(self.answer(request.method, request.path, sent))
            except Refused as error:
                answer = web.json_response(error.args[0], status=400)
            if fault == "html":
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            return _abort(request) if fault == "after" else answer

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def _abort(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def refuse(code: int, text: str) -> Any:
    raise Refused({"code": code, "msg": text})
