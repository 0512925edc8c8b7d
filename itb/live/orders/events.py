"""Everything that can happen to orders, as values. The journal is a list of these, and nothing else is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from itb.live.gateways.port import Due, Funding, VenueOrder, VenueTrade
from itb.live.orders.intent import Intent
from itb.live.orders.plans import Plan

Answer: TypeAlias = Literal["accepted", "rejected", "not_taken", "unknown"]
CancelAnswer: TypeAlias = Literal["cancelled", "not_open", "not_taken", "unknown"]
Witness: TypeAlias = Literal["query", "history", "balance"]


@dataclass(frozen=True, slots=True)
class Opened:
    """The first start: what the account held."""

    time: int
    owner: str
    balances: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Restarted:
    """The program began a new life: what was being sent has an unknown outcome."""

    time: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A strategy or a plan wants an order."""

    time: int
    intent: Intent


@dataclass(frozen=True, slots=True)
class Refused:
    """We do not send it: limits, filters, age."""

    time: int
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sending:
    """The order leaves in the next moment; committed before it does."""

    time: int
    key: str
    client_id: str
    sent_at: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back, or did not."""

    time: int
    client_id: str
    answer: Answer
    reason: str = ""
    order: VenueOrder | None = None


@dataclass(frozen=True, slots=True)
class Saw:
    """The venue told an order's state."""

    time: int
    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Missed:
    """A witness did not see an order of unknown fate; ``time`` is the venue's when it was asked."""

    time: int
    client_id: str
    witness: Witness


@dataclass(frozen=True, slots=True)
class Traded:
    """An execution of one of our orders."""

    time: int
    trade: VenueTrade


@dataclass(frozen=True, slots=True)
class CancelWanted:
    """An order is to end; what was executed stays."""

    time: int
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancelSending:
    """The cancel leaves in the next moment."""

    time: int
    key: str


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    """What came back to a cancel."""

    time: int
    client_id: str
    answer: CancelAnswer
    reason: str = ""
    order: VenueOrder | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan of several orders begins."""

    time: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class ExitWanted:
    """A plan's position is to be closed: all of it, whereupon the plan ends, or ``qty`` of it.

    Asked again for all of it, exits that were refused so far no longer count against it.
    """

    time: int
    plan: str
    reason: str
    qty: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Repriced:
    """A plan has a new price: a bracket's stop, or the ``leg`` that is named (an entry at 0: the market's)."""

    time: int
    plan: str
    price: Decimal
    reason: str = ""
    leg: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A plan goes on without its stop, its target or what is left of its entry (``leg``), until it has a new price."""

    time: int
    plan: str
    leg: str


@dataclass(frozen=True, slots=True)
class PlanEnded:
    """A plan has nothing left to do; whatever its strategy trades later is not its business."""

    time: int
    plan: str


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A balance changed by something that is not ours (deposit, manual trade), and was taken over."""

    time: int
    currency: str
    amount: Decimal
    why: str


@dataclass(frozen=True, slots=True)
class Funded:
    """A perpetual's holders paid one another; ``held`` is what each strategy held when it was settled."""

    time: int
    payment: Funding
    held: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Owed:
    """Holders owe one another what is not published yet; ``held`` is what each strategy held when it was settled."""

    time: int
    due: Due
    held: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Waived:
    """Nothing is to be paid of what was owed under a name: no settlement came, or its rate was 0."""

    time: int
    name: str


@dataclass(frozen=True, slots=True)
class Valued:
    """The account's worth in quote at a bar's close; limits of loss look at it."""

    time: int
    equity: Decimal


@dataclass(frozen=True, slots=True)
class Halted:
    """No new risk until a person resumes."""

    time: int
    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """A person lifted the halt."""

    time: int


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person wants nothing new to be entered in a symbol."""

    time: int
    symbol: str
    by: str


@dataclass(frozen=True, slots=True)
class Unblocked:
    """A person lifted a block."""

    time: int
    symbol: str


@dataclass(frozen=True, slots=True)
class Pardoned:
    """A person lifted the locks that trades in a symbol had caused until now."""

    time: int
    symbol: str


@dataclass(frozen=True, slots=True)
class Paused:
    """The venue wants no requests for a while; a new life of the program must know."""

    time: int
    until: int


@dataclass(frozen=True, slots=True)
class Degraded:
    """The venue cannot be used as it should; told once per episode."""

    time: int
    reason: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The episode is over."""

    time: int


Event: TypeAlias = (
    Opened
    | Restarted
    | Asked
    | Refused
    | Sending
    | Answered
    | Saw
    | Missed
    | Traded
    | CancelWanted
    | CancelSending
    | CancelAnswered
    | Planned
    | ExitWanted
    | Repriced
    | Dropped
    | PlanEnded
    | Adjusted
    | Funded
    | Owed
    | Waived
    | Valued
    | Halted
    | Resumed
    | Blocked
    | Unblocked
    | Pardoned
    | Paused
    | Degraded
    | Recovered
)

EVENTS: dict[str, type[Event]] = {
    "opened": Opened,
    "restarted": Restarted,
    "asked": Asked,
    "refused": Refused,
    "sending": Sending,
    "answered": Answered,
    "saw": Saw,
    "missed": Missed,
    "traded": Traded,
    "cancel_wanted": CancelWanted,
    "cancel_sending": CancelSending,
    "cancel_answered": CancelAnswered,
    "planned": Planned,
    "exit_wanted": ExitWanted,
    "repriced": Repriced,
    "dropped": Dropped,
    "plan_ended": PlanEnded,
    "adjusted": Adjusted,
    "funded": Funded,
    "owed": Owed,
    "waived": Waived,
    "valued": Valued,
    "halted": Halted,
    "resumed": Resumed,
    "blocked": Blocked,
    "unblocked": Unblocked,
    "pardoned": Pardoned,
    "paused": Paused,
    "degraded": Degraded,
    "recovered": Recovered,
}
