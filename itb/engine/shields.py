"""Protective legs: the stop and the target that stand from an entry's fill until its position ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import backtrader as bt

from itb.engine.orders import Protection
from itb.engine.venue import Ambiguity, Leg

if TYPE_CHECKING:
    from itb.engine.venue_broker import VenueBroker


@dataclass
class _Shield:
    protect: Protection
    owner: Any
    bar: int  # the bar it was raised in
    base: float  # the market's price at the entry, before slippage: where the rest of the entry bar starts
    is_long: bool
    stop: Any = None
    target: Any = None

    def legs(self) -> list[Any]:
        return [leg for leg in (self.stop, self.target) if leg is not None and leg.alive()]


class Shields:
    """At most one shield a data feed, for the whole position; a later protected entry replaces it."""

    def __init__(self, broker: VenueBroker) -> None:
        self._broker = broker
        self._of: dict[Any, _Shield] = {}
        self.ambiguous: list[Ambiguity] = []

    def holds(self, order: Any) -> bool:
        """Whether the order is a leg of a shield."""
        return any(order is leg for shield in self._of.values() for leg in (shield.stop, shield.target))

    def raise_for(self, entry: Any) -> None:
        """Place the legs of an entry that has just filled, if it asked for protection."""
        protect = entry.info.get("protect") if entry.info else None
        position = self._broker.positions[entry.data]
        if not isinstance(protect, Protection) or not position.size:
            return
        self.drop(entry.data)
        is_long = position.size > 0
        side = 1 if is_long else -1
        shield = _Shield(protect, entry.owner, len(entry.data) - 1, self._broker.log[-1].market_price, is_long)
        self._of[entry.data] = shield
        price = self._broker.log[-1].price
        if protect.stop_loss:
            shield.stop = self._leg(entry.data, shield, bt.Order.Stop, price * (1 - side * protect.stop_loss), "stop")
        if protect.take_profit:
            target = price * (1 + side * protect.take_profit)
            shield.target = self._leg(entry.data, shield, bt.Order.Limit, target, "target")

    def move_stop(self, data: Any, owner: Any, price: float, reason: str) -> Any:
        """Replace the stop of the position in ``data`` (or place a first one) by one at ``price``."""
        position = self._broker.positions[data]
        if not position.size:
            return None
        shield = self._of.get(data)
        if shield is None:
            shield = _Shield(Protection(), owner, -1, 0.0, position.size > 0)
            self._of[data] = shield
        self._end(shield.stop)
        shield.stop = self._leg(data, shield, bt.Order.Stop, price, reason)
        return shield.stop

    def drop(self, data: Any) -> None:
        """Cancel both legs."""
        shield = self._of.pop(data, None)
        if shield is not None:
            for leg in shield.legs():
                self._end(leg)

    def work(self) -> None:
        """Fill the legs that this bar touches; end those whose position is gone."""
        for data, shield in list(self._of.items()):
            size = self._broker.positions[data].size
            if not size or (size > 0) != shield.is_long:
                self.drop(data)
                continue
            touched = self._touched(data, shield)
            if touched is not None:
                self._broker.fill_leg(*touched)
                self.drop(data)

    def _leg(self, data: Any, shield: _Shield, exectype: int, price: float, reason: str) -> Any:
        size = abs(self._broker.positions[data].size)
        send = self._broker.sell if shield.is_long else self._broker.buy
        return send(shield.owner, data, size, price=price, exectype=exectype, reason=reason)

    def _end(self, leg: Any) -> None:
        if leg is not None and leg.alive():
            self._broker.remove(leg)
            leg.cancel()
            self._broker.notify(leg)

    def _touched(self, data: Any, shield: _Shield) -> tuple[Any, float] | None:
        """Find the leg that fills in this bar and the market's price there, or ``None``."""
        bar = len(data) - 1
        stop: Any = shield.stop if shield.stop is not None and shield.stop.alive() else None
        target: Any = shield.target if shield.target is not None and shield.target.alive() else None
        side = 1 if shield.is_long else -1
        worst, best = (data.low[0], data.high[0]) if shield.is_long else (data.high[0], data.low[0])
        start = shield.base if bar == shield.bar else data.open[0]
        stop_price = stop.created.price if stop is not None else None
        target_price = target.created.price if target is not None else None
        if stop_price is not None and side * (start - stop_price) <= 0:
            return stop, start  # gapped through: there is no trade at the stop's own price
        if target_price is not None and side * (start - target_price) >= 0:
            return target, start
        hits_stop = stop_price is not None and side * (worst - stop_price) <= 0
        hits_target = target_price is not None and side * (best - target_price) >= 0
        if hits_stop and hits_target:
            hits_target = self._settle(bar, stop.created.price, target.created.price, shield) == "target"
        if hits_target:
            return target, target.created.price
        return (stop, stop.created.price) if hits_stop else None

    def _settle(self, bar: int, stop: float, target: float, shield: _Shield) -> Leg:
        venue = self._broker.venue
        known = venue.settle(bar, stop, target, shield.is_long) if venue.settle else None
        taken = known or venue.first
        self.ambiguous.append(Ambiguity(bar, stop, target, taken, settled=known is not None))
        return taken
