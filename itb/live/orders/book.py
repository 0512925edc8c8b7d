"""The book: everything known of all orders, plans, positions and balances, as a fold over the events."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from itb.live.gateways.port import Funding, VenueOrder, VenueTrade
from itb.live.orders import events as ev
from itb.live.orders.forgetting import forget_settled
from itb.live.orders.ids import owner_prefix
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Exposure, Worth
from itb.live.orders.moves import PlanState, plan_key, refused_exits, role_of
from itb.live.orders.plans import Plan
from itb.live.orders.rules import Rules
from itb.live.orders.state import EXACT, OrderState, Phase, signed_change, total

T = TypeVar("T")
DAY_MS = 86_400_000
_UNIT = Decimal("1e-8")


class Book:
    """All that the journal says, in memory. Only :meth:`apply` changes it, and it never asks anybody anything.

    The same events give the same book, so a restart needs nothing but the journal.

    Parameters
    ----------
    rules
        How facts move an order.
    keep
        How many settled orders (and ended plans) are remembered at least, the newest; 0 remembers all. Older ones are
        let go of once there are twice as many, but never the legs of an open plan.
    """

    def __init__(self, rules: Rules | None = None, keep: int = 0) -> None:
        self.rules, self.keep = rules or Rules(), keep
        self.owner = ""
        self.orders: dict[str, OrderState] = {}
        self.active: dict[str, None] = {}  # keys of unsettled orders, oldest first
        self.settled: dict[str, None] = {}  # keys of the others, in the order in which they settled
        self.forgotten = 0  # orders that were let go of
        self.sweep_at = 2 * keep
        self.by_client: dict[str, str] = {}
        self.by_venue: dict[tuple[str, str], str] = {}
        self.plans: dict[str, Plan] = {}
        self.plan_states: dict[str, PlanState] = {}
        self.open_plans: dict[str, None] = {}  # keys of plans that are not ended, oldest first
        self.legs: dict[str, list[str]] = defaultdict(list)
        self.groups: dict[str, list[str]] = defaultdict(list)
        self.positions: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.balances: dict[str, Decimal] = defaultdict(Decimal)
        self.rounded: dict[str, Decimal] = defaultdict(Decimal)  # most that a venue of 8 decimals may have rounded off
        self.fundings: dict[str, Funding] = {}
        self.owed: dict[str, ev.Owed] = {}  # what holders of perpetuals owe until its rate is published
        self.opened_at = 0
        self.sent: deque[int] = deque(maxlen=1_000)
        self.worth: Worth | None = None
        self.halted = ""
        self.blocked: dict[str, str] = {}
        self.pardons: dict[str, int] = {}
        self.degraded = ""
        self.quiet_until = 0
        self.episodes: list[tuple[int, str]] = []
        self.alarms: list[str] = []
        self.day = -1
        self._apply: dict[type, Any] = {
            ev.Opened: self._opened,
            ev.Restarted: self._restarted,
            ev.Asked: self._asked,
            ev.Refused: self._refused,
            ev.Sending: self._sending,
            ev.Answered: self._answered,
            ev.Saw: self._saw,
            ev.Missed: self._missed,
            ev.Traded: self._traded,
            ev.CancelWanted: self._cancel_wanted,
            ev.CancelSending: self._cancel_sending,
            ev.CancelAnswered: self._cancel_answered,
            ev.Planned: self._planned,
            ev.ExitWanted: self._exit_wanted,
            ev.Repriced: self._repriced,
            ev.Dropped: self._dropped,
            ev.PlanEnded: self._plan_ended,
            ev.Adjusted: self._adjusted,
            ev.Funded: self._funded,
            ev.Owed: self._owed,
            ev.Waived: self._waived,
            ev.Valued: self._valued,
            ev.Halted: self._halted,
            ev.Resumed: self._resumed,
            ev.Blocked: self._blocked,
            ev.Unblocked: self._unblocked,
            ev.Pardoned: self._pardoned,
            ev.Paused: self._paused,
            ev.Degraded: self._degraded,
            ev.Recovered: self._recovered,
        }

    def apply(self, event: ev.Event) -> None:
        """Take one event in."""
        self._apply[type(event)](event)

    def replay(self, events: Iterable[ev.Event]) -> Book:
        """Take many events in and give the book itself."""
        for event in events:
            self.apply(event)
        return self

    def remembers(self) -> dict[str, Any]:
        """Everything that must be the same after a replay."""
        skipped = {"rules", "keep", "_apply"}
        return {name: value for name, value in vars(self).items() if name not in skipped}

    def is_news(self, event: ev.Saw | ev.Traded | ev.Missed) -> bool:
        """Whether an event would change anything; what is no news is not journaled."""
        if isinstance(event, ev.Traded):
            key = self.by_venue.get((event.trade.symbol, event.trade.order_id))
            return key is not None and not self.rules.is_booked(self.orders[key], event.trade)
        client_id = event.order.client_id if isinstance(event, ev.Saw) else event.client_id
        key = self.by_client.get(client_id)
        if key is None:
            return False
        order = self.orders[key]
        if isinstance(event, ev.Missed):
            return self.rules.missed(order, event) != order
        if client_id != order.client_id:
            return (event.order.symbol, event.order.order_id) not in self.by_venue
        return self.rules.saw(order, event) != order

    def key_of(self, event: ev.Event) -> str | None:
        """Give the key of the order that an event is about, ``None`` if it is about none that is known."""
        if isinstance(event, ev.Asked):
            return event.intent.key
        if isinstance(event, ev.Refused | ev.Sending | ev.CancelWanted | ev.CancelSending):
            return event.key
        if isinstance(event, ev.Answered | ev.CancelAnswered | ev.Missed):
            return self.by_client.get(event.client_id)
        if isinstance(event, ev.Saw):
            return self.by_client.get(event.order.client_id)
        if isinstance(event, ev.Traded):
            return self.by_venue.get((event.trade.symbol, event.trade.order_id))
        return None

    def order_of(self, client_id: str) -> OrderState | None:
        """Give the order that a client id belongs to, of any attempt."""
        key = self.by_client.get(client_id)
        return None if key is None else self.orders[key]

    def unsettled(self) -> list[OrderState]:
        """Give all orders that are not ended, or whose executions are not all booked."""
        return [self.orders[key] for key in self.active]

    def is_ours(self, order: VenueOrder) -> bool:
        """Whether an order at the venue bears this bot's name."""
        return order.client_id.startswith(owner_prefix(self.owner))

    def exposure(self, intent: Intent) -> Exposure:
        """Give what the intent's strategy holds and what its other orders may still trade."""
        name = (intent.strategy, intent.symbol)
        others = [o for o in self.unsettled() if (o.intent.strategy, o.intent.symbol) == name]
        skipped = {intent.key, intent.pair}
        at_venue = [o for o in others if o.intent.key not in skipped and o.phase is not Phase.WAITING]
        twins = {o.intent.pair for o in at_venue if o.intent.pair > o.intent.key}  # of a pair only one is executed
        at_venue = [o for o in at_venue if o.intent.key not in twins]
        buying, selling = (total(self._open_qty(o) for o in at_venue if o.intent.side == side) for side in _SIDES)
        return Exposure(self.positions.get(name, Decimal(0)), buying, selling)

    @staticmethod
    def _open_qty(order: OrderState) -> Decimal:
        whole = order.reported if order.is_ended else order.intent.qty
        return EXACT.subtract(whole, order.filled)

    def state_of(self, plan: str) -> PlanState:
        """Give what was decided about a plan, and the position as it is."""
        intent = self.plans[plan].intent
        held = self.positions.get((intent.strategy, intent.symbol), Decimal(0))
        return replace(self.plan_states[plan], position=held)

    def is_outdone(self, order: OrderState) -> bool:
        """Whether another order of its group was executed, if only in part, or has ended."""
        others = (self.orders[key] for key in self.groups.get(order.intent.oco, ()) if key != order.intent.key)
        return any(other.filled or other.is_ended for other in others)

    def legs_of(self, plan: str) -> dict[str, list[OrderState]]:
        """Give a plan's orders by their part in it, oldest first."""
        legs: dict[str, list[OrderState]] = {}
        for key in self.legs.get(plan, ()):
            legs.setdefault(role_of(self.orders[key].intent), []).append(self.orders[key])
        return legs

    def _put(self, key: str, order: OrderState) -> None:
        self.orders[key] = order
        if not order.is_settled:
            self.active[key] = None
            self.settled.pop(key, None)
        elif key not in self.settled:
            self.active.pop(key, None)
            self.settled[key] = None
            if self.keep and len(self.settled) >= self.sweep_at:
                forget_settled(self)

    def _opened(self, event: ev.Opened) -> None:
        self.owner, self.opened_at = event.owner, event.time
        self.balances.update(event.balances)

    def _restarted(self, event: ev.Restarted) -> None:
        del event
        for key in list(self.active):
            self._put(key, self.rules.restarted(self.orders[key]))

    def _asked(self, event: ev.Asked) -> None:
        key = event.intent.key
        if key in self.orders:
            return
        self._put(key, OrderState(event.intent))
        if event.intent.plan:
            self.legs[event.intent.plan].append(key)
        if event.intent.oco:
            self.groups[event.intent.oco].append(key)

    def _refused(self, event: ev.Refused) -> None:
        self._put(event.key, replace(self.orders[event.key], phase=Phase.REFUSED, cancel="", reason=event.reason))

    def _sending(self, event: ev.Sending) -> None:
        self.by_client[event.client_id] = event.key
        self.sent.append(event.sent_at)
        self._put(event.key, self.rules.sending(self.orders[event.key], event))

    def _answered(self, event: ev.Answered) -> None:
        key = self.by_client[event.client_id]
        order = self.rules.answered(self.orders[key], event)
        self._put(key, order)
        self._know(key, order)

    def _know(self, key: str, order: OrderState) -> None:
        if order.order_id:
            self.by_venue[order.intent.symbol, order.order_id] = key

    def _saw(self, event: ev.Saw) -> None:
        seen = event.order
        key = self.by_client.get(seen.client_id)
        if key is None:
            return
        order = self.orders[key]
        if seen.client_id != order.client_id:
            self.by_venue[seen.symbol, seen.order_id] = key
            self._alarm(f"{key}: attempt {seen.client_id} was taken for absent and is at the venue")
            return
        order = self.rules.saw(order, event)
        self._put(key, order)
        self._know(key, order)

    def _alarm(self, what: str) -> None:
        self._remember(self.alarms, what)
        self.halted = self.halted or what

    def _remember(self, line: list[T], what: T) -> None:
        line.append(what)
        if self.keep:
            del line[: -2 * self.keep]

    def _missed(self, event: ev.Missed) -> None:
        key = self.by_client[event.client_id]
        self._put(key, self.rules.missed(self.orders[key], event))

    def _traded(self, event: ev.Traded) -> None:
        trade = event.trade
        key = self.by_venue.get((trade.symbol, trade.order_id))
        if key is None:
            return
        order = self.orders[key]
        if self.rules.is_booked(order, trade):
            return
        self._put(key, self.rules.traded(order, trade))
        self._book(order.intent, trade)

    def _book(self, intent: Intent, trade: VenueTrade) -> None:
        name = (intent.strategy, intent.symbol)
        self.positions[name] = EXACT.add(self.positions[name], signed_change(trade, trade.symbol))
        base, quote = trade.symbol.split(":")[0].split("/")
        sign = 1 if trade.side == "buy" else -1
        worth = EXACT.multiply(trade.qty, trade.price)
        if EXACT.remainder(worth, _UNIT):
            self.rounded[quote] += _UNIT
        for currency, amount in (
            (base, sign * trade.qty),
            (quote, -sign * worth),
            (trade.fee_currency, -trade.fee),
        ):
            self.balances[currency] = EXACT.add(self.balances[currency], amount)

    def _cancel_wanted(self, event: ev.CancelWanted) -> None:
        self._put(event.key, self.rules.cancel_wanted(self.orders[event.key], event.reason))

    def _cancel_sending(self, event: ev.CancelSending) -> None:
        self._put(event.key, replace(self.orders[event.key], cancel="sending"))

    def _cancel_answered(self, event: ev.CancelAnswered) -> None:
        key = self.by_client[event.client_id]
        self._put(key, self.rules.cancel_answered(self.orders[key], event))

    def _planned(self, event: ev.Planned) -> None:
        key = plan_key(event.plan)
        if key not in self.plans:
            self.plans[key] = event.plan
            self.plan_states[key] = PlanState()
            self.open_plans[key] = None

    def _exit_wanted(self, event: ev.ExitWanted) -> None:
        state = self.plan_states[event.plan]
        if event.qty is not None:
            state = replace(state, reductions=(*state.reductions, (event.reason, event.qty)))
        else:
            forgiven = refused_exits(self.legs_of(event.plan))
            state = replace(state, exit_reason=state.exit_reason or event.reason, forgiven=forgiven)
        self.plan_states[event.plan] = state

    def _repriced(self, event: ev.Repriced) -> None:
        state = self.plan_states[event.plan]
        dropped = state.dropped - {event.leg or "stop"}
        if event.leg:
            name = "target" if event.leg == "target" else "entry_price"
            changed: dict[str, Any] = {name: event.price, "dropped": dropped}
            self.plan_states[event.plan] = replace(state, **changed)
            return
        entries = sum(role_of(self.orders[key].intent) == "entry" for key in self.legs.get(event.plan, ()))
        self.plan_states[event.plan] = replace(
            state, price=event.price, price_reason=event.reason, price_entries=entries, dropped=dropped
        )

    def _dropped(self, event: ev.Dropped) -> None:
        state = self.plan_states[event.plan]
        self.plan_states[event.plan] = replace(state, dropped=state.dropped | {event.leg})

    def _plan_ended(self, event: ev.PlanEnded) -> None:
        self.open_plans.pop(event.plan, None)

    def _adjusted(self, event: ev.Adjusted) -> None:
        self.balances[event.currency] = EXACT.add(self.balances[event.currency], event.amount)

    def _funded(self, event: ev.Funded) -> None:
        payment = event.payment
        self.owed.pop(payment.payment_id, None)
        if payment.payment_id not in self.fundings:
            self.fundings[payment.payment_id] = payment
            self.balances[payment.currency] = EXACT.add(self.balances[payment.currency], payment.amount)
            if self.keep and len(self.fundings) > 2 * self.keep:  # a venue is asked for those after the newest
                del self.fundings[next(iter(self.fundings))]

    def _owed(self, event: ev.Owed) -> None:
        if event.due.name not in self.fundings:
            self.owed.setdefault(event.due.name, event)

    def _waived(self, event: ev.Waived) -> None:
        self.owed.pop(event.name, None)

    def _valued(self, event: ev.Valued) -> None:
        day = event.time // DAY_MS
        start = self.worth.day_start if self.worth is not None and day == self.day else event.equity
        peak = max(self.worth.peak, event.equity) if self.worth is not None else event.equity
        self.day, self.worth = day, Worth(event.equity, start, peak)

    def _halted(self, event: ev.Halted) -> None:
        self.halted = self.halted or event.reason

    def _resumed(self, event: ev.Resumed) -> None:
        del event
        self.halted = ""

    def _blocked(self, event: ev.Blocked) -> None:
        self.blocked[event.symbol] = event.by

    def _unblocked(self, event: ev.Unblocked) -> None:
        self.blocked.pop(event.symbol, None)

    def _pardoned(self, event: ev.Pardoned) -> None:
        self.pardons[event.symbol] = event.time

    def _paused(self, event: ev.Paused) -> None:
        self.quiet_until = max(self.quiet_until, event.until)

    def _degraded(self, event: ev.Degraded) -> None:
        if not self.degraded:
            self.degraded = event.reason
            self._remember(self.episodes, (event.time, event.reason))

    def _recovered(self, event: ev.Recovered) -> None:
        if self.degraded:
            self.degraded = ""
            self._remember(self.episodes, (event.time, ""))


_SIDES = ("buy", "sell")
