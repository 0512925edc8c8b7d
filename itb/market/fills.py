"""Fills: the only thing that moves money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

FillReason: TypeAlias = str  # a strategy may name its own


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    ``qty`` is signed (buys above 0, base units), ``price`` is in quote per base, ``fee`` is what was paid, in
    ``fee_currency`` (``"base"``, ``"quote"`` or another currency's name), ``fee_quote`` is its worth in quote at the
    time. ``bar`` counts bars from 0 and ``open_time`` is that bar's open in UTC milliseconds: a market order decided
    at the close of bar ``t`` has ``bar == t + 1``. ``order_id`` counts orders from 1 within one run. ``reason`` is
    ``entry``, ``signal``, ``time``, ``stop``, ``target``, ``trailing``, ``funding`` or a strategy's own word.
    """

    bar: int
    open_time: int
    order_id: int
    symbol: str
    qty: float
    price: float
    fee: float
    fee_quote: float
    fee_currency: str = "quote"
    reason: FillReason = "user"

    @property
    def position_change(self) -> float:
        """Signed change of the position in base units: a fee taken in base makes a buy smaller."""
        return self.qty - self.fee if self.fee_currency == "base" else self.qty

    @property
    def cash_change(self) -> float:
        """Signed change of the quote balance."""
        return -self.qty * self.price - (self.fee if self.fee_currency == "quote" else 0.0)
