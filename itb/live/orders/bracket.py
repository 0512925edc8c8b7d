"""A bracket: an entry, and the stop and the target that protect what it brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from itb.live.gateways.port import OrderKind
from itb.live.orders.intent import Intent
from itb.live.orders.moves import (
    FAILED,
    EndOrder,
    EndPlan,
    Legs,
    Move,
    PlanState,
    Stuck,
    leg_of,
    opposite,
    plan_key,
    refused_exits,
    role_of,
)
from itb.live.orders.state import EXACT, OrderState, Phase, total
from itb.live.orders.working import WHOLE, Slicing, Work
from itb.market.instrument import Instrument

TRIES = 5
MOVED = "the stop moves"
_WORKED = "worked/entry"


@dataclass(frozen=True, slots=True)
class Bracket:
    """An entry with a stop that rests at the venue and a target that rests beside it, or that we watch.

    On spot a resting stop locks the coins. So an exit, by signal or target, cancels what rests, waits for the witness
    of its end and of its executions, and only then sells what is left: never a second sell while one may be alive.
    Protection is sized by all of the position: more entries (legs ``entry``, ``add``) and exits of a part make it anew.
    Its own entry is worked: it follows new prices while it rests, and is cut into parts where it is large, as is the
    exit of all.

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
        Distances from the average price that the newest entry is executed at, as fractions of it; 0 for none.
    covers_all
        Whether it protects and closes all that its strategy holds of the symbol, dust of earlier trades and entries
        beside the plan included; else only what its own legs brought.
    rests
        Whether stop and target rest together, one ending the other: for venues that take pairs. A target without a
        stop always rests.
    adopts
        Whether there is no entry to be sent: the position is there, and ``entry`` says whose it is.
    slicing
        How entry and exit are cut where they are large.
    """

    name: str
    entry: Intent
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    stop_loss: float = 0.0
    take_profit: float = 0.0
    covers_all: bool = False
    rests: bool = False
    adopts: bool = False
    slicing: Slicing = WHOLE
    kind: Literal["bracket"] = "bracket"

    @property
    def intent(self) -> Intent:
        """The order that the plan begins with."""
        return self.entry

    def is_target(self, price: Decimal, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether a price reaches a target that we watch."""
        target = self._target_at(state, legs, instrument)
        if target is None or "target" in self._wanted(state, legs, instrument):
            return False
        return price >= target if self.entry.side == "buy" else price <= target

    def moves(self, state: PlanState, legs: Legs, instrument: Instrument, now: int) -> list[Move]:
        """Decide what to do next: nothing while anything is in doubt."""
        if not self.adopts and not self._own(legs):
            return self._enter(state, legs, instrument, now)
        exits = legs.get("exit", ())
        if any(not order.is_settled for order in exits):
            return []
        closing = self._next_exit(state, exits)
        if closing is None:
            entering = self._enter(state, legs, instrument, now)
            if self._is_parting(entering, legs):
                return entering
            is_growing = bool(entering or _unsettled(legs, "entry", "add"))
            return [*entering, *self._protect(state, legs, instrument, now, is_growing=is_growing)]
        reason, qty = closing
        ending = ("stop", "target") if qty is not None else ("entry", "add", "stop", "target")
        unsettled = _unsettled(legs, *ending)
        if unsettled:
            return [EndOrder(order.intent.key, reason) for order in unsettled if not order.cancel]
        return self._close(closing, state, legs, instrument, now)

    # -- the entry

    def owns(self, intent: Intent) -> bool:
        """Whether an order is one of those that the plan's own entry is worked by."""
        if intent.leg == f"{self.name}/{_WORKED}":
            return True
        return (intent.leg, intent.seq, intent.bar_time) == (f"{self.name}/entry", 1, self.entry.bar_time)

    def _own(self, legs: Legs) -> list[OrderState]:
        return [order for order in legs.get("entry", ()) if self.owns(order.intent)]

    def _work(self, state: PlanState, legs: Legs) -> Work:
        is_over = self.adopts or bool(state.exit_reason) or "entry" in state.dropped
        return Work(self.entry, self._own(legs), self.slicing, state.entry_price, is_over)

    def is_entering(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether another order is to follow for the entry, now that the last one is settled."""
        return self._work(state, legs).next(instrument) is not None

    def _enter(self, state: PlanState, legs: Legs, instrument: Instrument, now: int) -> list[Move]:
        work = self._work(state, legs)
        ending, following = work.ending(), work.next(instrument)
        if ending is not None:
            return [ending]
        if following is None or not work.is_due(now):
            return []
        if not work.orders:
            return [leg_of(self, "entry", following)]
        return [leg_of(self, _WORKED, replace(following, asked_at=now, oco=""), len(work.orders) + 1)]

    def _is_parting(self, entering: Sequence[Move], legs: Legs) -> bool:
        """Whether a further part of the entry takes the market at this moment: protection is sized once it is there."""
        own = self._own(legs)
        last = own[-1] if len(own) > 1 else None
        is_on_its_way = last is not None and not last.is_settled and last.phase is not Phase.UNKNOWN
        parts = [last.intent] if last is not None and is_on_its_way else []
        parts += [move for move in entering if isinstance(move, Intent)]
        return any(part.kind == "market" for part in parts)

    # -- the exit

    @staticmethod
    def _next_exit(state: PlanState, exits: Sequence[OrderState]) -> tuple[str, Decimal | None] | None:
        """Give reason and quantity (``None``: all) of the exit that is due."""
        if state.exit_reason:
            return state.exit_reason, None
        done = sum(order.phase not in FAILED for order in exits)
        return state.reductions[done] if done < len(state.reductions) else None

    def _close(
        self, closing: tuple[str, Decimal | None], state: PlanState, legs: Legs, instrument: Instrument, now: int
    ) -> list[Move]:
        reason, qty = closing
        held = self._sellable(state, legs, instrument)
        if held is None:
            return []
        exits = legs.get("exit", ())
        if refused_exits(legs) - state.forgiven >= TRIES:
            return [Stuck(f"{self.name}: {TRIES} exits were refused, last because {exits[-1].reason}")]
        if qty is not None:
            qty = min(qty, held)
        else:
            parted = Work(self.entry, exits, self.slicing)
            if not parted.is_due(now):
                return []
            whole = EXACT.add(held, total(order.filled for order in exits if order.intent.reason == reason))
            qty = self.slicing.part(whole, held, self.entry.worst_price, instrument, plan_key(self))
        return [leg_of(self, "exit", self._reducing("market", qty, reason, now), len(exits) + 1)]

    def is_leaving(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether another order is to follow for the exit of all."""
        return bool(state.exit_reason) and self._sellable(state, legs, instrument) is not None

    def _reducing(
        self, kind: OrderKind, qty: Decimal, reason: str, now: int, *, price: Decimal | None = None
    ) -> Intent:
        return replace(
            self.entry, side=opposite(self.entry.side), kind=kind, qty=qty, price=price if kind == "limit" else None,
            stop_price=price if kind == "stop" else None, reduces=True, reason=reason, asked_at=now, max_age_ms=0,
            timeout_ms=0, oco="",
        )  # fmt: skip

    # -- protection

    def stop_at(self, state: PlanState, legs: Legs, instrument: Instrument) -> Decimal | None:
        """Give where the stop belongs now: where it was moved to, where it was asked for, or from the entry's price."""
        if "stop" in state.dropped:
            return None
        newer = legs.get("entry", ())[state.price_entries :]
        if state.price is not None and not any(order.fills for order in newer if not self.owns(order.intent)):
            return state.price
        return self.stop_price or self._off(legs, instrument, -self.entry.sign * self.stop_loss)

    def _target_at(self, state: PlanState, legs: Legs, instrument: Instrument) -> Decimal | None:
        if "target" in state.dropped:
            return None
        return state.target or self.target_price or self._off(legs, instrument, self.entry.sign * self.take_profit)

    def _off(self, legs: Legs, instrument: Instrument, distance: float) -> Decimal | None:
        """Give the price at a distance (a fraction) from the newest entry's average price."""
        newest = next((order for order in reversed(legs.get("entry", ())) if order.fills), None)
        if newest is None:
            return None
        fills = newest.fills
        if self.owns(newest.intent):
            fills = tuple(fill for order in self._own(legs) for fill in order.fills)
        if not distance:
            return None
        worth = total(EXACT.multiply(fill.qty, fill.price) for fill in fills)
        # In floats, as a backtest computes it: the same tick, also where the exact price lies on one.
        price = float(EXACT.divide(worth, total(fill.qty for fill in fills))) * (1 + distance)
        return instrument.quantise_price(Decimal(repr(price)), is_buy=self.entry.side == "sell")

    def _wanted(self, state: PlanState, legs: Legs, instrument: Instrument) -> dict[str, Decimal]:
        """Give the prices at which stop and target are to rest."""
        stop, target = self.stop_at(state, legs, instrument), self._target_at(state, legs, instrument)
        wanted = {} if stop is None else {"stop": stop}
        targets = legs.get("target", ())
        is_taken = not targets or targets[-1].phase not in FAILED
        if target is not None and is_taken and (self.rests or stop is None):
            wanted["target"] = target
        return wanted

    def _protect(
        self, state: PlanState, legs: Legs, instrument: Instrument, now: int, *, is_growing: bool
    ) -> list[Move]:
        wanted, held = self._wanted(state, legs, instrument), self._sellable(state, legs, instrument)
        resting = _unsettled(legs, "stop", "target")
        if resting:
            return self._fit(resting, wanted, held, is_growing=is_growing)
        if held is None or not wanted:
            return []
        stops, number = legs.get("stop", ()), max(len(legs.get("stop", ())), len(legs.get("target", ()))) + 1
        if stops and stops[-1].phase in FAILED and not stops[-1].intent.pair:
            return [EndPlan(f"stop refused: {stops[-1].reason}")]
        return list(self._legs(wanted, held, state.price_reason or "stop", number, now))

    @staticmethod
    def _fit(
        resting: Sequence[OrderState], wanted: dict[str, Decimal], held: Decimal | None, *, is_growing: bool
    ) -> list[Move]:
        """End legs that rest at another price or for another quantity than they should; others come after them."""
        if any(order.phase is not Phase.OPEN or order.cancel or order.filled for order in resting):
            return []
        prices = {role_of(order.intent): order.intent.stop_price or order.intent.price for order in resting}
        if prices != wanted:
            return [EndOrder(order.intent.key, MOVED) for order in resting]
        if is_growing or held is None or all(order.remaining == held for order in resting):
            return []
        return [EndOrder(order.intent.key, "the position changed") for order in resting]

    def _legs(self, wanted: dict[str, Decimal], held: Decimal, reason: str, number: int, now: int) -> list[Intent]:
        made = []
        for role, price in wanted.items():
            kind: OrderKind = "stop" if role == "stop" else "limit"
            said = reason if role == "stop" else "target"
            made.append(leg_of(self, role, self._reducing(kind, held, said, now, price=price), number))
        if len(made) == 1:
            return made
        stop, target = made
        return [replace(stop, pair=target.key), replace(target, pair=stop.key)]

    def _sellable(self, state: PlanState, legs: Legs, instrument: Instrument) -> Decimal | None:
        """Give what is held and large enough to be traded away; the rest is dust."""
        changes = (o.position_change for orders in legs.values() for o in orders)
        position = state.position if self.covers_all else total(changes)
        held = instrument.quantise(max(EXACT.multiply(position, Decimal(self.entry.sign)), Decimal(0)))
        price = self.stop_price or self.entry.worst_price
        return None if instrument.refusal(held, price) else held

    def is_done(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether nothing is left to do."""
        if any(not order.is_settled for orders in legs.values() for order in orders):
            return False
        is_begun = bool(legs or state.exit_reason or self.adopts or "entry" in state.dropped)
        is_empty = self._sellable(state, legs, instrument) is None
        return is_begun and is_empty and not self.is_entering(state, legs, instrument)


def _unsettled(legs: Legs, *roles: str) -> list[OrderState]:
    return [order for role in roles for order in legs.get(role, ()) if not order.is_settled]
