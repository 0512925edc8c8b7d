"""The perpetual exchange with Binance's algo service beside it, where stops wait, and with answers that get lost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from tests.live.gateways.perpetual_venue import PerpetualVenue, Refused, refuse

FAULTS = ("before", "after", "html")


class StoppedVenue(PerpetualVenue):
    """``rate`` is the share of private requests that something happens to, drawn from ``seed``.

    ``blind`` triggered stops show what they became only after so many questions.
    """

    def __init__(self, wallet: str, rate: float = 0.0, seed: int = 0, blind: int = 0) -> None:
        super().__init__(wallet)
        self.rate, self._rng = rate, np.random.default_rng(seed)
        self.algos: list[dict[str, Any]] = []
        self.struck: list[str] = []
        self._blind, self._unseen = blind, dict[str, int]()

    def strike(self, method: str, path: str) -> str:
        if not path.endswith(("rder", "Orders", "userTrades", "account", "positionRisk")):
            return ""
        if self._rng.random() >= self.rate:
            return ""
        self.struck.append(f"{method} {path}")
        return FAULTS[int(self._rng.integers(len(FAULTS)))]

    def move(self, price: str) -> None:
        super().move(price)
        for algo in [one for one in self.algos if one["algoStatus"] == "NEW"]:
            if self._reaches(algo):
                self._trigger(algo)

    def _reaches(self, algo: dict[str, Any]) -> bool:
        level, is_rising = Decimal(algo["triggerPrice"]), algo["side"] == "BUY"
        if algo["orderType"] == "TAKE_PROFIT_MARKET":
            is_rising = not is_rising
        return self.price >= level if is_rising else self.price <= level

    def _trigger(self, algo: dict[str, Any]) -> None:
        sent = {
            "side": algo["side"], "type": "MARKET", "quantity": algo["quantity"],
            "reduceOnly": str(algo["reduceOnly"]).lower(), "newClientOrderId": f"autoalgo-{algo['algoId']}",
        }  # fmt: skip
        try:
            order = self._place(sent)
        except Refused:
            algo["algoStatus"] = "REJECTED"
            return
        algo |= {"algoStatus": "FINISHED", "actualOrderId": str(order["orderId"])}
        self._unseen[str(order["orderId"])] = self._blind

    def more(self, sent: dict[str, str]) -> dict[tuple[str, str], Callable[[], Any]]:
        return {
            ("POST", "v1/algoOrder"): lambda: self._place_algo(sent),
            ("GET", "v1/algoOrder"): lambda: self._find_algo(sent, -2013),
            ("DELETE", "v1/algoOrder"): lambda: self._cancel_algo(sent),
            ("GET", "v1/openAlgoOrders"): lambda: [one for one in self.algos if one["algoStatus"] == "NEW"],
            ("GET", "v1/allAlgoOrders"): lambda: [
                one for one in self.algos if one["createTime"] >= int(sent["startTime"])],
        }  # fmt: skip

    def _find(self, sent: dict[str, str], code: int = -2013) -> dict[str, Any]:
        if "orderId" not in sent:
            return super()._find(sent, code)
        if self._unseen.get(sent["orderId"], 0) > 0:
            self._unseen[sent["orderId"]] -= 1
            refuse(code, "Order does not exist.")
        return next(one for one in self.orders if str(one["orderId"]) == sent["orderId"])

    def _place_algo(self, sent: dict[str, str]) -> dict[str, Any]:
        if any(one["clientAlgoId"] == sent["clientAlgoId"] for one in self.algos if one["algoStatus"] == "NEW"):
            refuse(-20132, "The client algo id is duplicated")
        algo: dict[str, Any] = {
            "algoId": 1_000_000 + len(self.algos), "clientAlgoId": sent["clientAlgoId"], "algoType": sent["algoType"],
            "orderType": sent["type"], "symbol": "BTCUSDT", "side": sent["side"], "positionSide": "BOTH",
            "timeInForce": "GTC", "quantity": sent["quantity"], "algoStatus": "NEW", "actualOrderId": "",
            "triggerPrice": sent["triggerPrice"], "price": "0", "reduceOnly": sent.get("reduceOnly") == "true",
            "createTime": self.now, "updateTime": self.now, "triggerTime": 0,
        }  # fmt: skip
        if self._reaches(algo):
            refuse(-2021, "Order would immediately trigger.")
        self.algos.append(algo)
        return algo

    def _find_algo(self, sent: dict[str, str], code: int) -> dict[str, Any]:
        found = [one for one in self.algos if one["clientAlgoId"] == sent["clientAlgoId"]]
        if not found:
            refuse(code, "Order does not exist.")
        return found[-1]

    def _cancel_algo(self, sent: dict[str, str]) -> dict[str, Any]:
        algo = self._find_algo(sent, -2011)
        if algo["algoStatus"] != "NEW":
            refuse(-2011, "Unknown order sent.")
        algo["algoStatus"] = "CANCELED"
        return {"algoId": algo["algoId"], "clientAlgoId": algo["clientAlgoId"], "code": "200", "msg": "success"}
