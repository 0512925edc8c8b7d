"""What a book lets go of: a running bot needs its open orders and the newest settled ones, not those of years."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itb.live.orders.book import Book


def forget_settled(book: Book) -> None:
    """Let go of all settled orders and ended plans but the newest; the same book forgets the same.

    The legs of an open plan stay, for its next moves follow from them, and so do the orders of a group of which one is
    still open.
    """
    for key in list(book.settled)[: -book.keep]:
        intent = book.orders[key].intent
        if intent.plan in book.open_plans or not book.active.keys().isdisjoint(book.groups.get(intent.oco, ())):
            continue
        del book.orders[key], book.settled[key]
        book.forgotten += 1
        for family, name in ((book.legs, intent.plan), (book.groups, intent.oco)):
            if name:
                family[name].remove(key)
                if not family[name]:
                    del family[name]
    for plan in list(book.plans)[: -book.keep]:
        if plan not in book.open_plans and plan not in book.legs:
            del book.plans[plan], book.plan_states[plan]
    book.by_client = {name: key for name, key in book.by_client.items() if key in book.orders}
    book.by_venue = {name: key for name, key in book.by_venue.items() if key in book.orders}
    book.sweep_at = len(book.settled) + book.keep
