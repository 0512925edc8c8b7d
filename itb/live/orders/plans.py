"""Plans: several orders with one purpose, each step following from what was witnessed of the ones before.

A plan keeps nothing in memory: its next moves are a pure function of its legs. So a restart goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, TypeAlias

from itb.live.orders.bracket import Bracket
from itb.live.orders.intent import Intent
from itb.live.orders.moves import FAILED, EndOrder, Legs, Move, PlanState, leg_of
from itb.live.orders.state import EXACT, OrderState, Phase, total
from itb.market.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Chase:
    """A limit order that follows the market: cancelled and sent anew at each new price, for what is left.

    Parameters
    ----------
    name
        Names the plan.
    intent
        The limit order that it begins with.
    until
        Time after which it is cancelled and not renewed (0 = never).
    """

    name: str
    intent: Intent
    until: int = 0
    kind: Literal["chase"] = "chase"

    def moves(self, state: PlanState, legs: Legs, instrument: Instrument, now: int) -> list[Move]:
        """Cancel at the old price, wait for the witness, send what is left at the new one."""
        orders = legs.get("chase", ())
        is_over = bool(state.exit_reason) or (self.until and now >= self.until)
        price = state.price or self.intent.price
        last = orders[-1] if orders else None
        if last is not None and not last.is_settled:
            if not last.cancel and (is_over or last.intent.price != price):
                return [EndOrder(last.intent.key, "new price" if not is_over else "chased long enough")]
            return []
        if is_over or (last is not None and last.phase in FAILED):
            return []
        left = self._left(orders, instrument)
        if left is None:
            return []
        order = replace(self.intent, qty=left, price=price, asked_at=now)
        return [leg_of(self, "chase", order, len(orders) + 1)]

    def _left(self, orders: Sequence[OrderState], instrument: Instrument) -> Decimal | None:
        left = instrument.quantise(EXACT.subtract(self.intent.qty, total(order.filled for order in orders)))
        return None if instrument.refusal(left, self.intent.worst_price) else left

    def is_done(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether everything was bought or sold, or it was ended."""
        orders = legs.get("chase", ())
        if any(not order.is_settled for order in orders):
            return False
        if not orders:
            return bool(state.exit_reason)
        is_final = orders[-1].phase in FAILED | {Phase.ABSENT}
        return is_final or bool(state.exit_reason) or self._left(orders, instrument) is None


@dataclass(frozen=True, slots=True)
class Slices:
    """A large order in equal parts, one after the other, so that it shows and costs less.

    Parameters
    ----------
    name
        Names the plan.
    intent
        The whole order.
    parts
        Quantities of the parts, see :func:`slice_qty`.
    """

    name: str
    intent: Intent
    parts: tuple[Decimal, ...] = field(default_factory=tuple)
    kind: Literal["slices"] = "slices"

    def moves(self, state: PlanState, legs: Legs, instrument: Instrument, now: int) -> list[Move]:
        """Send the next part once the one before is ended and booked."""
        orders = legs.get("part", ())
        if orders and not orders[-1].is_settled:
            last = orders[-1]
            return [EndOrder(last.intent.key, state.exit_reason)] if state.exit_reason and not last.cancel else []
        if self.is_done(state, legs, instrument):
            return []
        part = replace(self.intent, qty=self.parts[len(orders)], price=state.price or self.intent.price, asked_at=now)
        return [leg_of(self, "part", part, len(orders) + 1)]

    def is_done(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether all parts are through, one was refused, or it was ended."""
        del instrument
        orders = legs.get("part", ())
        if any(not order.is_settled for order in orders):
            return False
        is_refused = bool(orders) and orders[-1].phase in FAILED
        return len(orders) >= len(self.parts) or is_refused or bool(state.exit_reason)


Plan: TypeAlias = Bracket | Chase | Slices


def slice_qty(
    qty: Decimal, price: Decimal, instrument: Instrument, *, part_notional: Decimal, most: int
) -> tuple[Decimal, ...]:
    """Cut a quantity into at most ``most`` equal parts of about ``part_notional``, each on the venue's step.

    The last part takes what flooring left over; a part that the venue would refuse makes fewer parts.

    >>> btc = Instrument("BTC/USDT", step=Decimal("0.001"), min_qty=Decimal("0.001"))
    >>> slice_qty(Decimal("0.010"), Decimal(100), btc, part_notional=Decimal("0.3"), most=10)
    (Decimal('0.010'),)
    >>> slice_qty(Decimal("1.000"), Decimal(100), btc, part_notional=Decimal(30), most=10)
    (Decimal('0.333'), Decimal('0.333'), Decimal('0.334'))
    """
    whole = instrument.quantise(qty)
    parts = max(1, min(most, int(whole * price / part_notional)))
    while parts > 1 and instrument.refusal(instrument.quantise(whole / parts), price):
        parts -= 1
    each = instrument.quantise(whole / parts)
    return (*([each] * (parts - 1)), EXACT.subtract(whole, each * (parts - 1)))
