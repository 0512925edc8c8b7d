"""Stops of perpetuals: Binance keeps them apart from its other orders, under ids of their own, until they trigger.

A stop rests in the exchange's algo service, is found and cancelled there by our name, and shows in the lists of that
service only. When its price is met an ordinary order is made for it, with another id: what was executed is told of that
one. So a stop that was triggered says nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from itb.live.gateways import ccxt_words as words
from itb.live.gateways.ccxt_words import NotReadableError
from itb.live.gateways.port import VenueOrder

_DONE = frozenset(("TRIGGERED", "FINISHED"))
PARAMS = {"trigger": True}  # how ccxt is asked for them


def actual_id(row: Mapping[str, Any]) -> str | None:
    """Give the id of the order that a triggered stop became, empty where it is not told; ``None`` for one that rests.

    >>> actual_id({"info": {"algoStatus": "NEW", "actualOrderId": ""}}) is None
    True
    >>> actual_id({"info": {"algoStatus": "FINISHED", "actualOrderId": "77"}})
    '77'
    """
    info = row["info"]
    if words.conditional_status(info) not in _DONE:
        return None
    told = str(info.get("actualOrderId") or "")
    return "" if told == "0" else told


def executed(row: Mapping[str, Any], actual: Mapping[str, Any]) -> VenueOrder:
    """Tell a triggered stop, by what became of the order that was made for it."""
    one, qty = words.order_of(actual), words.amount(row.get("amount"))
    if qty is None or qty < one.filled:
        raise NotReadableError("a stop that was executed for more than its quantity")
    status = "canceled" if one.status == "filled" and one.filled < qty else one.status
    return replace(one, client_id=str(row["clientOrderId"]), kind="stop", qty=qty, status=status)
