"""Where pending orders of a feed can fill or expire, found without visiting the bars."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Any

import backtrader as bt

if TYPE_CHECKING:
    from itb.market.bars import FloatArray

_EVERY_BAR_ORDERS = (bt.Order.Market, bt.Order.Close, bt.Order.StopTrail, bt.Order.StopTrailLimit, bt.Order.Historical)


def first_order_bar(pending: Any, data: Any, low: FloatArray, high: FloatArray, bar: int, until: int) -> int:
    """First bar in ``(bar, until]`` where a pending order can fill or expire, else ``until``."""
    if until <= bar + 1 or not pending:
        return until
    below, above, expiry = -math.inf, math.inf, math.inf
    for order in pending:
        if order.exectype in _EVERY_BAR_ORDERS:
            return bar + 1
        if order.valid is not None:
            expiry = min(expiry, order.valid if isinstance(order.valid, float) else -math.inf)
        if not order.active():
            continue
        triggered = order.triggered and order.exectype == bt.Order.StopLimit
        price = order.created.pricelimit if triggered else order.created.price
        if (order.exectype == bt.Order.Limit or triggered) == order.isbuy():
            below = max(below, price)
        else:
            above = min(above, price)
    if expiry < math.inf:
        until = min(until, bisect.bisect_right(data.lines.datetime.array, expiry, bar + 1, len(low)))
    return _first_touch(low, high, bar + 1, until, below, above)


def _first_touch(low: FloatArray, high: FloatArray, start: int, stop: int, below: float, above: float) -> int:
    """First index in ``[start, stop)`` with ``low <= below`` or ``high >= above``, else ``stop``; windows double."""
    width = 64
    while start < stop:
        end = min(stop, start + width)
        touched = (low[start:end] <= below) | (high[start:end] >= above)
        found = int(touched.argmax())
        if touched[found]:
            return start + found
        start, width = end, min(width * 4, 65_536)
    return stop
