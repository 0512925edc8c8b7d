"""The lookout: asks the venue what became of orders, and compares it with the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from itb.live.desk import Desk
from itb.live.gateways import port
from itb.live.journal.checkpoint import EVERY
from itb.live.journal.store import Journal
from itb.live.orders import events as ev
from itb.live.orders.machine import Machine
from itb.live.orders.state import OrderState, Phase
from itb.live.reconcile import DriftPolicy, denies, drift, drift_reason, must_look, sort_orders

T = TypeVar("T")
_NEVER = 2**62
_PATIENCE = 60  # looks at a balance that executions which are still to come may explain


@dataclass(frozen=True)
class Pace:
    """How often the venue is asked.

    Parameters
    ----------
    poll_ms
        Between two looks at the venue while an order is unfinished.
    idle_ms
        Between two looks while none is.
    backoff_most_ms
        Longest wait after questions without an answer; it doubles from ``poll_ms``.
    lookback_ms
        How far before an order's sending its executions are looked for: clocks differ.
    degraded_after
        Looks in a row that failed before no new order is sent.
    """

    poll_ms: int = 1_000
    idle_ms: int = 60_000
    backoff_most_ms: int = 60_000
    lookback_ms: int = 60_000
    degraded_after: int = 3


class Lookout(Desk):
    """A desk that looks at its venue. Orders may leave and news may come while it waits for an answer.

    Parameters
    ----------
    gateway
        Way to the venue.
    journal, machine, owner, clock, checkpoint_every
        As of a :class:`itb.live.desk.Desk`.
    pace
        How often the venue is asked.
    drift_policy
        What to do about balances that the journal does not explain.
    """

    def __init__(
        self,
        gateway: port.Gateway,
        journal: Journal,
        machine: Machine,
        *,
        owner: str,
        clock: Callable[[], int],
        pace: Pace,
        drift_policy: DriftPolicy = "halt",
        checkpoint_every: int = EVERY,
    ) -> None:
        super().__init__(journal, machine, owner=owner, clock=clock, checkpoint_every=checkpoint_every)
        self.gateway, self.pace, self.drift_policy = gateway, pace, drift_policy
        self.is_reconciled = False
        self._next_poll = self._next_funding = 0
        self._failures = 0
        self._drifted: dict[str, Decimal] = {}
        self._looks = 0  # in a row that showed this

    def look_now(self) -> None:
        """Let the next pulse look at the venue, whenever the next look was due."""
        self._next_poll = 0

    def _hush(self, until: int) -> None:
        if until > self.book.quiet_until:
            self._note(ev.Paused(self.clock(), until))

    async def _poll(self) -> None:
        """Look at the venue; a look that failed is repeated later, and later still."""
        failed = ""
        self._next_poll = _NEVER  # but for what leaves while we look, and wants to be looked at soon
        try:
            failed = await self._look()
        except port.NoAnswerError as error:
            self._hush(error.retry_at)
            failed = str(error)
        now = self.clock()
        if failed:
            self._failures += 1
            wait = min(self.pace.poll_ms * 2 ** min(self._failures - 1, 10), self.pace.backoff_most_ms)
            if self._failures >= self.pace.degraded_after and not self.book.degraded:
                self._note(ev.Degraded(now, failed))
        else:
            self._failures = 0
            self.is_reconciled = True
            wait = self.pace.poll_ms if self.book.active else self.pace.idle_ms
            if self.book.degraded:
                self._note(ev.Recovered(now))
        self._next_poll = now + wait if failed else min(self._next_poll, now + wait)
        self._commit()

    async def _look(self) -> str:
        """Compare journal and venue; give what could not be asked."""
        book, gateway = self.book, self.gateway
        if not book.owner:
            held = await gateway.balances()
            self._note(ev.Opened(self.clock(), self.owner, tuple((b.currency, b.total) for b in held)))
            self._commit()
        venue_time = await gateway.server_time()
        found = sort_orders(book, await gateway.open_orders())
        self.tell(orders=found.ours)
        if found.unclaimed:
            names = ", ".join(order.client_id for order in found.unclaimed)
            is_old = any(self.journal.key_of(order.client_id) for order in found.unclaimed)
            why = "were taken for ended long ago" if is_old else "are in no journal"
            self._note_halt(f"orders {names} bear this bot's name and {why}; cancel them at the venue")
        listed = frozenset(order.client_id for order in found.ours)
        failed = await self._look_up(venue_time, listed)
        failed = await self._fetch_trades() or await self._fetch_fundings() or failed
        failed = await self._prove_absence(venue_time) or failed
        if not failed and not any(o.is_doubtful or o.phase is Phase.OPEN for o in book.unsettled()):
            await self._compare_balances()
        return failed

    def _note_halt(self, reason: str) -> None:
        if not self.book.halted:
            self._note(ev.Halted(self.clock(), reason))

    async def _answer(self, question: Awaitable[T]) -> T | str:
        """Give an answer, or why there is none; the venue's wish for a pause ends the look."""
        try:
            return await question
        except port.NoAnswerError as error:
            if error.retry_at:
                raise
            return f"no answer: {error}"

    def _at_venue(self) -> list[OrderState]:
        return [order for order in self.book.unsettled() if order.attempts and order.phase is not Phase.WAITING]

    async def _look_up(self, venue_time: int, listed: frozenset[str]) -> str:
        failed = ""
        for order in self._at_venue():
            if not must_look(order, listed):
                continue
            answer = await self._answer(self.gateway.order(order.intent.symbol, order.client_id))
            if isinstance(answer, str):
                failed = answer
            elif answer is None:
                self._miss(order.client_id, "query", venue_time)
            else:
                self.tell(orders=(answer,))
        return failed

    def _miss(self, client_id: str, witness: ev.Witness, venue_time: int) -> None:
        missed = ev.Missed(venue_time, client_id, witness)
        if self.book.is_news(missed):
            self._note(missed)

    async def _fetch_trades(self) -> str:
        failed = ""
        since: dict[str, int] = {}
        for order in self._at_venue():
            symbol = order.intent.symbol
            since[symbol] = min(since.get(symbol, order.sent_at), order.sent_at)
        for symbol, start in since.items():
            answer = await self._answer(self.gateway.trades_since(symbol, start - self.pace.lookback_ms))
            if isinstance(answer, str):
                failed = answer
            else:
                self.tell(trades=answer)
        return failed

    async def _fetch_fundings(self) -> str:
        """Book what holders of perpetuals paid one another, now and then while a position is held."""
        held = (symbol for (_, symbol), qty in self.book.positions.items() if qty and ":" in symbol)
        if self.clock() < self._next_funding or next(held, None) is None:
            return ""
        told = await self._answer(self._fundings())
        if isinstance(told, str):
            return told
        self._next_funding = self.clock() + self.pace.idle_ms
        return ""

    async def _fundings(self) -> None:
        if isinstance(self.gateway, port.PaysFunding):
            since = max((paid.time for paid in self.book.fundings.values()), default=self.book.opened_at)
            self.fund(await self.gateway.fundings_since(since))

    async def _prove_absence(self, venue_time: int) -> str:
        """Ask the other witnesses about orders that two looks did not find."""
        missing = [o for o in self._at_venue() if o.misses >= self.book.rules.misses]
        for order in missing:
            since = order.sent_at - self.pace.lookback_ms
            history = await self._answer(self.gateway.orders_since(order.intent.symbol, since))
            if isinstance(history, str):
                return history
            found = tuple(seen for seen in history if seen.client_id == order.client_id)
            if found:
                self.tell(orders=found)
                continue
            self._miss(order.client_id, "history", venue_time)
            held = await self._answer(self.gateway.balances())
            if isinstance(held, str):
                return held
            if denies(self.book, order, held):
                self._miss(order.client_id, "balance", venue_time)
        return ""

    async def _compare_balances(self) -> None:
        """Act on what the journal does not explain, once two looks in a row show the same.

        Where executions of an ended order are late, it takes many looks: they explain it, if they ever come.
        """
        before = self.written
        held, exactly = await self.gateway.balances(), self.gateway.capabilities.balance_tolerance
        if self.written != before:
            return  # something left or arrived meanwhile
        differences = drift(self.book, held, exactly)
        if differences:
            await self._fundings()
            differences = drift(self.book, held, exactly)
        self._looks = self._looks + 1 if differences == self._drifted else 1
        untold = any(order.is_ended for order in self.book.unsettled())  # its executions are still to come
        if differences and self._looks >= (_PATIENCE if untold else 2):
            if self.drift_policy == "adopt":
                for currency, amount in differences.items():
                    self._note(ev.Adjusted(self.clock(), currency, amount, "transfer or manual trade"))
            elif self.drift_policy == "halt":
                self._note_halt(drift_reason(differences))
        self._drifted = differences
