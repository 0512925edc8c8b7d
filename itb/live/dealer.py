"""The dealer: machine, journal and gateway together. Whatever happens to it, the journal knew before the venue did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from itb.errors import JournalError
from itb.live.desk import Desk
from itb.live.gateways import port
from itb.live.journal.checkpoint import EVERY
from itb.live.journal.store import Journal, pass_by
from itb.live.orders import events as ev
from itb.live.orders.machine import Cancel, Effect, Machine, Send
from itb.live.orders.state import OrderState, Phase
from itb.live.reconcile import DriftPolicy, denies, drift, drift_reason, must_look, sort_orders

T = TypeVar("T")


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


class Dealer(Desk):
    """Runs orders: :meth:`ask` says what is wanted, :meth:`pulse` does what follows, again and again.

    Parameters
    ----------
    gateway
        Way to the venue.
    journal
        Where everything is written before it is done.
    owner
        Name of this bot on this account; orders of other names are never touched.
    clock
        UTC milliseconds of the venue's clock, estimated.
    machine
        Limits and rules.
    gate
        Why no order may be sent at the moment (feeds not live, clock not known), or ``None``.
    reach
        Called with the name of each fail point.
    checkpoint_every
        Events after which a checkpoint is written.
    """

    def __init__(
        self,
        gateway: port.Gateway,
        journal: Journal,
        *,
        owner: str,
        clock: Callable[[], int],
        machine: Machine | None = None,
        gate: Callable[[], str | None] = lambda: None,
        pace: Pace | None = None,
        drift_policy: DriftPolicy = "halt",
        reach: Callable[[str], None] = pass_by,
        checkpoint_every: int = EVERY,
    ) -> None:
        super().__init__(journal, machine or Machine(), owner=owner, clock=clock, checkpoint_every=checkpoint_every)
        self.gateway, self.gate, self.reach = gateway, gate, reach
        self.pace, self.drift_policy = pace or Pace(), drift_policy
        self.is_reconciled = False
        self._next_poll = 0
        self._failures = 0
        self._drifted: dict[str, Decimal] = {}

    def shut_because(self) -> str | None:
        """Why no order may be sent now, or ``None``."""
        if self.broken:
            return self.broken
        if not self.is_reconciled:
            return "journal and venue have not been compared yet"
        if self.clock() < self.book.quiet_until:
            return "the venue asked for a pause"
        return self.book.degraded or self.gate()

    async def pulse(self) -> None:
        """Do one round: mend, look, decide, write, send. Never raises for a failing venue or journal."""
        try:
            if self.broken:
                self._resume()
                self.broken, self.is_reconciled = "", False
            if self.clock() < self.book.quiet_until:
                return
            if self.clock() >= self._next_poll or not self.is_reconciled:
                await self._poll()
            await self._learn_filters()
            self._decide()
            if self.clock() >= self.book.quiet_until:
                await self._act()
            self._decide()
            self._checkpoint()
        except JournalError as error:
            self.broken = str(error)

    def look_now(self) -> None:
        """Let the next pulse look at the venue, whenever the next look was due."""
        self._next_poll = 0

    @property
    def is_quiet(self) -> bool:
        """Whether every unfinished order just rests at the venue."""
        return all(o.phase is Phase.OPEN and not o.cancel and o.filled >= o.reported for o in self.book.unsettled())

    async def settle(self) -> None:
        """Pulse until nothing more can be done before something new happens."""
        while True:
            before = self.written
            await self.pulse()
            if self.written == before or (self.is_reconciled and self.is_quiet):
                return

    def _decide(self) -> None:
        """Note what follows, until nothing follows any more."""
        for _ in range(100):
            events = 0
            for event in self.machine.follow_ups(self.clock()):
                self._note(event)
                events += 1
            if not events:
                break
        self._commit()

    async def _learn_filters(self) -> None:
        """Ask for the filters of every symbol that something is wanted in; without them nothing is sent."""
        try:
            for symbol in sorted(self.machine.symbols() - self.machine.instruments.keys()):
                if self.clock() >= self.book.quiet_until:
                    self.machine.instruments[symbol] = await self.gateway.instrument(symbol)
        except port.NoAnswerError as error:
            self._hush(error.retry_at)
            self._commit()

    async def _act(self) -> None:
        now = self.clock()
        effects = list(self.machine.effects(now, is_open=self.shut_because() is None))
        if not effects:
            return
        for effect in effects:
            if isinstance(effect, Send):
                for one in _all_of(effect):
                    self._note(one.sending)
            else:
                self._note(ev.CancelSending(now, effect.key))
        self._commit()
        self.reach("dealer.before_sending")
        await asyncio.gather(*(self._perform(effect) for effect in effects))
        self.reach("dealer.before_answers")
        self._commit()
        self._next_poll = min(self._next_poll, self.clock() + self.pace.poll_ms)
        self.reach("dealer.after_answers")

    async def _perform(self, effect: Effect) -> None:
        for answered in await self._send(effect) if isinstance(effect, Send) else [await self._cancel(effect)]:
            self._note(answered)
            order = self.book.order_of(answered.client_id)
            if order is not None and (order.is_doubtful or order.cancel == "unknown" or order.reported > order.filled):
                self._next_poll = min(self._next_poll, self.clock())

    async def _send(self, effect: Send) -> list[ev.Answered]:
        sends = _all_of(effect)
        requests = [one.request() for one in sends]
        outcomes: Sequence[port.Submitted]
        try:
            held = self._held_back()
            if held is not None:
                outcomes = [held] * len(sends)
            elif len(requests) == 1:
                outcomes = [await self.gateway.submit(requests[0])]
            else:
                outcomes = await self._send_pair(*requests)
        except Exception as error:  # noqa: BLE001  (whatever a driver raises, the order may have reached the venue)
            outcomes = [port.Unknown(f"{type(error).__name__}")] * len(sends)
        self.reach("dealer.after_sending")
        return [self.understood(one.sending.client_id, told) for one, told in zip(sends, outcomes, strict=True)]

    async def _send_pair(self, one: port.OrderRequest, other: port.OrderRequest) -> Sequence[port.Submitted]:
        if not isinstance(self.gateway, port.TakesPairs):
            return [port.Rejected("this venue takes no pairs")] * 2
        stop, limit = (one, other) if one.kind == "stop" else (other, one)
        told = await self.gateway.submit_pair(stop, limit)
        return told if stop is one else told[::-1]

    def understood(self, client_id: str, outcome: port.Submitted) -> ev.Answered:
        """Word a gateway's answer as an event."""
        now = self.clock()
        if isinstance(outcome, port.Accepted):
            return ev.Answered(now, client_id, "accepted", "", outcome.order)
        if isinstance(outcome, port.Rejected):
            return ev.Answered(now, client_id, "rejected", outcome.reason)
        if isinstance(outcome, port.NotTaken):
            self._hush(outcome.retry_at)
            return ev.Answered(now, client_id, "not_taken", outcome.reason)
        return ev.Answered(now, client_id, "unknown", outcome.reason)

    async def _cancel(self, effect: Cancel) -> ev.CancelAnswered:
        try:
            outcome = self._held_back() or await self.gateway.cancel(effect.symbol, effect.client_id)
        except Exception as error:  # noqa: BLE001  (as above: the cancel may have reached the venue)
            outcome = port.Unknown(f"{type(error).__name__}")
        self.reach("dealer.after_cancel")
        now = self.clock()
        if isinstance(outcome, port.Cancelled):
            return ev.CancelAnswered(now, effect.client_id, "cancelled", "", outcome.order)
        if isinstance(outcome, port.NotTaken):
            self._hush(outcome.retry_at)
            return ev.CancelAnswered(now, effect.client_id, "not_taken", outcome.reason)
        answer: ev.CancelAnswer = "not_open" if isinstance(outcome, port.NotOpen) else "unknown"
        return ev.CancelAnswered(now, effect.client_id, answer, outcome.reason)

    def _held_back(self) -> port.NotTaken | None:
        """Answer for the venue while it wants no requests: another one of this round may have told so."""
        return port.NotTaken("held back, the venue asked for a pause") if self.clock() < self.book.quiet_until else None

    def _hush(self, until: int) -> None:
        if until > self.book.quiet_until:
            self._note(ev.Paused(self.clock(), until))

    async def _poll(self) -> None:
        """Look at the venue; a look that failed is repeated later, and later still."""
        failed = ""
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
        self._next_poll = now + wait
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
        self._tell(orders=found.ours)
        if found.unclaimed:
            names = ", ".join(order.client_id for order in found.unclaimed)
            is_old = any(self.journal.key_of(order.client_id) for order in found.unclaimed)
            why = "were taken for ended long ago" if is_old else "are in no journal"
            self._note_halt(f"orders {names} bear this bot's name and {why}; cancel them at the venue")
        listed = frozenset(order.client_id for order in found.ours)
        failed = await self._look_up(venue_time, listed)
        failed = await self._fetch_trades() or failed
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
                self._tell(orders=(answer,))
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
                self._tell(trades=answer)
        return failed

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
                self._tell(orders=found)
                continue
            self._miss(order.client_id, "history", venue_time)
            held = await self._answer(self.gateway.balances())
            if isinstance(held, str):
                return held
            if denies(self.book, order, held):
                self._miss(order.client_id, "balance", venue_time)
        return ""

    async def _compare_balances(self) -> None:
        """Act on what the journal does not explain, once two looks in a row show the same."""
        held, exactly = await self.gateway.balances(), self.gateway.capabilities.balance_tolerance
        differences = drift(self.book, held, exactly)
        if differences and isinstance(self.gateway, port.PaysFunding):
            since = max((paid.time for paid in self.book.fundings.values()), default=self.book.opened_at)
            for payment in await self.gateway.fundings_since(since):
                if payment.payment_id not in self.book.fundings:
                    self._note(ev.Funded(self.clock(), payment))
            differences = drift(self.book, held, exactly)
        if differences and differences == self._drifted:
            if self.drift_policy == "adopt":
                for currency, amount in differences.items():
                    self._note(ev.Adjusted(self.clock(), currency, amount, "transfer or manual trade"))
            elif self.drift_policy == "halt":
                self._note_halt(drift_reason(differences))
        self._drifted = differences


def _all_of(effect: Send) -> list[Send]:
    return [effect] if effect.partner is None else [effect, effect.partner]
