"""A simulated venue: costs, filters, fill prices and the order of events inside a bar."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from itb.market.costs import Costs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from itb.market.bars import FloatArray
    from itb.market.instrument import Instrument

Leg = Literal["stop", "target"]


@dataclass(frozen=True)
class Venue:
    """The rules that a backtest fills orders by.

    Parameters
    ----------
    costs
        Fees and slippage.
    instrument
        Step, tick and minima; ``None`` trades any quantity at any price.
    first
        Which leg a bar that touches both stop and target is taken to have touched first.
    settle
        Asked before ``first``: ``settle(bar, stop, target, is_long)`` says which leg finer bars show to have come
        first, or ``None`` where they do not know either.
    buy_price, sell_price
        Price of a market order filled in bar ``i``, before slippage; ``None`` is the bar's open.
    fills_late
        Whether these are prices of a later moment than the open, so that part of the bar lies before an entry.
    funding
        Bar -> funding rate settled at that bar's open, paid by longs to shorts as a fraction of the position's worth.
    trading_start
        First bar whose decisions count; orders before it are refused.
    """

    costs: Costs = field(default_factory=Costs)
    instrument: Instrument | None = None
    first: Leg = "stop"
    settle: Callable[[int, float, float, bool], Leg | None] | None = None
    buy_price: FloatArray | None = None
    sell_price: FloatArray | None = None
    fills_late: bool = False
    funding: Mapping[int, float] = field(default_factory=dict)
    trading_start: int = 0

    @property
    def dust(self) -> float:
        """Quantities below this cannot be traded: the step, or 0."""
        return 0.0 if self.instrument is None else float(self.instrument.step)

    def quantise(self, qty: float) -> float:
        """Round a quantity (base units, either sign) towards zero to the venue's step."""
        if self.instrument is None:
            return qty
        floored = self.instrument.floor_qty(abs(qty))
        return floored if qty >= 0 else -floored

    def quantise_price(self, price: float, *, is_buy: bool) -> float:
        """Round the price of a stop or limit order to the venue's tick."""
        if self.instrument is None:
            return price
        return float(self.instrument.quantise_price(Decimal(repr(price)), is_buy=is_buy))

    def refusal(self, qty: float, price: float) -> str | None:
        """Why the venue would refuse ``qty`` (>= 0) at ``price``, or ``None``."""
        if self.instrument is None:
            return None if qty > 0 else "quantity is 0"
        return self.instrument.refusal(Decimal(repr(qty)), Decimal(repr(price)))


@dataclass(frozen=True)
class Rejection:
    """An order that was refused or could not be paid for: counted and reported, never silent."""

    bar: int
    qty: float
    price: float
    why: str
    reason: str
    symbol: str = ""


@dataclass(frozen=True)
class Ambiguity:
    """A bar that touched both legs of a protected position: the bar does not tell which came first.

    Or the target of a position that was entered inside the bar, perhaps before it was: ``stop`` is NaN without one.
    """

    bar: int
    stop: float
    target: float
    taken: Leg
    settled: bool  # by finer bars, not by assumption
    symbol: str = ""
