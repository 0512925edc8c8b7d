"""A gateway that fails on purpose, by plan and seed: to rehearse a bot, and to test what runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from itb.live.gateways.port import (
    Accepted,
    Balance,
    CancelOutcome,
    Capabilities,
    Gateway,
    NoAnswerError,
    NotTaken,
    OrderRequest,
    Rejected,
    Submitted,
    TakesPairs,
    Unknown,
    VenueOrder,
    VenueTrade,
)

if TYPE_CHECKING:
    import numpy as np

    from itb.market.instrument import Instrument

SubmitFault: TypeAlias = Literal[
    "reset_before", "timeout_before", "html_page", "bad_gateway", "overload",
    "reset_after", "timeout_after", "cut_body", "no_id", "server_error",
    "rate_limit", "ban", "clock", "late", "too_late",
]  # fmt: skip
LookFault: TypeAlias = Literal[
    "no_answer", "look_limit", "not_found", "stale", "pruned", "lost_fills", "repeated", "lag"
]

LOST_BEFORE: tuple[SubmitFault, ...] = ("reset_before", "timeout_before", "html_page", "bad_gateway", "overload")
LOST_AFTER: tuple[SubmitFault, ...] = ("reset_after", "timeout_after", "cut_body", "no_id", "server_error")
TURNED_AWAY: tuple[SubmitFault, ...] = ("rate_limit", "ban", "clock")
LATE: tuple[SubmitFault, ...] = ("late", "too_late")
SUBMIT_FAULTS: tuple[SubmitFault, ...] = (*LOST_BEFORE, *LOST_AFTER, *TURNED_AWAY, *LATE)
LOOK_FAULTS: tuple[LookFault, ...] = (
    "no_answer", "look_limit", "not_found", "stale", "pruned", "lost_fills", "repeated", "lag",
)  # fmt: skip


@dataclass(frozen=True)
class FaultPlan:
    """Which requests fail, and how.

    Parameters
    ----------
    seed
        The same seed and the same requests fail in the same way.
    per_mille
        Requests of a thousand that fail.
    kinds
        Which faults happen, each as often as the others that fit the request.
    scripted
        Number of a request (from 1) -> the fault it has, whatever chance says.
    late_ms
        A ``late`` order arrives within this time, a ``too_late`` one after it, up to four times as late.
    retry_ms, ban_ms
        How long a rate limit and a ban last.
    """

    seed: int = 0
    per_mille: float = 0.0
    kinds: tuple[SubmitFault | LookFault, ...] = (*SUBMIT_FAULTS, *LOOK_FAULTS)
    scripted: dict[int, SubmitFault | LookFault] = field(default_factory=dict)
    late_ms: int = 5_000
    retry_ms: int = 2_000
    ban_ms: int = 20_000

    def __post_init__(self) -> None:
        if not 0 <= self.per_mille <= 1_000:
            raise ValueError(f"per_mille must be between 0 and 1000, was {self.per_mille}")
        unknown = set(self.kinds) - set(SUBMIT_FAULTS) - set(LOOK_FAULTS)
        if unknown:
            known = ", ".join((*SUBMIT_FAULTS, *LOOK_FAULTS))
            raise ValueError(f"kinds: unknown fault {min(unknown)!r}; known are {known}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it went: for replays, and for the promise that nothing is asked during a ban."""

    time: int
    what: str
    fault: str
    was_banned: bool


class FaultyGateway:
    """Stands before another gateway and lets requests fail. Late orders arrive when :meth:`release` is called.

    Parameters
    ----------
    inner
        The gateway that works.
    plan
        What fails.
    clock
        UTC milliseconds of the venue.
    """

    def __init__(self, inner: Gateway, plan: FaultPlan, clock: Callable[[], int]) -> None:
        import numpy as np

        self.inner, self.plan, self.clock = inner, plan, clock
        self.requests: list[Asked] = []
        self.banned_until = 0
        self._random: np.random.Generator = np.random.default_rng(plan.seed)
        self._late: list[tuple[int, OrderRequest]] = []
        self._pruned: set[str] = set()

    @property
    def capabilities(self) -> Capabilities:
        """Those of the gateway behind."""
        return self.inner.capabilities

    @property
    def faults(self) -> int:
        """How many requests failed so far."""
        return sum(bool(request.fault) for request in self.requests)

    def heal(self) -> None:
        """Fail no more; what is under way still arrives."""
        self.plan = replace(self.plan, per_mille=0.0, scripted={})
        self._pruned.clear()

    async def release(self) -> None:
        """Let late orders whose time has come arrive."""
        due = [item for item in self._late if item[0] <= self.clock()]
        self._late = [item for item in self._late if item[0] > self.clock()]
        for _, request in due:
            await self.inner.submit(request)

    def _draw(self, what: str, fitting: tuple[str, ...]) -> str:
        number = len(self.requests) + 1
        fault = self.plan.scripted.get(number, "")
        if not fault and self._random.random() * 1_000 < self.plan.per_mille:
            kinds = [kind for kind in fitting if kind in self.plan.kinds]
            fault = kinds[int(self._random.integers(len(kinds)))] if kinds else ""
        is_banned = self.clock() < self.banned_until
        self.requests.append(Asked(self.clock(), what, fault, is_banned))
        return "ban" if is_banned and what in {"submit", "cancel"} else "look_limit" if is_banned else fault

    def _turn_away(self, fault: str) -> NotTaken:
        if fault == "clock":
            return NotTaken("-1021 Timestamp for this request is outside of the recvWindow.")
        wait = self.plan.ban_ms if fault == "ban" else self.plan.retry_ms
        self.banned_until = max(self.banned_until, self.clock() + wait)
        return NotTaken("418 banned" if fault == "ban" else "429 too many requests", self.banned_until)

    async def submit(self, request: OrderRequest) -> Submitted:
        """Send an order, or fail before, after or beside it."""
        fault = self._draw("submit", SUBMIT_FAULTS)
        if fault in TURNED_AWAY:
            return self._turn_away(fault)
        if fault in LOST_BEFORE:
            return Unknown(fault)
        if fault in LATE:
            delay = int(self._random.integers(self.plan.late_ms + 1))
            due = delay if fault == "late" else self.plan.late_ms + 1 + 3 * delay
            self._late.append((request.sent_at + due, request))
            return Unknown(fault)
        outcome = await self.inner.submit(request)
        if fault == "no_id" and isinstance(outcome, Accepted):
            return Accepted(
                replace(outcome.order, order_id="", client_id="", filled=outcome.order.qty, status="filled")
            )
        return Unknown(fault) if fault in LOST_AFTER else outcome

    async def submit_pair(self, stop: OrderRequest, limit: OrderRequest) -> tuple[Submitted, Submitted]:
        """Send a pair, or fail before or after it: both have the same fate."""
        fault = self._draw("submit", (*LOST_BEFORE, *LOST_AFTER, *TURNED_AWAY))
        if fault in TURNED_AWAY:
            turned_away = self._turn_away(fault)
            return turned_away, turned_away
        if fault in LOST_BEFORE:
            return Unknown(fault), Unknown(fault)
        if not isinstance(self.inner, TakesPairs):
            return Rejected("this venue takes no pairs"), Rejected("this venue takes no pairs")
        told = await self.inner.submit_pair(stop, limit)
        return (Unknown(fault), Unknown(fault)) if fault in LOST_AFTER else told

    async def cancel(self, symbol: str, client_id: str) -> CancelOutcome:
        """Cancel an order, or fail before or after it."""
        fault = self._draw("cancel", (*LOST_BEFORE, *LOST_AFTER, *TURNED_AWAY))
        if fault in TURNED_AWAY:
            return self._turn_away(fault)
        if fault in LOST_BEFORE:
            return Unknown(fault)
        outcome = await self.inner.cancel(symbol, client_id)
        return Unknown(fault) if fault in LOST_AFTER else outcome

    def _ask(self, what: str, *fitting: str) -> str:
        fault = self._draw(what, ("no_answer", "look_limit", *fitting))
        if fault == "look_limit":
            raise NoAnswerError("429 too many requests", self._turn_away("rate_limit").retry_at)
        if fault == "no_answer":
            raise NoAnswerError("timeout")
        return fault

    async def server_time(self) -> int:
        """Give the venue's clock, or fail."""
        self._ask("server_time")
        return await self.inner.server_time()

    async def instrument(self, symbol: str) -> Instrument:
        """Give the filters, or fail."""
        self._ask("instrument")
        return await self.inner.instrument(symbol)

    async def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        """Look an order up; the answer may deny it, or be that of a replica that is behind."""
        fault = self._ask("order", "not_found", "stale", "pruned")
        order = await self.inner.order(symbol, client_id)
        if fault == "pruned":
            self._pruned.add(client_id)
        if order is None or fault == "not_found" or client_id in self._pruned:
            return None
        return replace(order, status="open", filled=order.filled * 0) if fault == "stale" else order

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Give open orders; the newest may be missing."""
        fault = self._ask("open_orders", "lag")
        orders = await self.inner.open_orders()
        return orders[:-1] if fault == "lag" else orders

    async def orders_since(self, symbol: str, since: int) -> tuple[VenueOrder, ...]:
        """Give past orders, or fail: this witness does not lie."""
        self._ask("orders_since")
        return await self.inner.orders_since(symbol, since)

    async def trades_since(self, symbol: str, since: int) -> tuple[VenueTrade, ...]:
        """Give executions; some may be missing for a while, told twice or out of order."""
        fault = self._ask("trades_since", "lost_fills", "repeated")
        trades = await self.inner.trades_since(symbol, since)
        if fault == "lost_fills":
            return trades[: len(trades) // 2]
        return (*trades[::-1], *trades) if fault == "repeated" else trades

    async def balances(self) -> tuple[Balance, ...]:
        """Give balances, or fail: this witness does not lie."""
        self._ask("balances")
        return await self.inner.balances()
