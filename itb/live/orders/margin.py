"""When a position at 1x would be closed by its exchange."""

from __future__ import annotations

from decimal import Decimal

MAINTENANCE = Decimal("0.05")
"""Share of a position's worth that must be left. Exchanges ask for less up to large positions: this is pessimistic."""


def liquidation_price(qty: Decimal, entry: Decimal) -> Decimal:
    """Give the price at which an isolated position without borrowed money is closed by force; 0 where there is none.

    A short's margin at 1x is its worth at entry, so what is left of it at price p is 2 x entry - p, which must stay
    above the maintenance share of p. A long has paid for all it holds: it can become worthless, not more.

    >>> liquidation_price(Decimal(-2), Decimal(105))
    Decimal('200')
    >>> liquidation_price(Decimal(2), Decimal(105))
    Decimal('0')
    """
    return 2 * entry / (1 + MAINTENANCE) if qty < 0 else Decimal(0)
