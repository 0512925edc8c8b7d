"""The transitions of one order: state and event in, state out. Only witnessed facts move an order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from itb.live.gateways.port import VenueOrder, VenueTrade
from itb.live.orders.events import Answered, CancelAnswered, Missed, Saw, Sending
from itb.live.orders.state import EXACT, OrderState, Phase

WITNESSES = frozenset(("history", "balance"))


@dataclass(frozen=True)
class Rules:
    """How facts move an order.

    Parameters
    ----------
    margin_ms
        Added to an order's window before its absence may be believed: the venue's own queue after its last check.
    misses
        How many looks in a row must not find it.
    """

    margin_ms: int = 3_000
    misses: int = 2

    def deadline(self, order: OrderState) -> int:
        """Venue time after which an attempt can no longer be accepted."""
        return order.sent_at + order.window_ms + self.margin_ms

    def sending(self, order: OrderState, event: Sending) -> OrderState:
        """Take note that an attempt leaves."""
        return replace(
            order,
            phase=Phase.SENDING,
            attempts=(*order.attempts, event.client_id),
            sent_at=event.sent_at,
            window_ms=event.window_ms,
            misses=0,
            witnesses=frozenset(),
            order_id="",
        )

    def answered(self, order: OrderState, event: Answered) -> OrderState:
        """Take the answer to an attempt; a sighting that came before it wins."""
        if event.client_id != order.client_id:
            return order
        if event.answer == "accepted" and event.order is not None and self.is_same(order, event.order):
            return self.saw(order, Saw(event.time, event.order))
        if order.phase is not Phase.SENDING:
            return order
        if event.answer == "rejected":
            return replace(order, phase=Phase.REJECTED, reason=event.reason)
        if event.answer == "not_taken":
            return replace(order, phase=Phase.WAITING, reason=event.reason)
        return self.doubted(order, event.reason or "the answer did not name the order")

    def doubted(self, order: OrderState, reason: str) -> OrderState:
        """Make the fate of an attempt unknown."""
        return replace(order, phase=Phase.UNKNOWN, reason=reason, misses=0, witnesses=frozenset())

    def is_same(self, order: OrderState, seen: VenueOrder) -> bool:
        """Whether what the venue tells is the order that we sent."""
        intent = order.intent
        is_ours = bool(seen.order_id) and seen.client_id == order.client_id
        return is_ours and (seen.symbol, seen.side, seen.qty) == (intent.symbol, intent.side, intent.qty)

    def saw(self, order: OrderState, event: Saw) -> OrderState:
        """Take the venue's word on the order; an older word never takes a newer one back."""
        seen = event.order
        if not self.is_same(order, seen) or self.is_older(order, seen):
            return order
        reported = max(order.reported, seen.filled)
        phase = order.phase if order.is_ended else Phase(seen.status)
        cancel = order.cancel
        if phase is not Phase.OPEN:
            cancel = ""
        elif cancel == "unknown":
            cancel = "wanted"  # it is still open: ask again, a cancel may be sent twice
        return replace(
            order,
            phase=phase,
            order_id=seen.order_id,
            reported=reported,
            cancel=cancel,
            opened_at=order.opened_at or event.time,
            misses=0,
            witnesses=frozenset(),
        )

    def is_older(self, order: OrderState, seen: VenueOrder) -> bool:
        """Whether a sighting is from before what we know: fewer executions, or open after it ended."""
        return seen.filled < order.filled or (order.is_ended and seen.is_open)

    def missed(self, order: OrderState, event: Missed) -> OrderState:
        """Count a witness that did not see the order; only after the deadline does it mean anything."""
        if order.phase not in {Phase.UNKNOWN, Phase.OPEN} or event.client_id != order.client_id:
            return order
        if event.time <= self.deadline(order):
            return order
        if event.witness == "query":
            order = replace(order, misses=order.misses + 1)
        else:
            order = replace(order, witnesses=order.witnesses | {event.witness})
        return self.proven_absent(order, event.time) if self.is_absent(order) else order

    def is_absent(self, order: OrderState) -> bool:
        """Whether every witness agrees that the order is not at the venue."""
        return order.misses >= self.misses and order.witnesses >= WITNESSES

    def proven_absent(self, order: OrderState, now: int) -> OrderState:
        """End what vanished after it was seen; let what never arrived be sent anew while it is still wanted."""
        if order.phase is Phase.OPEN:
            return replace(order, phase=Phase.EXPIRED, cancel="", reason="the venue forgot it; it was not executed")
        if order.cancel or order.intent.is_stale(now):
            return replace(order, phase=Phase.ABSENT, cancel="", reason="proven not to have arrived")
        return replace(order, phase=Phase.WAITING, reason="proven not to have arrived")

    def traded(self, order: OrderState, trade: VenueTrade) -> OrderState:
        """Book an execution, once, in whatever order they come."""
        if self.is_booked(order, trade):
            return order
        filled = EXACT.add(order.filled, trade.qty)
        phase = order.phase
        if filled >= order.intent.qty:
            phase = Phase.FILLED
        elif phase in {Phase.SENDING, Phase.UNKNOWN}:
            phase = Phase.OPEN
        return replace(
            order,
            phase=phase,
            filled=filled,
            reported=max(order.reported, filled),
            fills=(*order.fills, trade),
            cancel="" if phase is Phase.FILLED else order.cancel,
            misses=0,
            witnesses=frozenset(),
        )

    def is_booked(self, order: OrderState, trade: VenueTrade) -> bool:
        """Whether this execution is in our books already."""
        return any(known.trade_id == trade.trade_id for known in order.fills)

    def cancel_wanted(self, order: OrderState, reason: str) -> OrderState:
        """Begin to end an order."""
        if order.is_ended or order.cancel:
            return order
        return replace(order, cancel="wanted", reason=reason)

    def cancel_answered(self, order: OrderState, event: CancelAnswered) -> OrderState:
        """Take the answer to a cancel; "no such open order" is a question, not an end."""
        if event.client_id != order.client_id or order.is_ended:
            return order
        if event.answer == "cancelled" and event.order is not None and self.is_same(order, event.order):
            order = self.saw(order, Saw(event.time, event.order))
            return order if order.is_ended else replace(order, cancel="unknown")
        if event.answer == "not_taken":
            return replace(order, cancel="wanted")
        return replace(order, cancel="unknown")

    def restarted(self, order: OrderState) -> OrderState:
        """Forget that anybody waits for an answer."""
        if order.phase is Phase.SENDING:
            order = self.doubted(order, "the program ended while it was being sent")
        return replace(order, cancel="unknown") if order.cancel == "sending" else order
