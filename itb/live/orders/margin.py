"""When a position at 1x would be closed by its exchange."""

from __future__ import annotations

from decimal import Decimal

_NEAR = Decimal("0.9")
MAINTENANCE = Decimal("0.05")
"""Share of a position's worth that must be left. Exchanges ask for less up to large positions: this is pessimistic."""


def liquidation_price(qty: Decimal, entry: Decimal) -> Decimal:
    """Give the price at which an isolated position without borrowed money is closed by force; 0 where there is none.

    A short's margin at 1x is its worth at entry, so what is left of it at price p is 2 x entry - p, which must stay
    above the maintenance share of p. A long has paid for all it holds: it can become worthless, not more.

    >>> float(liquidation_price(Decimal(-2), Decimal(105)))
    200.0
    >>> liquidation_price(Decimal(2), Decimal(105))
    Decimal('0')
    """
    return 2 * entry / (1 + MAINTENANCE) if qty < 0 else Decimal(0)


def margin_trouble(symbol: str, qty: Decimal, entry: Decimal, price: Decimal) -> str | None:
    """Say that a short of a perpetual is near the price at which its exchange closes it; ``None`` where it is not.

    >>> margin_trouble("BTC/USDT:USDT", Decimal(-2), Decimal(105), Decimal(181))
    'BTC/USDT:USDT: a short from 105 stands at 181; its exchange closes it near 200: close it, or halve it'
    >>> margin_trouble("BTC/USDT:USDT", Decimal(-2), Decimal(105), Decimal(179)) is None
    True
    """
    level = liquidation_price(qty, entry) if ":" in symbol else Decimal(0)
    if not level or price < _NEAR * level:
        return None
    start, now, end = (f"{float(value):.10g}" for value in (entry, price, level))
    return f"{symbol}: a short from {start} stands at {now}; its exchange closes it near {end}: close it, or halve it"
