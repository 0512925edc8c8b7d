"""Orders of the practice exchange: what is asked, what stands, what was filled."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

ZERO = Decimal(0)
EXACT = Context(prec=60)
UNIT = Decimal("1e-8")  # every asset of the venue has 8 decimals

LIMITS = {"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}
STOPS = {"STOP_LOSS", "STOP_LOSS_LIMIT"}
TARGETS = {"TAKE_PROFIT", "TAKE_PROFIT_LIMIT"}
KINDS = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
WAITING = {"NEW", "PARTIALLY_FILLED"}


def times(left: Decimal, right: Decimal) -> Decimal:
    """Multiply without losing a digit."""
    return EXACT.multiply(left, right)


def down(amount: Decimal, unit: Decimal = UNIT) -> Decimal:
    """Round an amount down to whole units (by default 8 decimals)."""
    return EXACT.multiply(EXACT.divide(amount, unit).to_integral_value(ROUND_DOWN), unit)


def up(amount: Decimal, unit: Decimal = UNIT) -> Decimal:
    """Round an amount up to whole units."""
    return EXACT.multiply(EXACT.divide(amount, unit).to_integral_value(ROUND_UP), unit)


@dataclass(frozen=True, slots=True)
class Ask:
    """An order as a client asks for it; ``qty`` base units, or ``quote_qty`` quote units for a market order."""

    symbol: str
    side: str
    kind: str
    qty: Decimal = ZERO
    price: Decimal = ZERO
    stop: Decimal = ZERO
    quote_qty: Decimal = ZERO
    tif: str = "GTC"
    cid: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; ``fee`` is in ``fee_asset``, ``notional`` is what changed hands in the quote currency."""

    id: int
    order_id: int
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    notional: Decimal
    fee: Decimal
    fee_asset: str
    time: int
    is_maker: bool


@dataclass(slots=True)
class Order:
    """An order that the venue took; ``reserved`` is what it holds locked (quote of a buy, base of a sell)."""

    id: int
    ask: Ask
    time: int
    cid: str
    qty: Decimal
    list_id: int = -1
    status: str = "NEW"
    filled: Decimal = ZERO
    spent: Decimal = ZERO
    reserved: Decimal = ZERO
    is_working: bool = True
    updated: int = 0
    cancel_cid: str = ""
    fills: list[Fill] = field(default_factory=list)

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.ask.side == "BUY"

    @property
    def is_open(self) -> bool:
        """Whether more may happen to it."""
        return self.status in WAITING

    @property
    def rest(self) -> Decimal:
        """What is still to be filled, base units."""
        return self.qty - self.filled

    @property
    def is_limit(self) -> bool:
        """Whether it has a limit price."""
        return self.ask.kind in LIMITS

    @property
    def level(self) -> Decimal:
        """The price at which it acts next: its trigger until that was met, then its limit."""
        return self.ask.price if self.is_working else self.ask.stop

    @property
    def acts_when_falling(self) -> bool:
        """Whether a falling price makes it act: buy limits, sell stops, buy targets."""
        if self.is_working:
            return self.is_buy
        return self.is_buy == (self.ask.kind in TARGETS)

    def acts_at(self, price: Decimal) -> bool:
        """Whether the market at ``price`` makes it act."""
        return price <= self.level if self.acts_when_falling else price >= self.level


@dataclass(slots=True)
class OrderList:
    """Two orders of which one cancels the other (OCO)."""

    id: int
    symbol: str
    cid: str
    time: int
    legs: tuple[Order, Order]

    @property
    def state(self) -> str:
        """``EXECUTING`` while a leg stands, then ``ALL_DONE``."""
        return "EXECUTING" if any(leg.is_open for leg in self.legs) else "ALL_DONE"
