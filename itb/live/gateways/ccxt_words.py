"""ccxt's dictionaries as our values, checked where they enter; amounts are exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from itb.live.gateways.port import Balance, OrderKind, OrderRequest, VenueOrder, VenueStatus, VenueTrade
from itb.live.orders.state import EXACT
from itb.market.instrument import Instrument

_STATUS: dict[str, VenueStatus] = {
    "open": "open", "canceling": "open", "closed": "filled", "canceled": "canceled", "expired": "expired",
    "rejected": "rejected",
}  # fmt: skip
_CONDITIONAL: dict[str, VenueStatus] = {
    "NEW": "open", "TRIGGERING": "open", "CANCELED": "canceled", "EXPIRED": "expired", "REJECTED": "rejected",
}  # fmt: skip
RESTING = "algo-"  # begins the id of an order that waits for its price: ids of the two services may be the same number
_ZERO = Decimal(0)
DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE = 2, 3, 4  # ccxt's precision modes


class NotReadableError(ValueError):
    """The exchange's answer lacks what every such answer has."""


def amount(value: object) -> Decimal | None:
    """Read a number that ccxt gives as text; ``None`` where it gives none."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise NotReadableError(f"a number was expected, came {value!r}") from None
    if not found.is_finite():
        raise NotReadableError(f"a number was expected, came {value!r}")
    whole = EXACT.to_integral_exact(found)
    return whole if whole == found else EXACT.normalize(found)


def _need(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    if value is None or value == "":
        raise NotReadableError(f"an answer without {name}")
    return value


def order_of(row: Mapping[str, Any], client_id: str = "") -> VenueOrder:
    """Read an order; raise :class:`NotReadableError` where its ids, status or quantities are missing.

    ``client_id`` is the name that was asked for: some exchanges answer a cancel with the cancel's own name.
    """
    info = row.get("info")
    original = info.get("origClientOrderId") if isinstance(info, dict) else None
    name = str(original if original and original == client_id else row.get("clientOrderId") or "")
    conditional = conditional_status(info)
    status = _CONDITIONAL.get(conditional) if conditional else _STATUS.get(str(row.get("status")))
    if status is None and conditional:
        raise NotReadableError(f"a stop that is {conditional}: what it became says what was executed")
    if status is None:
        raise NotReadableError(f"an order with status {row.get('status')!r}")
    qty, filled = amount(_need(row, "amount")), amount(row.get("filled")) or _ZERO
    if qty is None or qty <= 0 or row.get("side") not in {"buy", "sell"}:
        raise NotReadableError("an order without side or quantity")
    if status == "filled" and filled < qty:
        status = "canceled"  # "closed" without being executed in full
    stop, price = amount(row.get("triggerPrice") or row.get("stopPrice")), amount(row.get("price"))
    stop, price = stop or None, price or None  # 0 stands for none
    is_limit = "limit" in str(row.get("type"))
    kind: OrderKind = ("stop_limit" if is_limit else "stop") if stop else "limit" if is_limit else "market"
    order_id = str(_need(row, "id"))
    if conditional:
        order_id = f"{RESTING}{order_id}"
    return VenueOrder(
        name, order_id, str(_need(row, "symbol")), row["side"], kind, qty, filled, status,
        price if is_limit else None, stop, int(row.get("timestamp") or 0),
    )  # fmt: skip


def conditional_status(info: object) -> str:
    """Give the state of an order of Binance's algo service, asked for or pushed; empty for any other order."""
    if not isinstance(info, dict):
        return ""
    told = info.get("algoStatus") or (info.get("X") if "aid" in info else "")
    return str(told or "")


def pair_params(market: str, stop: OrderRequest, limit: OrderRequest) -> dict[str, str]:
    """Word a pair for Binance: what rests above the price and what rests below it."""
    places = {"above": limit, "below": stop} if limit.side == "sell" else {"above": stop, "below": limit}
    params = {"symbol": market, "side": limit.side.upper(), "quantity": f"{limit.qty:f}", "newOrderRespType": "RESULT"}
    for place, leg in places.items():
        params[f"{place}ClientOrderId"] = leg.client_id
        if leg.stop_price is None:
            params |= {f"{place}Type": "LIMIT_MAKER", f"{place}Price": f"{leg.price:f}"}
        else:
            params |= {f"{place}Type": "STOP_LOSS", f"{place}StopPrice": f"{leg.stop_price:f}"}
    return params


def trade_of(row: Mapping[str, Any]) -> VenueTrade:
    """Read an execution of ours, with its fee in whatever currency."""
    qty, price = amount(_need(row, "amount")), amount(_need(row, "price"))
    if qty is None or price is None or qty <= 0 or price <= 0 or row.get("side") not in {"buy", "sell"}:
        raise NotReadableError("an execution without side, quantity or price")
    symbol = str(_need(row, "symbol"))
    fee, currency = _fee(row, symbol)
    return VenueTrade(
        str(_need(row, "id")), str(_need(row, "order")), symbol, row["side"], qty, price, fee, currency,
        int(_need(row, "timestamp")),
    )  # fmt: skip


def _fee(row: Mapping[str, Any], symbol: str) -> tuple[Decimal, str]:
    told = [fee for fee in (row.get("fees") or [row.get("fee")]) if fee and fee.get("currency")]
    currencies = {str(fee["currency"]) for fee in told}
    if len(currencies) > 1:
        raise NotReadableError(f"one execution with fees in {', '.join(sorted(currencies))}")
    total = sum((amount(fee.get("cost")) or _ZERO for fee in told), _ZERO)
    return total, currencies.pop() if currencies else symbol.partition("/")[2].partition(":")[0]


def balances_of(found: Mapping[str, Any]) -> tuple[Balance, ...]:
    """Read what the account holds, currency by currency."""
    rows = {name: row for name, row in found.items() if name not in _NO_CURRENCY and isinstance(row, dict)}
    held = []
    for name, row in sorted(rows.items()):
        free, used, total = (amount(row.get(part)) for part in ("free", "used", "total"))
        free = free if free is not None else (total or _ZERO) - (used or _ZERO)
        used = used if used is not None else (total or free) - free
        if free or used:
            held.append(Balance(name, free, used))
    return tuple(held)


_NO_CURRENCY = {"info", "free", "used", "total", "timestamp", "datetime", "debt"}


def instrument_of(market: Mapping[str, Any], mode: int, last: Decimal | None = None) -> Instrument:
    """Read tick, step and minima of a market; ``mode`` is ccxt's precision mode.

    ``last`` is the last price: where prices have significant digits, the tick depends on it.

    >>> market = {"symbol": "A/B", "precision": {"price": "0.01", "amount": "0.1"}, "limits": {"cost": {"min": "5"}}}
    >>> one = instrument_of(market, TICK_SIZE)
    >>> (one.tick, one.step, one.min_qty, one.min_notional)
    (Decimal('0.01'), Decimal('0.1'), Decimal('0.1'), Decimal('5'))
    """
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    tick, step = (_unit(amount(precision.get(name)), mode, last) for name in ("price", "amount"))
    if mode == SIGNIFICANT_DIGITS:
        step = Decimal("1e-8")  # only prices are counted in digits there
    size = amount(market.get("contractSize")) or Decimal(1) if market.get("contract") else Decimal(1)
    least = (amount((limits.get("amount") or {}).get("min")) or _ZERO) * size
    cost = amount((limits.get("cost") or {}).get("min")) or _ZERO
    return Instrument(
        str(market["symbol"]), tick=tick, step=step * size, min_qty=max(least, step * size), min_notional=cost
    )


def _unit(told: Decimal | None, mode: int, last: Decimal | None) -> Decimal:
    if told is None:
        raise NotReadableError("a market without precision")
    if mode == TICK_SIZE:
        if told <= 0:
            raise NotReadableError(f"a precision of {told}")
        return told
    places = int(told)
    if mode == SIGNIFICANT_DIGITS:
        if not last:
            raise NotReadableError("prices in significant digits, and no price to count them from")
        places -= last.adjusted() + 1
    return Decimal(1).scaleb(-places)


@dataclass(frozen=True, slots=True)
class Quote:
    """What the market asks and bids (both the price of a trade, where that is all that is known), and when."""

    bid: Decimal
    ask: Decimal
    time: int


def quote_of(row: Mapping[str, Any]) -> Quote:
    """Read a public trade, or the best bid and ask."""
    bid, ask = amount(row.get("bid") or row.get("price")), amount(row.get("ask") or row.get("price"))
    if bid is None or ask is None or not 0 < bid <= ask:
        raise NotReadableError("a price is missing, or the bid is above the ask")
    return Quote(bid, ask, int(row.get("timestamp") or 0))
