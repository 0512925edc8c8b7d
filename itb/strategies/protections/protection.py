"""What a protection is: it looks at trades that have ended and says which entries to leave for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from itb.ledger.trades import Side, Trade
from itb.market.span import Span


class Scope(NamedTuple):
    """Which entries are meant: of one symbol or of every one, of one side or of both (``None`` is all)."""

    symbol: str | None = None
    side: Side | None = None


@runtime_checkable
class EntryProtection(Protocol):
    """A rule that forbids entries after some trades; what is held is never touched.

    ``name`` is its name in :data:`itb.strategies.protections.PROTECTIONS`. ``refuses_reversal`` says whether it always
    forbids to leave a trade and enter the other side in one go.
    """

    name: ClassVar[str]
    refuses_reversal: ClassVar[bool]

    @property
    def looks_back(self) -> Span:
        """How long ago trades may have ended to be looked at."""

    @property
    def stops_for(self) -> Span:
        """How long entries are forbidden."""

    def triggers(self, recent: Sequence[Trade]) -> Scope | None:
        """Say what to forbid when the last of ``recent`` has just ended, ``None`` for nothing.

        ``recent`` are the trades of every symbol that ended within ``looks_back`` until then, oldest first.
        """


def span(key: str, value: int | str) -> Span:
    """Read a setting that is a length of time or a number of bars.

    >>> span("lookback", "2d").ms
    172800000
    """
    try:
        return Span.parse(value)
    except ValueError:
        raise ValueError(f'{key} must be a length such as "12h" or a number of bars above 0, was {value!r}') from None


@dataclass(frozen=True)
class OfRecentTrades:
    """What protections share that judge the trades of a stretch of time, and then forbid entries for another."""

    refuses_reversal: ClassVar[bool] = False

    lookback: int | str = 24
    trade_limit: int = 4
    stop_duration: int | str = 12

    def __post_init__(self) -> None:
        _ = self.looks_back, self.stops_for
        if self.trade_limit < 1:
            raise ValueError(f"trade_limit must be at least 1 trade, was {self.trade_limit}")

    @property
    def looks_back(self) -> Span:
        """How long ago trades may have ended to be looked at."""
        return span("lookback", self.lookback)

    @property
    def stops_for(self) -> Span:
        """How long entries are forbidden."""
        return span("stop_duration", self.stop_duration)
