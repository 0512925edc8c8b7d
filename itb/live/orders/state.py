"""What is known of one order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from typing import Literal, TypeAlias

from itb.live.gateways.port import VenueTrade
from itb.live.orders.intent import Intent

EXACT = Context(prec=80)  # sums and products of long decimals, without rounding
CancelPhase: TypeAlias = Literal["", "wanted", "sending", "unknown"]


class Phase(StrEnum):
    """Where an order is in its life."""

    WAITING = "waiting"
    """Journaled, not sent (or proven not to have arrived)."""
    SENDING = "sending"
    """Committed to the journal, on its way."""
    UNKNOWN = "unknown"
    """It may be at the venue: to be found, or proven absent."""
    OPEN = "open"
    """The venue has it, partly executed perhaps."""
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    """The venue refused it."""
    REFUSED = "refused"
    """We refused it: it was never sent."""
    ABSENT = "absent"
    """Proven not to have arrived, and too late or not wanted any more."""


ENDED = frozenset((Phase.FILLED, Phase.CANCELED, Phase.EXPIRED, Phase.REJECTED, Phase.REFUSED, Phase.ABSENT))
DOUBTFUL = frozenset((Phase.SENDING, Phase.UNKNOWN))


@dataclass(frozen=True, slots=True)
class OrderState:
    """One intent, its attempts and everything that was witnessed of them.

    ``reported`` is the executed quantity that the venue claims, ``filled`` the sum of the executions that we hold;
    ``misses`` and ``witnesses`` collect the proof that an attempt never arrived.
    """

    intent: Intent
    phase: Phase = Phase.WAITING
    attempts: tuple[str, ...] = ()
    order_id: str = ""
    sent_at: int = 0
    window_ms: int = 0
    opened_at: int = 0
    reported: Decimal = Decimal(0)
    filled: Decimal = Decimal(0)
    fills: tuple[VenueTrade, ...] = ()
    cancel: CancelPhase = ""
    misses: int = 0
    witnesses: frozenset[str] = frozenset()
    reason: str = ""

    @property
    def client_id(self) -> str:
        """Id of the newest attempt; empty before the first."""
        return self.attempts[-1] if self.attempts else ""

    @property
    def is_ended(self) -> bool:
        """Whether no more can be executed."""
        return self.phase in ENDED

    @property
    def is_settled(self) -> bool:
        """Whether it is ended and every execution that the venue claims is in our books."""
        return self.phase in ENDED and self.filled >= self.reported

    @property
    def is_doubtful(self) -> bool:
        """Whether it may or may not be at the venue."""
        return self.phase in DOUBTFUL

    @property
    def remaining(self) -> Decimal:
        """What may still be executed."""
        return Decimal(0) if self.is_ended else EXACT.subtract(self.intent.qty, self.filled)

    @property
    def position_change(self) -> Decimal:
        """Signed change of the position by the executions so far; a fee in base coins makes a position smaller."""
        return total(signed_change(trade, self.intent.symbol) for trade in self.fills)


def total(values: Iterable[Decimal]) -> Decimal:
    """Sum decimals without rounding."""
    result = Decimal(0)
    for value in values:
        result = EXACT.add(result, value)
    return result


def signed_change(trade: VenueTrade, symbol: str) -> Decimal:
    """Signed change of the base coins by one execution."""
    change = trade.qty if trade.side == "buy" else -trade.qty
    return EXACT.subtract(change, trade.fee) if trade.fee_currency == symbol.partition("/")[0] else change
