"""Journal against venue: a pure comparison, and what to do about the differences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from itb.live.gateways.port import Balance, VenueOrder
from itb.live.orders.book import Book
from itb.live.orders.state import EXACT, OrderState, Phase

DriftPolicy: TypeAlias = Literal["halt", "adopt", "tell"]
TINY = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Sorted:
    """Open orders at the venue: ours, those that bear our name but are in no journal, and how many are foreign."""

    ours: tuple[VenueOrder, ...]
    unclaimed: tuple[VenueOrder, ...]
    foreign: int


def sort_orders(book: Book, orders: Iterable[VenueOrder]) -> Sorted:
    """Tell our orders from foreign ones, which nothing ever touches."""
    ours, unclaimed, foreign = [], [], 0
    for order in orders:
        if book.order_of(order.client_id) is not None:
            ours.append(order)
        elif book.is_ours(order):
            unclaimed.append(order)
        else:
            foreign += 1
    return Sorted(tuple(ours), tuple(unclaimed), foreign)


def must_look(order: OrderState, listed: frozenset[str]) -> bool:
    """Whether an order's state must be asked for: in doubt, or no longer among the open orders."""
    if order.phase is Phase.UNKNOWN or order.cancel == "unknown":
        return True
    return order.phase is Phase.OPEN and order.client_id not in listed


def drift(book: Book, balances: Iterable[Balance], tolerance: Decimal = TINY) -> dict[str, Decimal]:
    """Give what the venue holds beyond what the journal explains, by currency, where it is above a tolerance.

    A venue keeps money with 8 decimals: where executions are worth more digits, what it may have rounded off is no
    drift.
    """
    held = {balance.currency: balance.total for balance in balances}
    differences = {
        currency: EXACT.subtract(held.get(currency, Decimal(0)), book.balances.get(currency, Decimal(0)))
        for currency in held.keys() | book.balances.keys()
    }
    return {
        currency: amount
        for currency, amount in sorted(differences.items())
        if abs(amount) > tolerance + book.rounded.get(currency, 0)
    }


def denies(book: Book, order: OrderState, balances: Iterable[Balance]) -> bool:
    """Whether the balances say that an order of unknown fate was not executed.

    If it was, even in part, there are coins that the journal does not explain: more after a buy, fewer after a sell, at
    most the order's quantity. A deposit or a manual trade of another size does not stand in the way.
    """
    base = order.intent.symbol.partition("/")[0]
    moved = drift(book, balances).get(base, Decimal(0)) * order.intent.sign
    return not 0 < moved <= order.remaining


def drift_reason(differences: dict[str, Decimal]) -> str:
    """Word a drift for a person.

    >>> drift_reason({"BTC": Decimal("0.5")})
    'the account holds BTC +0.5 more than the journal explains; check for transfers and manual trades, then resume'
    """
    amounts = ", ".join(f"{currency} {amount:+f}" for currency, amount in differences.items())
    return (
        f"the account holds {amounts} more than the journal explains; "
        "check for transfers and manual trades, then resume"
    )
