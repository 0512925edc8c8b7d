"""The cockpit: what a person may see of a running bot and do to it, the same from a terminal, a chat or a program.

Every value is frozen and plain, so that it can be written as JSON and read back (:func:`to_json`, :func:`from_json`).
Times are UTC milliseconds of the venue's clock, amounts are ``Decimal``, fractions are fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from itb.live.gateways.port import OrderKind, Side
from itb.live.orders.margin import liquidation_price

Health: TypeAlias = Literal["NORMAL", "DEGRADED", "HALTED"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PositionLine:
    """What one strategy holds of one symbol; ``qty`` is signed, ``price`` the last known one."""

    strategy: str
    symbol: str
    qty: Decimal
    entry_price: Decimal | None = None
    entry_time: int = 0
    price: Decimal | None = None
    profit: Decimal | None = None

    @property
    def liquidation(self) -> Decimal | None:
        """Price at which an exchange would close it by force, reckoned early; ``None`` where there is none."""
        if ":" not in self.symbol or self.entry_price is None:
            return None
        return liquidation_price(self.qty, self.entry_price) or None


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """What a model said of a bar (``None``: nothing)."""

    symbol: str
    column: str
    open_time: int
    value: float | None


@dataclass(frozen=True, slots=True)
class ModelLine:
    """Who speaks for a score column: the model fitted at ``known_at`` (0: nobody), the newest of ``refits``.

    Parameters
    ----------
    not_promoted
        Refits that were not let speak.
    late_bars
        Bars that an older model spoke for because a newer one came late.
    challenger_at
        When the refit was fitted that computes beside the one that speaks (0: none does).
    challenger_bars
        Bars that both have scored in this life.
    challenger_distance
        The mean difference of their scores there.
    """

    symbol: str
    column: str
    known_at: int = 0
    refits: int = 0
    not_promoted: int = 0
    late_bars: int = 0
    challenger_at: int = 0
    challenger_bars: int = 0
    challenger_distance: float | None = None


@dataclass(frozen=True, slots=True)
class StrategyLine:
    """One strategy, or one that is only watched (``is_shadow``): its worth and the gain of closed trades, in quote."""

    name: str
    equity: Decimal | None = None
    trades: int = 0
    profit: Decimal = Decimal(0)
    is_shadow: bool = False


@dataclass(frozen=True, slots=True)
class BarLine:
    """The newest final bar of a symbol."""

    symbol: str
    open_time: int
    close: Decimal


@dataclass(frozen=True, slots=True)
class Status:
    """A bot at a glance. ``mode`` is paper, practice or the exchange; ``steps`` counts timestamps decided on."""

    bot: str
    mode: str = ""
    is_running: bool = True
    pid: int = 0
    time: int = 0
    started_at: int = 0
    health: Health = "NORMAL"
    reasons: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = ()
    steps: int = 0
    open_orders: int = 0
    equity: Decimal | None = None
    day_start: Decimal | None = None
    peak: Decimal | None = None
    bars: tuple[BarLine, ...] = ()
    scores: tuple[ScoreLine, ...] = ()
    positions: tuple[PositionLine, ...] = ()
    strategies: tuple[StrategyLine, ...] = ()
    models: tuple[ModelLine, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order: ``phase`` is its place in life (waiting, sending, unknown, open, filled, ...)."""

    key: str
    client_id: str
    strategy: str
    symbol: str
    side: Side
    kind: OrderKind
    qty: Decimal
    filled: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    phase: str
    cancel: str
    reason: str
    asked_at: int
    sent_at: int


@dataclass(frozen=True, slots=True)
class TradeLine:
    """A round trip, or one still open (``exit_time`` 0); ``profit`` is in quote after fees, ``return_`` a fraction."""

    strategy: str
    symbol: str
    side: Literal["long", "short"]
    qty: Decimal
    entry_time: int
    entry_price: Decimal
    exit_time: int = 0
    exit_price: Decimal | None = None
    profit: Decimal | None = None
    return_: float | None = None
    fees: Decimal = Decimal(0)
    entry_reason: str = ""
    exit_reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether something of it is still held."""
        return not self.exit_time


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """What the journal says that the account holds of a currency; ``value`` in quote where a price is known."""

    currency: str
    total: Decimal
    value: Decimal | None = None


class Cockpit(Protocol):
    """The operations on a bot. Called on the network thread only; none of them waits for the venue.

    Commands say in a sentence what was begun, and raise :class:`itb.errors.ItbError` when they cannot be. ``by`` names
    who asked (``terminal``, ``telegram``) and is journaled.
    """

    def status(self) -> Status:
        """Give the state at a glance."""

    def orders(self, ended: int = 0) -> tuple[OrderLine, ...]:
        """Give all unfinished orders and the newest ``ended`` finished ones, oldest first."""

    def trades(self, most: int = 20) -> tuple[TradeLine, ...]:
        """Give the newest trades, oldest first, open ones last."""

    def balance(self) -> tuple[BalanceLine, ...]:
        """Give what the account holds."""

    def pause(self, by: str) -> str:
        """Take no new risk until :meth:`resume`; positions are still protected and closed. Survives a restart."""

    def resume(self, by: str) -> str:
        """Lift a pause or a halt."""

    def close(self, by: str, symbol: str = "", strategy: str = "") -> str:
        """End orders and close positions; of one symbol or strategy, or all."""

    def stop(self, by: str, *, cancel: bool | None = None) -> str:
        """End the program gracefully; resting orders are cancelled, kept, or as the config says (``None``)."""


_adapters: dict[Any, Any] = {}


def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_json(value: Any, kind: Any = None) -> Any:
    """Turn a value of this file (or a tuple, whose ``kind`` is told) into what JSON has; decimals keep every digit.

    >>> to_json(BalanceLine("BTC", Decimal("0.10")))
    {'currency': 'BTC', 'total': '0.10', 'value': None}
    """
    return _adapter(kind or type(value)).dump_python(value, mode="json")


def from_json(kind: type[Value], data: Any) -> Value:
    """Read a value back, equal to what was written; raises ``ValueError`` for anything else.

    >>> from_json(BalanceLine, {"currency": "BTC", "total": "0.10"})
    BalanceLine(currency='BTC', total=Decimal('0.10'), value=None)
    """
    read: Value = _adapter(kind).validate_python(data)
    return read
