"""What the practice exchange asks of an order before it looks at money: fitting parameters, and the filters."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.practice import refusals
from itb.live.practice.orders import KINDS, LIMITS, STOPS, TARGETS, ZERO, Ask, times
from itb.live.practice.refusals import RefusedError

if TYPE_CHECKING:
    from itb.market.instrument import Instrument

MAX_QTY = Decimal(9_000_000)
MAX_PRICE = Decimal(10_000_000)
MAX_OPEN = 200
_CID = re.compile(r"[a-zA-Z0-9-_]{1,36}")
_DIGITS = 8


def check_shape(ask: Ask) -> None:
    """Refuse parameters that do not fit the kind of order."""
    if ask.side not in {"BUY", "SELL"}:
        raise RefusedError(refusals.BAD_SIDE)
    if ask.kind not in KINDS:
        raise RefusedError(refusals.BAD_KIND)
    if ask.tif not in {"GTC", "IOC", "FOK"}:
        raise RefusedError(refusals.BAD_TIF)
    if ask.cid and not _CID.fullmatch(ask.cid):
        raise RefusedError(refusals.BAD_CID)
    for name in ("price", "stop", "qty", "quote_qty"):
        _check_number(ask, name)
    _check_needs(ask)


def _check_needs(ask: Ask) -> None:
    needs = {"price": ask.kind in LIMITS, "stop": ask.kind in STOPS | TARGETS}
    for name, is_needed in needs.items():
        if is_needed != (getattr(ask, name) > 0):
            wire = "stopPrice" if name == "stop" else name
            raise RefusedError(refusals.missing(wire) if is_needed else refusals.unwanted(wire))
    if ask.quote_qty and (ask.kind != "MARKET" or ask.qty):
        raise RefusedError(refusals.unwanted("quoteOrderQty"))
    if not ask.qty and not ask.quote_qty:
        raise RefusedError(refusals.missing("quantity"))


def _check_number(ask: Ask, name: str) -> None:
    number: Decimal = getattr(ask, name)
    wire = {"stop": "stopPrice", "qty": "quantity", "quote_qty": "quoteOrderQty"}.get(name, name)
    if not number.is_finite() or number < 0:
        raise RefusedError(refusals.missing(wire))
    if -int(number.normalize().as_tuple().exponent) > _DIGITS:
        raise RefusedError(refusals.too_precise(wire))


def check_filters(ask: Ask, qty: Decimal, rules: Instrument, market_price: Decimal) -> None:
    """Refuse prices off the tick, quantities off the step or too small, and too little notional."""
    for price in (ask.price, ask.stop):
        if price > MAX_PRICE or price % rules.tick:
            raise RefusedError(refusals.FILTER_PRICE)
    if qty < rules.min_qty or qty <= 0 or qty > MAX_QTY or qty % rules.step:
        raise RefusedError(refusals.FILTER_LOT)
    if times(qty, _notional_price(ask, market_price)) < rules.min_notional:
        raise RefusedError(refusals.FILTER_NOTIONAL)


def _notional_price(ask: Ask, market_price: Decimal) -> Decimal:
    if ask.price > ZERO:
        return ask.price
    return ask.stop if ask.stop > ZERO else market_price
