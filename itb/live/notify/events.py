"""What can be told, as values: a live run and a finished backtest say the same things by the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, TypeAdapter, ValidationError

from itb.errors import JournalError

Side: TypeAlias = Literal["buy", "sell"]
State: TypeAlias = Literal[
    "started", "stopped", "degraded", "recovered", "halted", "resumed", "retrained", "model_expired", "drift",
    "limit_hit", "left_band",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScoreSaid:
    """A bar has closed at ``time`` (UTC milliseconds, as everywhere here), and its scores are known.

    ``scores`` holds every column by name; NaN where no model spoke.
    """

    time: int
    symbol: str
    timeframe: str
    open: float
    high: float
    low: float
    close: float
    scores: Mapping[str, float]

    @property
    def key(self) -> str:
        """What makes it one and the same event when it is told twice."""
        return f"score/{self.symbol}/{self.timeframe}/{self.time}"


@dataclass(frozen=True, slots=True)
class SignalSent:
    """The strategy wants to buy or sell at the close of a bar; ``score`` (NaN: none) is what it decided by."""

    time: int
    symbol: str
    side: Side
    price: float
    score: float
    column: str = ""

    @property
    def key(self) -> str:
        """What makes it one and the same event when it is told twice."""
        return f"signal/{self.symbol}/{self.side}/{self.time}"


@dataclass(frozen=True, slots=True)
class FillSeen:
    """An order was executed, wholly or in part: ``qty`` (above 0, base units) at ``price``.

    ``fill_id`` is the venue's name for it.
    """

    time: int
    symbol: str
    side: Side
    qty: float
    price: float
    fee_quote: float
    reason: str
    fill_id: str

    @property
    def key(self) -> str:
        """What makes it one and the same event when it is told twice."""
        return f"fill/{self.symbol}/{self.fill_id}"


@dataclass(frozen=True, slots=True)
class TradeClosed:
    """A round trip is over; figures as in :class:`itb.ledger.trades.Trade`, ``return_`` a fraction."""

    time: int
    symbol: str
    side: Literal["long", "short"]
    entry_time: int
    qty: float
    entry_price: float
    exit_price: float
    fees_quote: float
    pnl: float
    return_: float
    reason: str

    @property
    def key(self) -> str:
        """What makes it one and the same event when it is told twice."""
        return f"trade/{self.symbol}/{self.entry_time}/{self.time}"


@dataclass(frozen=True, slots=True)
class EquityAt:
    """What the account is worth at a bar's close, in ``currency``."""

    time: int
    equity: float
    currency: str

    @property
    def key(self) -> str:
        """What makes it one and the same event when it is told twice."""
        return f"equity/{self.time}"


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The run itself changed: a trouble (``topic`` names it) began or is over, trading halted, a model was retrained.

    ``since`` is when a trouble that is over began (0: unknown), ``count`` how often it occurred.
    """

    time: int
    state: State
    text: str
    topic: str = ""
    since: int = 0
    count: int = 1

    @property
    def key(self) -> str:
        """What makes it one and the same event when it is told twice."""
        return f"state/{self.state}/{self.topic}/{self.time}"


Event: TypeAlias = ScoreSaid | SignalSent | FillSeen | TradeClosed | EquityAt | StateChanged

EVENTS: dict[str, type[Any]] = {
    "score": ScoreSaid,
    "signal": SignalSent,
    "fill": FillSeen,
    "trade": TradeClosed,
    "equity": EquityAt,
    "state": StateChanged,
}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    kind_of: Any = EVENTS[kind]
    kind_of.__pydantic_config__ = ConfigDict(ser_json_inf_nan="constants")  # a score may be NaN
    return TypeAdapter(kind_of)


def encode(event: Event) -> tuple[str, str]:
    """Give an event's kind and its fields as JSON.

    >>> encode(EquityAt(5, 100.5, "USDT"))
    ('equity', '{"time":5,"equity":100.5,"currency":"USDT"}')
    """
    kind = event.key.partition("/")[0]
    return kind, _adapter(kind).dump_json(event).decode()


def decode(kind: str, body: str) -> Event:
    """Read an event back, equal to what was written.

    >>> decode("equity", '{"time":5,"equity":100.5,"currency":"USDT"}')
    EquityAt(time=5, equity=100.5, currency='USDT')
    """
    if kind not in EVENTS:
        raise JournalError(f"notices: unknown event {kind!r}; it was written by a newer itb, use that one")
    try:
        event: Event = _adapter(kind).validate_json(body)
    except ValidationError as error:
        cause = error.errors()[0]
        where = ".".join(str(part) for part in cause["loc"])
        raise JournalError(f"notices: event {kind!r} cannot be read: {where}: {cause['msg']}") from None
    return event
