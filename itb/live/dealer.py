"""The dealer: machine, journal and gateway together. Whatever happens to it, the journal knew before the venue did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from itb.errors import JournalError
from itb.live.gateways import port
from itb.live.journal.checkpoint import EVERY
from itb.live.journal.store import Journal, pass_by
from itb.live.lookout import Lookout, Pace
from itb.live.orders import events as ev
from itb.live.orders.machine import Cancel, Effect, Machine, Send
from itb.live.orders.state import Phase
from itb.live.reconcile import DriftPolicy

_TURNS = 3  # of the loop, which a request needs from its commit to the socket


class Dealer(Lookout):
    """Runs orders: :meth:`ask` says what is wanted, :meth:`pulse` does what follows, again and again.

    Intent, plan and sending are one transaction: exactly one wait for the disk lies between a decision that came by
    :meth:`want` and the wire.

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
        super().__init__(
            gateway, journal, machine or Machine(), owner=owner, clock=clock, pace=pace or Pace(),
            drift_policy=drift_policy, checkpoint_every=checkpoint_every,
        )  # fmt: skip
        self.gate, self.reach = gate, reach
        self._leaving = 0  # rounds whose requests are under way

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
                self.is_reconciled = False
            if self.clock() >= self.book.quiet_until:
                if self.clock() >= self._next_poll or not self.is_reconciled:
                    await self._poll()
                await self._learn_filters()
            await self._act()
            self._checkpoint()
        except JournalError as error:
            self._break(error)

    async def hurry(self) -> None:
        """Let what is wanted leave at once, whatever a pulse waits for meanwhile."""
        for _ in range(_TURNS if self._leaving else 0):
            await asyncio.sleep(0)  # what was written before leaves first; what comes meanwhile shares the next commit
        if self.broken or not (self._wanted or self._draft):
            return  # after trouble, the next pulse mends
        try:
            await self._act()
        except JournalError as error:
            self._break(error)

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

    def _conclude(self) -> None:
        """Note what follows, until nothing follows any more."""
        for _ in range(100):
            events = 0
            for event in self.machine.follow_ups(self.clock()):
                self._note(event)
                events += 1
            if not events:
                break

    async def _learn_filters(self) -> None:
        """Ask for the filters of every symbol that something is wanted in; without them nothing is sent."""
        try:
            for symbol in sorted(self.machine.symbols() - self.machine.instruments.keys()):
                if self.clock() >= self.book.quiet_until:
                    self.machine.instruments[symbol] = await self.gateway.instrument(symbol)
        except port.NoAnswerError as error:
            self._hush(error.retry_at)
            self._commit()

    def _write(self) -> list[Effect]:
        """Write what is wanted, what follows and what leaves now, in one transaction; give what leaves."""
        noted = self._take_in()
        try:
            self._conclude()
            now = self.clock()
            may_speak = now >= self.book.quiet_until
            effects = list(self.machine.effects(now, is_open=self.shut_because() is None)) if may_speak else []
            for effect in effects:
                if isinstance(effect, Send):
                    for one in _all_of(effect):
                        self._note(one.sending)
                else:
                    self._note(ev.CancelSending(now, effect.key))
            self._commit()
        except JournalError as error:
            for failed in noted:
                failed(str(error))
            raise
        return effects

    async def _act(self) -> None:
        """Write, then send; several of these may be under way, for what one sends is in nobody else's hands."""
        effects = self._write()
        if not effects:
            return
        self.reach("dealer.before_sending")
        self._leaving += 1
        try:
            await asyncio.gather(*(self._perform(effect) for effect in effects))
        finally:
            self._leaving -= 1
        self.reach("dealer.before_answers")
        self._conclude()
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


def _all_of(effect: Send) -> list[Send]:
    return [effect] if effect.partner is None else [effect, effect.partner]
