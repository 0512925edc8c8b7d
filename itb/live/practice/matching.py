"""Matching: which orders a moving price makes act, in which order, and what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.live.practice.orders import ZERO, Order, down

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from itb.live.practice.settlement import Settlement
    from itb.live.practice.tape import Tape


class Matching:
    """Fills one account's orders against a tape.

    The market has no depth of its own: whatever volume share is left of the running bar trades at the price of the
    moment. Orders act in the order in which the walking price reaches them, the elder first at one level. A resting
    limit that the market jumps over between two bars fills at the open, which is better than its limit; a stop that is
    jumped over fills at the open, which is worse than its level.

    ``tell(order, what, fill)`` hears every change; ``slice_of(order, qty)`` may make a fill come in pieces.
    """

    def __init__(self, money: Settlement, tell: Callable[..., None], partner: Callable[[Order], Order | None]) -> None:
        self.money, self._tell, self._partner = money, tell, partner
        self.slice_of: Callable[[Order, Decimal], Decimal] | None = None
        self._fills = 0

    def walk(self, tape: Tape, orders: Iterable[Order], price: Decimal, now: int, *, jumps: bool) -> None:
        """Move the market to ``price``; ``jumps`` between two bars, else it passes every level on the way."""
        start, spent = (price if jumps else tape.last), set[int]()
        low, high = min(start, price), max(start, price)
        standing = [order for order in orders if order.acts_at(price)]
        while standing:
            ready = [order for order in standing if order.is_open and order.id not in spent and order.acts_at(price)]
            if not ready:
                break
            order = min(ready, key=lambda one: (_way(one, start, low, high, jumps=jumps), one.id))
            reached = min(max(order.level, low), high)
            if not jumps:
                start, low, high = reached, min(reached, price), max(reached, price)
            if order.is_working:
                spent.add(order.id)  # one turn at a print; a stop that becomes a limit has another
            self._act(tape, order, reached, now)
        tape.last = price

    def _act(self, tape: Tape, order: Order, price: Decimal, now: int) -> None:
        if order.is_working:
            self.fill(tape, order, price, now)
            return
        self._drop_partner(order, tape, now)
        order.is_working, order.updated = True, now
        self._tell(order, "NEW", None)
        if not order.is_limit or order.acts_at(price):
            self.take(tape, order, price, now)

    def take(self, tape: Tape, order: Order, price: Decimal, now: int) -> None:
        """Let an order trade at once; what finds no volume expires, or rests if it is a GTC limit."""
        slipped = self.money.terms.slipped(order, price)
        wanted = self.money.affordable(order, slipped, order.rest, tape.rules)
        if order.ask.tif == "FOK" and order.is_limit and self._room(tape, wanted) < order.rest:
            wanted = ZERO
        while wanted > 0 and (qty := self._piece(order, self._room(tape, wanted), tape)) > 0:
            self._execute(tape, order, slipped, qty, now, maker=False)
            wanted -= qty
        if order.rest and (not order.is_limit or order.ask.tif != "GTC"):
            self.finish(order, tape, now, "EXPIRED")

    def fill(self, tape: Tape, order: Order, price: Decimal, now: int) -> None:
        """Let a resting order trade what this moment has for it."""
        qty = self._piece(order, self._room(tape, order.rest), tape)
        if qty > 0:
            self._drop_partner(order, tape, now)
            self._execute(tape, order, price, qty, now, maker=True)

    def finish(self, order: Order, tape: Tape, now: int, status: str) -> None:
        """End an order and give back what it holds."""
        self.money.release(order, tape.rules)
        order.status, order.updated = status, now
        self._tell(order, status, None)

    def _execute(self, tape: Tape, order: Order, price: Decimal, qty: Decimal, now: int, *, maker: bool) -> None:
        self._fills += 1
        done = self.money.settle(order, (self._fills, now, price, qty), tape.rules, maker=maker)
        order.status = "PARTIALLY_FILLED" if order.rest else "FILLED"
        if self.money.terms.volume_share is not None:
            tape.budget -= qty
        self._tell(order, "TRADE", done)

    def _room(self, tape: Tape, qty: Decimal) -> Decimal:
        return qty if self.money.terms.volume_share is None else min(qty, tape.budget)

    def _piece(self, order: Order, qty: Decimal, tape: Tape) -> Decimal:
        if self.slice_of is None or qty <= tape.rules.step:
            return qty
        return max(tape.rules.step, down(self.slice_of(order, qty), tape.rules.step))

    def _drop_partner(self, order: Order, tape: Tape, now: int) -> None:
        partner = self._partner(order)
        if partner is not None and partner.is_open:
            self.finish(partner, tape, now, "EXPIRED")  # what it held is there for the order that acts


def _way(order: Order, start: Decimal, low: Decimal, high: Decimal, *, jumps: bool) -> Decimal:
    """How soon an order's turn comes: by the way to its level, or where the market jumps by how far it went beyond."""
    if jumps:
        return -abs(order.level - start)
    return abs(min(max(order.level, low), high) - start)
