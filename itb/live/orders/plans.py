"""Plans: several orders with one purpose, each step following from what was witnessed of the ones before.

A plan keeps nothing in memory: its next moves are a pure function of its legs. So a restart goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, TypeAlias

from itb.live.gateways.port import Side
from itb.live.orders.intent import Intent
from itb.live.orders.state import EXACT, OrderState, Phase, total
from itb.market.instrument import Instrument

Legs: TypeAlias = Mapping[str, Sequence[OrderState]]
FAILED = frozenset((Phase.REJECTED, Phase.REFUSED))
TRIES = 5


@dataclass(frozen=True, slots=True)
class EndOrder:
    """A move: cancel this order."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndPlan:
    """A move: close the plan's position."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """A move: the plan cannot go on; a person must look."""

    reason: str


Move: TypeAlias = Intent | EndOrder | EndPlan | Stuck


@dataclass(frozen=True, slots=True)
class PlanState:
    """What was decided about a plan after it began."""

    exit_reason: str = ""
    price: Decimal | None = None
    price_reason: str = ""


@dataclass(frozen=True, slots=True)
class Bracket:
    """An entry with a stop that rests at the venue and a target that we watch.

    On spot a resting stop locks the coins. So an exit, by signal or target, cancels the stop, waits for the witness of
    its end and of its executions, and only then sells what is left: never a second sell while the stop may be alive.

    Parameters
    ----------
    name
        Names the plan; no two plans of one strategy and bar share it.
    entry
        The order that opens the position.
    stop_price
        Where the stop rests; ``None`` for no stop, or one by ``stop_loss``.
    target_price
        Where the position is closed with a gain; ``None`` for no target, or one by ``take_profit``.
    stop_loss, take_profit
        Distances from the average price that the entry is executed at, as fractions of it; 0 for none.
    carried
        Signed position before the entry: dust of earlier trades, which the legs cover too.
    """

    name: str
    entry: Intent
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    stop_loss: float = 0.0
    take_profit: float = 0.0
    carried: Decimal = Decimal(0)
    kind: Literal["bracket"] = "bracket"

    @property
    def intent(self) -> Intent:
        """The order that the plan begins with."""
        return self.entry

    def is_target(self, price: Decimal) -> bool:
        """Whether a price reaches the target."""
        if self.target_price is None:
            return False
        return price >= self.target_price if self.entry.side == "buy" else price <= self.target_price

    def moves(self, state: PlanState, legs: Legs, instrument: Instrument, now: int) -> list[Move]:
        """Decide what to do next: nothing while anything is in doubt."""
        if "entry" not in legs:
            return [] if state.exit_reason else [leg_of(self, "entry", self.entry)]
        entry, stops, exits = legs["entry"][-1], legs.get("stop", ()), legs.get("exit", ())
        if any(not order.is_settled for order in exits):
            return []
        stop = next((order for order in stops if not order.is_settled), None)
        if state.exit_reason:
            open_orders = [order for order in (entry, stop) if order is not None and not order.is_settled]
            if open_orders:
                return [EndOrder(o.intent.key, state.exit_reason) for o in open_orders if not o.cancel]
            return self._close(state, legs, instrument, now)
        if self.stop_at(state, legs, instrument) is None:
            return []
        return self._protect(state, entry, stop, legs, instrument, now)

    def stop_at(self, state: PlanState, legs: Legs, instrument: Instrument) -> Decimal | None:
        """Give where the stop belongs now: where it was moved to, where it was asked for, or from the entry's price."""
        if state.price is not None or self.stop_price is not None:
            return state.price or self.stop_price
        return self._off(legs, instrument, -self.entry.sign * self.stop_loss)

    def _off(self, legs: Legs, instrument: Instrument, distance: float) -> Decimal | None:
        fills = [fill for order in legs.get("entry", ()) for fill in order.fills]
        if not distance or not fills:
            return None
        worth = total(EXACT.multiply(fill.qty, fill.price) for fill in fills)
        # In floats, as a backtest computes it: the same tick, also where the exact price lies on one.
        price = float(EXACT.divide(worth, total(fill.qty for fill in fills))) * (1 + distance)
        return instrument.quantise_price(Decimal(repr(price)), is_buy=self.entry.side == "sell")

    def _close(self, state: PlanState, legs: Legs, instrument: Instrument, now: int) -> list[Move]:
        held = self._sellable(legs, instrument)
        if held is None:
            return []
        exits = legs.get("exit", ())
        if sum(order.phase in FAILED for order in exits) >= TRIES:
            return [Stuck(f"{self.name}: {TRIES} exits were refused, last because {exits[-1].reason}")]
        exit_ = replace(
            self.entry, side=opposite(self.entry.side), kind="market", qty=held, price=None, stop_price=None,
            reduces=True, reason=state.exit_reason, asked_at=now, max_age_ms=0, timeout_ms=0,
        )  # fmt: skip
        return [leg_of(self, "exit", exit_, len(exits) + 1)]

    def _protect(
        self, state: PlanState, entry: OrderState, stop: OrderState | None, legs: Legs, instrument: Instrument, now: int
    ) -> list[Move]:
        held, stops = self._sellable(legs, instrument), legs.get("stop", ())
        price = self.stop_at(state, legs, instrument)
        if stop is not None:
            if stop.phase is Phase.OPEN and not stop.cancel and stop.intent.stop_price != price:
                return [EndOrder(stop.intent.key, "the stop moves")]
            is_other_size = entry.is_settled and held is not None and stop.remaining not in {held, Decimal(0)}
            if is_other_size and stop.phase is Phase.OPEN and stop.filled == 0 and not stop.cancel:
                return [EndOrder(stop.intent.key, "the entry filled further")]
            return []
        if held is None:
            return []
        if stops and stops[-1].phase in FAILED:
            return [EndPlan(f"stop refused: {stops[-1].reason}")]
        stop_order = replace(
            self.entry, side=opposite(self.entry.side), kind="stop", qty=held, price=None, stop_price=price,
            reduces=True, reason=state.price_reason or "stop", asked_at=now, max_age_ms=0, timeout_ms=0,
        )  # fmt: skip
        return [leg_of(self, "stop", stop_order, len(stops) + 1)]

    def _sellable(self, legs: Legs, instrument: Instrument) -> Decimal | None:
        """Give what is held and large enough to be traded away; the rest is dust."""
        changes = (o.position_change for orders in legs.values() for o in orders)
        held = instrument.quantise(abs(total((self.carried, *changes))))
        price = self.stop_price or self.entry.worst_price
        return None if instrument.refusal(held, price) else held

    def is_done(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether nothing is left to do."""
        if any(not order.is_settled for orders in legs.values() for order in orders):
            return False
        return bool(legs or state.exit_reason) and self._sellable(legs, instrument) is None


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


def opposite(side: Side) -> Side:
    """Give the side that closes."""
    return "sell" if side == "buy" else "buy"


def leg_of(plan: Plan, role: str, intent: Intent, seq: int = 1) -> Intent:
    """Name an intent as a leg of a plan: the same leg has the same key in every life."""
    return replace(intent, leg=f"{plan.name}/{role}", seq=seq, plan=plan_key(plan))


def plan_key(plan: Plan) -> str:
    """Identity of a plan: who decided it, on what, at which bar, and its name."""
    return f"{plan.intent.strategy}|{plan.intent.symbol}|{plan.intent.bar_time}|{plan.name}"


def role_of(intent: Intent) -> str:
    """Which part of its plan an order plays."""
    return intent.leg.rpartition("/")[2]
