"""What plans may do, what is known of them, and how their orders are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol, TypeAlias

from itb.live.gateways.port import Side
from itb.live.orders.intent import Intent
from itb.live.orders.state import OrderState, Phase

Legs: TypeAlias = Mapping[str, Sequence[OrderState]]
FAILED = frozenset((Phase.REJECTED, Phase.REFUSED))


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
    """What was decided about a plan after it began.

    ``reductions`` are parts of the position to be closed, each with its reason; ``exit_reason`` closes it all.
    ``price`` replaces the plan's own, for as long as none but its first ``price_entries`` entries are executed;
    ``target`` is a bracket's other price, ``entry_price`` the limit of its entry (0: the market's), ``dropped`` names
    its legs that are not wanted any more. ``forgiven`` exits were refused before somebody asked for the exit again.
    ``position`` is what the plan's strategy holds of its symbol, whoever brought it
    (:meth:`itb.live.orders.book.Book.state_of`).
    """

    exit_reason: str = ""
    reductions: tuple[tuple[str, Decimal], ...] = ()
    price: Decimal | None = None
    price_reason: str = ""
    price_entries: int = 0
    target: Decimal | None = None
    entry_price: Decimal | None = None
    dropped: frozenset[str] = frozenset()
    forgiven: int = 0
    position: Decimal = Decimal(0)


class Named(Protocol):
    """A plan, as far as names go."""

    @property
    def name(self) -> str:
        """Names it among the plans of one strategy, symbol and bar."""

    @property
    def intent(self) -> Intent:
        """The order that it begins with."""


def plan_key(plan: Named) -> str:
    """Identity of a plan: who decided it, on what, at which bar, and its name."""
    return f"{plan.intent.strategy}|{plan.intent.symbol}|{plan.intent.bar_time}|{plan.name}"


def leg_of(plan: Named, role: str, intent: Intent, seq: int = 1) -> Intent:
    """Name an intent as a leg of a plan: the same leg has the same key in every life."""
    return replace(intent, leg=f"{plan.name}/{role}", seq=seq, plan=plan_key(plan))


def refused_exits(legs: Legs) -> int:
    """Count the exits of a plan that venue or limits did not take."""
    return sum(order.phase in FAILED for order in legs.get("exit", ()))


def role_of(intent: Intent) -> str:
    """Which part of its plan an order plays."""
    return intent.leg.rpartition("/")[2]


def opposite(side: Side) -> Side:
    """Give the side that closes."""
    return "sell" if side == "buy" else "buy"
