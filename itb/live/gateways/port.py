"""What the order machine asks of a venue, and the answers that it tells apart.

Only one question matters after a request that could have moved money: *can it have reached the matching engine?* So a
gateway never raises from :meth:`Gateway.submit` or :meth:`Gateway.cancel`: it says :class:`Accepted`, :class:`Rejected`
or :class:`NotTaken` where the venue's answer proves it, and :class:`Unknown` in every other case, also when the answer
looks like success but lacks the order's id. Times are UTC milliseconds of the venue's clock, amounts are ``Decimal``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from itb.errors import GatewayError
from itb.market.instrument import Instrument

Side: TypeAlias = Literal["buy", "sell"]
OrderKind: TypeAlias = Literal["market", "limit", "stop", "stop_limit"]
VenueStatus: TypeAlias = Literal["open", "filled", "canceled", "expired", "rejected"]


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order on its way to the venue, which must refuse it after ``sent_at + window_ms`` (venue time)."""

    client_id: str
    symbol: str
    side: Side
    kind: OrderKind
    qty: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    sent_at: int = 0
    window_ms: int = 5_000
    reduces: bool = False  # it only makes a position smaller


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue tells it; ``filled`` is the quantity executed so far."""

    client_id: str
    order_id: str
    symbol: str
    side: Side
    kind: OrderKind
    qty: Decimal
    filled: Decimal
    status: VenueStatus
    price: Decimal | None = None
    stop_price: Decimal | None = None
    created_at: int = 0

    @property
    def is_open(self) -> bool:
        """Whether more may still be executed."""
        return self.status == "open"


@dataclass(frozen=True, slots=True)
class VenueTrade:
    """One execution, known by ``(symbol, trade_id)``; venues name the order by their own id only."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    time: int


@dataclass(frozen=True, slots=True)
class Balance:
    """What the account holds of one currency; ``locked`` is held by resting orders."""

    currency: str
    free: Decimal
    locked: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class Funding:
    """What holding a perpetual cost (below 0) or brought, known by ``payment_id``.

    ``price`` is what the position was valued at, 0 where the venue does not tell.
    """

    payment_id: str
    symbol: str
    currency: str
    amount: Decimal
    time: int
    price: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Settlement:
    """When holders of a perpetual pay one another, and the fraction that longs pay to shorts.

    ``mark`` is the mark price that positions are valued at, 0 where the venue does not tell.
    """

    time: int
    rate: Decimal
    mark: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class RateOutlook:
    """What a venue says of a perpetual at ``time``: its mark price, and when its holders pay one another next."""

    time: int
    mark: Decimal
    next_at: int


@dataclass(frozen=True, slots=True)
class Due:
    """What holders owe one another at a bar's open: the settlements after ``since``, up to ``until``.

    On ``qty`` at ``price``, whenever the rates are told and whatever they turn out to be.
    """

    symbol: str
    since: int
    until: int
    opened: int
    qty: Decimal
    price: Decimal

    @property
    def name(self) -> str:
        """The ``payment_id`` that it is paid under."""
        return f"{self.symbol}|{self.opened}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue has the order."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Rejected:
    """The venue refused the order for what it is: it was not executed and sending it again would not help."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The request was turned away before the engine (rate limit, clock, maintenance gate): it may be sent again.

    ``retry_at`` is the earliest time for the next request of any kind, 0 where the venue did not say.
    """

    reason: str
    retry_at: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the request reached the engine."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The venue ended the order; ``order`` is its last word."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class NotOpen:
    """The venue knows no such *open* order: it may be filled, ended, not there yet or never sent. Look it up."""

    reason: str


Submitted: TypeAlias = Accepted | Rejected | NotTaken | Unknown
CancelOutcome: TypeAlias = Cancelled | NotOpen | NotTaken | Unknown


class NoAnswerError(GatewayError):
    """A question (not an order) got no usable answer; ask again, not before ``retry_at`` (venue time)."""

    def __init__(self, reason: str, retry_at: int = 0) -> None:
        super().__init__(reason)
        self.retry_at = retry_at


@dataclass(frozen=True)
class Capabilities:
    """What a venue can do, where venues differ in what the order machine relies on."""

    finds_by_client_id: bool = True
    honours_window: bool = True
    client_id_length: int = 32
    balance_tolerance: Decimal = Decimal("1e-12")  # venues of perpetuals round what they compute
    kinds: frozenset[OrderKind] = field(default_factory=lambda: frozenset(("market", "limit", "stop", "stop_limit")))
    pairs: bool = False  # a stop and a limit can rest on the same coins: see TakesPairs

    @property
    def is_safe(self) -> bool:
        """Whether an order without an answer can be proven absent, so that nothing is ever sent twice."""
        return self.finds_by_client_id and self.honours_window


class Gateway(Protocol):
    """A venue's account. Questions raise :class:`NoAnswerError`; orders and cancels never raise."""

    @property
    def capabilities(self) -> Capabilities:
        """What this venue can do."""

    async def server_time(self) -> int:
        """Give the venue's clock."""

    async def instrument(self, symbol: str) -> Instrument:
        """Give tick, step and minima as they are now."""

    async def submit(self, request: OrderRequest) -> Submitted:
        """Send an order, once: a gateway never retries."""

    async def cancel(self, symbol: str, client_id: str) -> CancelOutcome:
        """Ask the venue to end an order, once."""

    async def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        """Look an order up by its client id; ``None`` is the venue's claim that it knows none."""

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Give all open orders of the account, foreign ones too."""

    async def orders_since(self, symbol: str, since: int) -> tuple[VenueOrder, ...]:
        """Give orders of any status created at or after a time."""

    async def trades_since(self, symbol: str, since: int) -> tuple[VenueTrade, ...]:
        """Give executions at or after a time."""

    async def balances(self) -> tuple[Balance, ...]:
        """Give what the account holds."""


@runtime_checkable
class TakesPairs(Protocol):
    """A gateway whose venue takes a stop and a limit in one request, the execution of one ending the other (OCO)."""

    async def submit_pair(self, stop: OrderRequest, limit: OrderRequest) -> tuple[Submitted, Submitted]:
        """Send both, once; the venue has both or neither. Each is found, told and cancelled by its own client id."""


@runtime_checkable
class PaysFunding(Protocol):
    """A gateway to perpetuals, whose holders pay one another."""

    async def fundings_since(self, since: int) -> tuple[Funding, ...]:
        """Give payments at or after a time."""


class KnowsRates(Protocol):
    """Knows what was published of funding rates; nobody is asked."""

    def due(self, symbol: str, since: int, until: int) -> Decimal | None:
        """Give the rates settled after ``since``, up to ``until``, in sum; ``None`` where one may yet be published."""


class TellsRates(Protocol):
    """A venue that tells funding rates of perpetuals. Raises :class:`NoAnswerError`."""

    async def settlements(self, symbol: str, since: int) -> tuple[Settlement, ...]:
        """Give all settlements at or after a time that are published, oldest first."""

    async def outlook(self, symbol: str) -> RateOutlook:
        """Give what the venue says now."""
