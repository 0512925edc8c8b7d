"""The mirror: the journal's book in the strategy's thread, and what its events do to backtrader's orders."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.live.host.broker_account import Allotment, Subaccount
from itb.live.host.kept_books import KeptBooks
from itb.live.orders import events as ev
from itb.live.orders.book import Book
from itb.live.orders.book_state import BookState
from itb.live.orders.bracket import MOVED, Bracket
from itb.live.orders.funding import share_of
from itb.live.orders.moves import role_of
from itb.live.orders.state import OrderState, Phase
from itb.live.orders.working import REPRICED

if TYPE_CHECKING:
    from itb.live.door import Command
    from itb.live.host.broker_orders import Orders
    from itb.live.host.feed import LiveFeed
    from itb.live.orders.intent import Intent

_ENTERING = frozenset(("entry", "part"))
_AT_VENUE = frozenset((Phase.OPEN, Phase.FILLED, Phase.CANCELED, Phase.EXPIRED))


@dataclass
class Ticket:
    """An order of backtrader's and those of the journal that fulfil it.

    ``command`` is what asked for it, ``key`` the journal's newest order for it. A leg that the strategy cancelled
    (``is_dropped``) does not come back; ``group`` names those of which one is executed.
    """

    order: Any
    command: Command | None = None
    plan: str = ""
    role: str = ""
    key: str = ""
    group: str = ""
    is_dropped: bool = False


@dataclass(frozen=True)
class Past:
    """What earlier lives came to: the journal's book, and the strategy's own."""

    book: BookState
    books: KeptBooks


class Mirror:
    """Everything that one strategy knows of its orders, positions and trades: a fold over the journal's events."""

    def __init__(self, allotment: Allotment, feeds: Mapping[str, LiveFeed], orders: Orders) -> None:
        self._allotment, self._feeds, self._orders = allotment, feeds, orders
        self.book = Book(keep=allotment.keep)
        self.account = Subaccount(allotment, {symbol: feed.bars for symbol, feed in feeds.items()})
        self.tickets: dict[str, Ticket] = {}  # by the journal's key
        self.expected: dict[tuple[str, str], deque[Ticket]] = defaultdict(deque)  # legs that a plan will ask for
        self.exits: dict[str, Ticket] = {}  # by plan
        self.plans: dict[str, str] = {}  # the plan that holds a symbol's position

    def all_tickets(self) -> list[Ticket]:
        """Give every ticket that is not finished."""
        expected = [ticket for line in self.expected.values() for ticket in line]
        return [*self.tickets.values(), *expected, *self.exits.values()]

    def forget(self, ticket: Ticket) -> None:
        """Let go of a ticket."""
        self.tickets.pop(ticket.key, None)
        if self.exits.get(ticket.plan) is ticket:
            del self.exits[ticket.plan]
        place = ticket.plan, ticket.role
        if ticket in self.expected.get(place, ()):
            self.expected[place].remove(ticket)
            if not self.expected[place]:
                del self.expected[place]

    def resting(self, plan: str, role: str) -> Ticket | None:
        """Give the ticket of a plan's leg that is at the venue or on its way."""
        return next((one for one in self.tickets.values() if (one.plan, one.role) == (plan, role)), None)

    def is_ours(self, intent: Intent) -> bool:
        """Whether this strategy wanted it."""
        return intent.strategy == self._allotment.strategy and intent.symbol in self._feeds

    # -- a new life

    def take_up(self, past: Past) -> None:
        """Know what earlier lives came to, before the first bar."""
        past.book.write(self.book)
        past.books.write(self.account)

    def remember(self, events: Iterable[ev.Event]) -> None:
        """Learn what earlier lives did, before the first bar."""
        for event in events:
            before = self._state_of(event)
            if isinstance(event, ev.Funded):
                self._fund(event, is_new=False)
            self.book.apply(event)
            self._book_new(before, None)

    def revive(self) -> None:
        """Make orders anew for what earlier lives left unfinished."""
        for order in self.book.unsettled():
            if self.is_ours(order.intent):
                self._stand_in(order)
        for key in self.book.open_plans:
            plan = self.book.plans[key]
            if isinstance(plan, Bracket) and self.is_ours(plan.intent):
                self.plans[plan.intent.symbol] = key

    def _stand_in(self, state: OrderState) -> None:
        """Make backtrader's order for one that the strategy did not send in this life, or that a plan sends."""
        intent = state.intent
        order = self._orders.made_of(intent, intent.qty - state.filled, self._feeds[intent.symbol])
        ticket = Ticket(order, plan=intent.plan, role=role_of(intent), key=intent.key)
        self.tickets[intent.key] = ticket
        if ticket.role == "exit":
            self.exits[intent.plan] = ticket
        if state.phase in _AT_VENUE:
            self._orders.accept(order)
        else:
            self._orders.notify(order)

    # -- news

    def take(self, event: ev.Event) -> None:
        """Take one event in and do to backtrader's order what it says."""
        if isinstance(event, ev.Asked):
            is_new = event.intent.key not in self.book.orders
            self.book.apply(event)
            if is_new and self.is_ours(event.intent):
                self._bind(event.intent)
            return
        before = self._state_of(event)
        if isinstance(event, ev.Funded):
            self._fund(event, is_new=True)
        self.book.apply(event)
        if isinstance(event, ev.Dropped | ev.ExitWanted):
            self._let_go(event.plan)
        if before is None or not self.is_ours(before.intent):
            return
        ticket, now = self.tickets.get(before.intent.key), self.book.orders[before.intent.key]
        if ticket is not None and now.phase in _AT_VENUE:
            self._orders.accept(ticket.order)
        self._book_new(before, ticket)
        if ticket is not None and now.is_settled:
            self._settle(ticket, now)

    def _fund(self, event: ev.Funded, *, is_new: bool) -> None:
        """Book this strategy's share of a payment; what earlier lives paid is no execution of this one."""
        payment, share = event.payment, share_of(event, self._allotment.strategy)
        if share and payment.symbol in self._feeds and payment.payment_id not in self.book.fundings:
            fill = self.account.book_funding(payment, share)
            if is_new:
                self._orders.fund(fill, self.account)

    def _state_of(self, event: ev.Event) -> OrderState | None:
        key = self.book.key_of(event)
        return None if key is None else self.book.orders.get(key)

    def _bind(self, intent: Intent) -> None:
        """Find the order that the journal's new one is for."""
        ticket, role = self.tickets.get(intent.key), role_of(intent)
        if ticket is None and role == "exit":
            ticket = self.exits.get(intent.plan)
        if ticket is None and self.expected.get((intent.plan, role)):
            ticket = self._awaited(self.expected[intent.plan, role], intent)
        if ticket is None:
            self._stand_in(self.book.orders[intent.key])
            return
        ticket.key = intent.key
        self.tickets[intent.key] = ticket

    def _awaited(self, line: deque[Ticket], intent: Intent) -> Ticket:
        """Give the ticket that a leg is for; those before it were overtaken before they could be sent."""
        price = float(intent.worst_price)
        while len(line) > 1 and line[0].order.created.price != price:
            self._orders.end(line.popleft().order)
        return line.popleft()

    def _book_new(self, before: OrderState | None, ticket: Ticket | None) -> None:
        """Book the executions that an order has more than before."""
        if before is None or not self.is_ours(before.intent):
            return
        now = self.book.orders[before.intent.key]
        for trade in now.fills[len(before.fills) :]:
            booked = self.account.book(trade, now.intent.reason, 0 if ticket is None else ticket.order.ref)
            if ticket is not None:
                is_last = now.phase is Phase.FILLED and trade is now.fills[-1] and not self._goes_on(now.intent)
                self._orders.execute(ticket.order, booked, self.account, is_last=is_last)

    def _goes_on(self, intent: Intent) -> bool:
        """Whether another order follows for what is left of this one, as far as its plan can say by now."""
        plan, role = self.book.plans.get(intent.plan), role_of(intent)
        instrument = self._allotment.venues[intent.symbol].instrument
        if plan is None or instrument is None or role not in {"entry", "exit", "part"}:
            return False
        state, legs = self.book.state_of(intent.plan), self.book.legs_of(intent.plan)
        if isinstance(plan, Bracket) and role == "exit":
            return plan.is_leaving(state, legs, instrument)
        return plan.owns(intent) and plan.is_entering(state, legs, instrument)

    def _settle(self, ticket: Ticket, state: OrderState) -> None:
        """End backtrader's order as the journal's order ended; another one may follow for what is left of it."""
        del self.tickets[state.intent.key]
        order, waiting = ticket.order, self.expected[ticket.plan, ticket.role]
        self._let_go(ticket.plan)
        if not order.alive():
            self.forget(ticket)
        elif ticket.role == "exit":
            return
        elif ticket.role in _ENTERING and not waiting and self._goes_on(state.intent):
            waiting.append(ticket)  # the next part is its own
        elif ticket.role == "target" and state.reason == MOVED and not ticket.is_dropped:
            self.expected[ticket.plan, ticket.role].append(ticket)  # it comes back beside the stop
        elif state.phase in {Phase.REJECTED, Phase.REFUSED} and state.reason != REPRICED:
            self._orders.refuse(order, state.reason)
        elif state.phase is Phase.EXPIRED and state.intent.kind == "market":
            self._orders.refuse(order, "the account could not pay for it", is_unpaid=True)
        else:
            self._orders.end(order, is_expired=state.reason == "timeout")

    def _let_go(self, plan: str) -> None:
        """End orders that were to take the place of an entry of which nothing is left, or that nobody wants."""
        for role in _ENTERING:
            waiting = self.expected.get((plan, role))
            orders = [self.book.orders[key] for key in self.book.legs.get(plan, ())] if waiting else []
            own = [order for order in orders if role_of(order.intent) == role]
            if waiting and own and all(one.is_settled for one in own) and not self._goes_on(own[-1].intent):
                while waiting:
                    self._orders.end(waiting.popleft().order)

    def finish_plans(self) -> None:
        """Let go of plans that are done, and end orders that had nothing left to do."""
        for symbol, plan in list(self.plans.items()):
            if self._is_done(plan):
                del self.plans[symbol]
        for ticket in [one for one in self.all_tickets() if self._is_done(one.plan)]:
            self.forget(ticket)
            if ticket.order.alive():
                self._orders.end(ticket.order)
        for place in [place for place, line in self.expected.items() if not line]:
            del self.expected[place]

    def _is_done(self, plan: str) -> bool:
        return plan in self.book.plans and plan not in self.book.open_plans
