"""The order machine: a book, and what follows from it. Events in, effects out; no clock, no network, no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from itb.live.gateways.port import OrderRequest, VenueOrder, VenueTrade
from itb.live.orders import events as ev
from itb.live.orders.book import Book
from itb.live.orders.bracket import Bracket
from itb.live.orders.ids import client_id
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.moves import EndOrder, EndPlan
from itb.live.orders.rules import Rules
from itb.live.orders.state import OrderState, Phase
from itb.live.orders.working import REPRICED
from itb.market.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Send:
    """An effect: journal that this order leaves, then send it once."""

    sending: ev.Sending
    intent: Intent
    partner: Send | None = None  # sent in the same request, as the other one of a pair

    def request(self) -> OrderRequest:
        """Give what is sent."""
        sending = self.sending
        return self.intent.request(sending.client_id, sent_at=sending.sent_at, window_ms=sending.window_ms)


@dataclass(frozen=True, slots=True)
class Cancel:
    """An effect: journal that this cancel leaves, then send it once."""

    key: str
    symbol: str
    client_id: str


Effect: TypeAlias = Send | Cancel
KEPT = 500  # settled orders that a machine remembers at least
_ARRIVED = frozenset((Phase.OPEN, Phase.FILLED, Phase.CANCELED, Phase.EXPIRED))


class Machine:
    """Decides what may be sent. Everything it knows is in its book, so it can be rebuilt from the journal."""

    def __init__(
        self,
        limits: Limits | None = None,
        rules: Rules | None = None,
        *,
        instruments: Mapping[str, Instrument] | None = None,
        window_ms: int = 5_000,
        keep: int = KEPT,
    ) -> None:
        self.book = Book(rules, keep)
        self.limits = limits or Limits()
        self.instruments: dict[str, Instrument] = dict(instruments or {})
        self.window_ms = window_ms

    def follow_ups(self, now: int) -> Iterator[ev.Event]:
        """Give what follows from the book at this moment; the caller takes each in before asking for the next."""
        yield from self._of_worth(now)
        for key in list(self.book.open_plans):
            yield from self._of_plan(key, now)
        judged: set[str] = set()  # symbols whose next order to leave has passed: the others wait for it
        for key in list(self.book.active):
            yield from self._of_order(key, now, judged)

    def _of_worth(self, now: int) -> Iterator[ev.Event]:
        why = self.limits.halt(self.book.worth) if self.book.worth is not None else None
        if why and not self.book.halted:
            yield ev.Halted(now, why)

    def _of_plan(self, key: str, now: int) -> Iterator[ev.Event]:
        book, plan = self.book, self.book.plans[key]
        state, legs = book.state_of(key), book.legs_of(key)
        instrument = self.instruments.get(plan.intent.symbol)
        if instrument is None:
            return
        if plan.is_done(state, legs, instrument):
            yield ev.PlanEnded(now, key)
            return
        for move in plan.moves(state, legs, instrument, now):
            if isinstance(move, Intent):
                yield ev.Asked(now, move)
            elif isinstance(move, EndOrder):
                yield ev.CancelWanted(now, move.key, move.reason)
            elif isinstance(move, EndPlan):
                yield ev.ExitWanted(now, key, move.reason)
            elif not book.halted:
                yield ev.Halted(now, move.reason)

    def _of_order(self, key: str, now: int, judged: set[str]) -> Iterator[ev.Event]:
        order = self.book.orders[key]
        if order.intent.oco and not order.cancel and not order.is_ended and self.book.is_outdone(order):
            yield ev.CancelWanted(now, key, "another one of its group was executed or has ended")
        elif order.phase is Phase.WAITING:
            why = self._too_late(order, now)
            if not why and (order.intent.symbol not in judged or self._partner(order) is not None):
                why = self.refusal(order)
            if why:
                yield ev.Refused(now, key, why)
            else:
                judged.add(order.intent.symbol)
        elif order.phase is Phase.OPEN and not order.cancel and self._is_over_time(order, now):
            yield ev.CancelWanted(now, key, "timeout")

    @staticmethod
    def _is_over_time(order: OrderState, now: int) -> bool:
        timeout = order.intent.timeout_ms
        return timeout > 0 and now >= order.opened_at + timeout

    @staticmethod
    def _too_late(order: OrderState, now: int) -> str | None:
        if order.cancel:
            return REPRICED if order.reason == REPRICED else "cancelled before it was sent"
        if order.intent.is_stale(now):
            return f"not sent within {order.intent.max_age_ms} ms of its decision"
        return None

    def refusal(self, order: OrderState) -> str | None:
        """Why filters or limits keep an order from being sent, or ``None``."""
        instrument = self.instruments.get(order.intent.symbol)
        if instrument is None:
            return None
        why = instrument.refusal(order.intent.qty, order.intent.worst_price)
        if why:
            return why
        symbol = order.intent.symbol
        by = self.book.blocked.get(symbol)
        halted = self.book.halted or (f"{symbol} is blocked by {by}" if by else "")
        return self.limits.refusal(order.intent, self.book.exposure(order.intent), halted=halted)

    def effects(self, now: int, *, is_open: bool) -> Iterator[Effect]:
        """Give what is to be sent now; nothing new while the gate is shut, or the symbol has an order in doubt."""
        for key in list(self.book.active):
            order = self.book.orders[key]
            if order.cancel == "wanted" and order.phase is Phase.OPEN:
                yield Cancel(key, order.intent.symbol, order.client_id)
        if not is_open:
            return
        blocked = self.doubtful_symbols()
        leaving = 0
        for key in list(self.book.active):
            order = self.book.orders[key]
            if order.phase is not Phase.WAITING or order.intent.symbol in blocked:
                continue
            if order.intent.symbol not in self.instruments or self._is_early(order):
                continue
            if self.limits.must_wait([*self.book.sent, *([now] * leaving)], now):
                return
            blocked.add(order.intent.symbol)  # one at a time: the next is judged by what became of this one
            leaving += 1
            partner = self._partner(order)
            yield Send(*self._send(order, now), None if partner is None else Send(*self._send(partner, now)))

    def _is_early(self, order: OrderState) -> bool:
        """Whether an entry would come before the exit of the position that it reverses is at the venue.

        That exit closes what is held when it is asked for: an entry executed before it would make it too small.
        """
        intent = order.intent
        if intent.reduces:
            return False
        for key in self.book.open_plans:
            plan = self.book.plans[key]
            if key == intent.plan or (plan.intent.strategy, plan.intent.symbol) != (intent.strategy, intent.symbol):
                continue
            exits = self.book.legs_of(key).get("exit", ())
            if self.book.plan_states[key].exit_reason and not (exits and exits[-1].phase in _ARRIVED):
                return True
        return False

    def _partner(self, order: OrderState) -> OrderState | None:
        """Give the other one of a pair, while both are still to be sent."""
        partner = self.book.orders.get(order.intent.pair)
        return partner if partner is not None and partner.phase is Phase.WAITING else None

    def doubtful_symbols(self) -> set[str]:
        """Give the symbols in which the fate of an order is unknown."""
        orders = (self.book.orders[key] for key in self.book.active)
        return {order.intent.symbol for order in orders if order.is_doubtful}

    def _send(self, order: OrderState, now: int) -> tuple[ev.Sending, Intent]:
        key = order.intent.key
        name = client_id(self.book.owner, key, len(order.attempts) + 1)
        return ev.Sending(now, key, name, now, self.window_ms), order.intent

    def symbols(self) -> set[str]:
        """Give the symbols that something is wanted in."""
        plans = {self.book.plans[key].intent.symbol for key in self.book.open_plans}
        return plans | {self.book.orders[key].intent.symbol for key in self.book.active}

    def touched(self, symbol: str, price: Decimal, now: int, ask: Decimal | None = None) -> Iterator[ev.Event]:
        """Give what follows from a price, or from bid and ask: targets that we watch ourselves."""
        for key in list(self.book.open_plans):
            plan = self.book.plans[key]
            if not isinstance(plan, Bracket) or plan.intent.symbol != symbol:
                continue
            state, legs, instrument = self.book.state_of(key), self.book.legs_of(key), self.instruments.get(symbol)
            met = price if ask is None or plan.intent.side == "buy" else ask  # at which the position would be closed
            is_held = plan.adopts or any(order.filled for orders in legs.values() for order in orders)
            if is_held and instrument and not state.exit_reason and plan.is_target(met, state, legs, instrument):
                yield ev.ExitWanted(now, key, "target")

    def news(
        self, now: int, *, orders: tuple[VenueOrder, ...] = (), trades: tuple[VenueTrade, ...] = ()
    ) -> list[ev.Event]:
        """Turn what the venue told into events, leaving out what is foreign or known."""
        seen: list[ev.Event] = [e for e in (ev.Saw(now, order) for order in orders) if self.book.is_news(e)]
        return seen + [e for e in (ev.Traded(now, trade) for trade in trades) if self.book.is_news(e)]
