"""A book as one value: what a checkpoint holds, and from which the very same book is made again."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal

from itb.live.gateways.port import Funding
from itb.live.orders.book import Book
from itb.live.orders.events import Owed
from itb.live.orders.limits import Worth
from itb.live.orders.moves import PlanState, plan_key
from itb.live.orders.plans import Plan
from itb.live.orders.state import OrderState


@dataclass(frozen=True)
class BookState:
    """Everything that a :class:`itb.live.orders.book.Book` remembers and that does not follow from the rest of it."""

    owner: str
    opened_at: int
    orders: tuple[OrderState, ...]
    active: tuple[str, ...]
    settled: tuple[str, ...]
    forgotten: int
    sweep_at: int
    at_venue: tuple[tuple[str, str, str], ...]
    """Symbol, the venue's id, key."""
    plans: tuple[Plan, ...]
    plan_states: tuple[PlanState, ...]
    open_plans: tuple[str, ...]
    positions: tuple[tuple[str, str, Decimal], ...]
    balances: dict[str, Decimal]
    rounded: dict[str, Decimal]
    fundings: tuple[Funding, ...]
    owed: tuple[Owed, ...]
    sent: tuple[int, ...]
    worth: Worth | None
    day: int
    halted: str
    blocked: dict[str, str]
    pardons: dict[str, int]
    degraded: str
    quiet_until: int
    episodes: tuple[tuple[int, str], ...]
    alarms: tuple[str, ...]

    @classmethod
    def of(cls, book: Book) -> BookState:
        """Take it from a book."""
        return cls(
            owner=book.owner, opened_at=book.opened_at, orders=tuple(book.orders.values()), active=tuple(book.active),
            settled=tuple(book.settled), forgotten=book.forgotten, sweep_at=book.sweep_at,
            at_venue=tuple((symbol, order_id, key) for (symbol, order_id), key in book.by_venue.items()),
            plans=tuple(book.plans.values()), plan_states=tuple(book.plan_states.values()),
            open_plans=tuple(book.open_plans), positions=tuple((*name, qty) for name, qty in book.positions.items()),
            balances=dict(book.balances), rounded=dict(book.rounded), fundings=tuple(book.fundings.values()),
            owed=tuple(book.owed.values()), sent=tuple(book.sent),
            worth=book.worth, day=book.day, halted=book.halted, blocked=dict(book.blocked),
            pardons=dict(book.pardons), degraded=book.degraded, quiet_until=book.quiet_until,
            episodes=tuple(book.episodes), alarms=tuple(book.alarms),
        )  # fmt: skip

    def write(self, book: Book) -> None:
        """Write it into an empty book; what that takes in afterwards does what it would have done to the first."""
        book.owner, book.opened_at = self.owner, self.opened_at
        book.forgotten, book.sweep_at = self.forgotten, self.sweep_at
        for order in self.orders:
            key, intent = order.intent.key, order.intent
            book.orders[key] = order
            book.by_client |= dict.fromkeys(order.attempts, key)
            if intent.plan:
                book.legs[intent.plan].append(key)
            if intent.oco:
                book.groups[intent.oco].append(key)
        book.active, book.settled = dict.fromkeys(self.active), dict.fromkeys(self.settled)
        book.by_venue = {(symbol, order_id): key for symbol, order_id, key in self.at_venue}
        book.plans = {plan_key(plan): plan for plan in self.plans}
        book.plan_states = dict(zip(book.plans, self.plan_states, strict=True))
        book.open_plans = dict.fromkeys(self.open_plans)
        book.positions = defaultdict(Decimal, {(strategy, symbol): qty for strategy, symbol, qty in self.positions})
        book.balances, book.rounded = defaultdict(Decimal, self.balances), defaultdict(Decimal, self.rounded)
        book.fundings = {payment.payment_id: payment for payment in self.fundings}
        book.owed = {event.due.name: event for event in self.owed}
        book.sent = deque(self.sent, book.sent.maxlen)
        book.worth, book.day, book.halted, book.degraded = self.worth, self.day, self.halted, self.degraded
        book.blocked, book.pardons, book.quiet_until = dict(self.blocked), dict(self.pardons), self.quiet_until
        book.episodes, book.alarms = list(self.episodes), list(self.alarms)
