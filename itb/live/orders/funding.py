"""What holders of perpetuals pay one another, shared among the strategies that held them: pure, over the book."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.orders.state import EXACT, signed_change, total

if TYPE_CHECKING:
    from itb.live.orders.book import Book
    from itb.live.orders.events import Funded


def held_at(book: Book, symbol: str, time: int) -> tuple[tuple[str, Decimal], ...]:
    """Give what each strategy held of a symbol right before a time: what it holds, less what it traded since."""
    held = {name: size for (name, of), size in book.positions.items() if of == symbol}
    for order in book.orders.values():
        for trade in order.fills:
            if trade.symbol == symbol and trade.time >= time:
                name = order.intent.strategy
                held[name] = EXACT.subtract(held[name], signed_change(trade, symbol))
    return tuple(sorted((name, size) for name, size in held.items() if size))


def share_of(event: Funded, strategy: str) -> Decimal:
    """Give the share of a payment that falls to a strategy; the account paid for what all of them held together."""
    held = dict(event.held)
    whole = total(held.values())
    return EXACT.divide(held.get(strategy, Decimal(0)), whole) if whole else Decimal(0)
