"""Protective legs: the stop and the target that stand from an entry's fill until its position ends.

They only ever close: where another order makes the position larger or smaller, they are sent anew for what is left of
it. Of an entry that fills inside its bar (a resting order, or after a delay), what the bar did before the fill is
unknown: the stop is tested on the whole bar; a target that only the bar's extreme touched, and not its close, counts as
ambiguous.
"""

from __future__ import annotations

import math
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
    entered_inside: bool = False  # of the bar, not at its open
    held: float = 0.0  # the position that the legs are as large as
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
        held = self._held(entry.data)
        is_long = held > 0
        if not isinstance(protect, Protection) or not held or is_long != entry.isbuy():
            return
        self.drop(entry.data)
        side = 1 if is_long else -1
        base = self._broker.log[-1].market_price
        is_late = entry.exectype != bt.Order.Market or self._broker.venue_of(entry.data).fills_late
        inside = is_late and base != entry.data.open[0]
        shield = _Shield(protect, entry.owner, len(entry.data) - 1, base, is_long, inside)
        shield.held = self._broker.positions[entry.data].size
        self._of[entry.data] = shield
        price = self._broker.log[-1].price
        if protect.stop_loss:
            shield.stop = self._leg(entry.data, shield, bt.Order.Stop, price * (1 - side * protect.stop_loss), "stop")
        if protect.take_profit:
            target = price * (1 + side * protect.take_profit)
            shield.target = self._leg(entry.data, shield, bt.Order.Limit, target, "target")

    def move_stop(self, data: Any, owner: Any, price: float, reason: str) -> Any:
        """Replace the stop of the position in ``data`` (or place a first one) by one at ``price``.

        Where the venue refuses the new one, the old one stays.
        """
        held = self._held(data)
        if not held:
            return None
        shield = self._of.get(data)
        if shield is None:
            size = self._broker.positions[data].size
            shield = self._of[data] = _Shield(Protection(), owner, -1, 0.0, held > 0, held=size)
        moved = self._leg(data, shield, bt.Order.Stop, price, reason)
        if moved.alive():
            self._end(shield.stop)
            shield.stop = moved
        return moved

    def drop(self, data: Any) -> None:
        """Cancel both legs."""
        shield = self._of.pop(data, None)
        if shield is not None:
            for leg in shield.legs():
                self._end(leg)

    def work(self) -> None:
        """Fill the legs that this bar touches; end those whose position is gone."""
        for data, shield in list(self._of.items()):
            held = self._held(data)
            if not held or (held > 0) != shield.is_long:
                self.drop(data)
                continue
            if not self._broker.is_fresh(data):
                continue
            self._fit(data, shield)
            touched = self._touched(data, shield)
            if touched is not None:
                self._broker.fill_leg(*touched)
                self.drop(data)

    def _held(self, data: Any) -> float:
        size = self._broker.positions[data].size
        return self._broker.venue_of(data).quantise(size) if size else 0.0

    def _fit(self, data: Any, shield: _Shield) -> None:
        """Send the legs anew where another order changed the position: they cover all of it, and only close."""
        size = self._broker.positions[data].size
        if size == shield.held:
            return
        shield.held = size
        for name, leg in (("stop", shield.stop), ("target", shield.target)):
            if leg is not None and leg.alive():
                self._end(leg)
                setattr(shield, name, self._leg(data, shield, leg.exectype, leg.created.price, leg.info["reason"]))

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
        inside = shield.entered_inside and bar == shield.bar
        if hits_target and (hits_stop or (inside and side * (data.close[0] - target_price) < 0)):
            hits_target = self._settle(data, stop_price, target.created.price, shield, is_whole=not inside) == "target"
        if hits_target:
            return target, target.created.price
        return (stop, stop.created.price) if hits_stop else None

    def _settle(self, data: Any, stop: float | None, target: float, shield: _Shield, *, is_whole: bool) -> Leg:
        venue, bar = self._broker.venue_of(data), len(data) - 1
        level = math.nan if stop is None else stop
        known = venue.settle(bar, level, target, shield.is_long) if venue.settle and is_whole else None
        taken = known or venue.first
        self.ambiguous.append(Ambiguity(bar, level, target, taken, known is not None, data._name))
        return taken
