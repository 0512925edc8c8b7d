"""The desk: where orders are asked for, written down, and what is known of them is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from itb.datafeeds.settlements import settled_at
from itb.errors import JournalError
from itb.live.gateways.port import Due, Funding, VenueOrder, VenueTrade
from itb.live.journal import checkpoint
from itb.live.journal.store import Journal
from itb.live.orders import events as ev
from itb.live.orders.book import Book
from itb.live.orders.funding import held_at
from itb.live.orders.intent import Intent
from itb.live.orders.machine import Machine
from itb.live.orders.moves import plan_key, refused_exits
from itb.live.orders.plans import Plan
from itb.live.run.redaction import shown

Failed: TypeAlias = Callable[[str], None]


class Part(Protocol):
    """Something that is known by the journal, and that checkpoints hold beside the book."""

    @property
    def name(self) -> str:
        """Names it in checkpoints."""

    def take(self, event: ev.Event, book: Book) -> None:
        """Take in an event that the book has taken in."""

    def text(self) -> str:
        """Write down what all events came to."""

    def take_up(self, text: str) -> bool:
        """Go on from what was written down; give whether it fits, and change nothing where it does not."""


class Desk:
    """Journal and machine together: whatever is asked or told is on the disk before it has an effect.

    What is asked by :meth:`ask`, :meth:`plan` and their like is on the disk when they return; what is asked by
    :meth:`want` is written with the next round, together with what follows from it.

    Parameters
    ----------
    journal
        Where everything is written before it is done.
    owner
        Name of this bot on this account; orders of other names are never touched.
    clock
        UTC milliseconds of the venue's clock, estimated.
    machine
        Limits and rules.
    checkpoint_every
        Events after which what they came to is written down, so that the next start need not read them again.
    """

    def __init__(
        self,
        journal: Journal,
        machine: Machine,
        *,
        owner: str,
        clock: Callable[[], int],
        checkpoint_every: int = checkpoint.EVERY,
    ) -> None:
        self.journal, self.machine, self.owner, self.clock = journal, machine, owner, clock
        self.broken = ""
        self._every = checkpoint_every
        self._draft: list[ev.Event] = []
        self._wanted: deque[tuple[Callable[[], object], Failed]] = deque()
        self._is_gathering = False
        self._readers: list[Callable[[Sequence[ev.Event]], None]] = []
        self._parts: list[Part] = []
        self.written = 0  # events of the journal that readers have been told
        self._resume()

    def follow(self, reader: Callable[[Sequence[ev.Event]], None]) -> None:
        """Tell a reader all events of the journal so far, and from now on each event once it is on the disk."""
        reader(tuple(self.journal.events()))
        self.listen(reader)

    def listen(self, reader: Callable[[Sequence[ev.Event]], None]) -> None:
        """Tell a reader each event from now on, once it is on the disk."""
        self._readers.append(reader)

    def keep(self, part: Part) -> None:
        """Let a part know the journal, from the newest checkpoint on that has it, and be in those to come."""
        book = self._empty_book()
        number, texts = checkpoint.load(self.journal, book)
        if part.name not in texts or not part.take_up(texts[part.name]):
            number, book = 0, self._empty_book()
        for event in self.journal.events(after=number):
            book.apply(event)
            part.take(event, book)

        def hear(events: Sequence[ev.Event]) -> None:
            for event in events:
                part.take(event, self.book)

        self._parts.append(part)
        self.listen(hear)

    def _empty_book(self) -> Book:
        return type(self.book)(self.book.rules, self.book.keep)

    @property
    def book(self) -> Book:
        """All that is known."""
        return self.machine.book

    def _resume(self) -> None:
        """Make the book anew from the journal; what was being sent when the last life ended is in doubt."""
        self._draft.clear()
        self.broken = ""
        self.machine.book = book = self._empty_book()
        self._saved, _ = checkpoint.load(self.journal, book)
        missed = []  # events that are on the disk though we were told that they could not be written
        for number, event in enumerate(self.journal.events(after=self._saved), self._saved + 1):
            book.apply(event)
            if self._readers and number > self.written:
                missed.append(event)
        self.written = self.journal.count - len(missed)
        self._publish(missed)
        if self.book.owner:
            if self.book.owner != self.owner:
                raise JournalError(
                    f"journal {self.journal.where}: it belongs to {self.book.owner!r}, this is {self.owner!r}; "
                    "use another journal for another bot"
                )
            self._note(ev.Restarted(self.clock()))
            self._commit()

    def _note(self, event: ev.Event) -> None:
        """Take an event in; :meth:`_commit` writes it, before any effect."""
        event = _without_secrets(event)
        self.book.apply(event)
        self._draft.append(event)

    def _commit(self) -> None:
        if self._draft:
            if self.broken:  # what is noted since may rest on what was not written
                raise JournalError(self.broken)
            self.journal.append(self._draft)
            events, self._draft = self._draft, []
            self._publish(events)

    def _checkpoint(self) -> None:
        """Write down what the journal came to, once enough of it is new."""
        if self.journal.count - self._saved >= self._every and not self._draft:
            checkpoint.save(self.journal, self.book, {part.name: part.text() for part in self._parts})
            self._saved = self.journal.count

    def _publish(self, events: Sequence[ev.Event]) -> None:
        self.written += len(events)
        for reader in self._readers:
            reader(events)

    def _record(self, event: ev.Event) -> None:
        """Write one event of our own deciding; where the journal fails, nothing was decided."""
        self._note(event)
        if self._is_gathering:
            return
        try:
            self._commit()
        except JournalError as error:
            self.broken = str(error)
            raise

    def want(self, act: Callable[[], object], failed: Failed) -> None:
        """Have something decided in the next round: ``act`` calls the methods below, all of it is written at once.

        ``failed`` hears why nothing came of it: the journal, or an order or a plan that is not known.
        """
        self._wanted.append((act, failed))

    def _take_in(self) -> list[Failed]:
        """Note what was wanted; give who must hear of it if it cannot be written."""
        noted = []
        self._is_gathering = True
        try:
            while self._wanted:
                act, failed = self._wanted.popleft()
                try:
                    act()
                except KeyError as error:
                    failed(str(error))
                else:
                    noted.append(failed)
        finally:
            self._is_gathering = False
        return noted

    def _break(self, error: JournalError) -> None:
        """Do nothing more until the journal can be written again; what is wanted till then does not count."""
        self.broken = str(error)
        while self._wanted:
            self._wanted.popleft()[1](self.broken)

    def ask(self, intent: Intent) -> str:
        """Want an order; asked twice, it is one order. Gives its key once the journal has it."""
        if intent.key not in self.book.orders and not self._was_forgotten(intent.key):
            self._record(ev.Asked(self.clock(), intent))
        return intent.key

    def _was_forgotten(self, key: str) -> bool:
        """Whether an order was sent so long ago that the book has let go of it."""
        return self.book.forgotten > 0 and self.journal.was_attempted(key)

    def plan(self, plan: Plan) -> str:
        """Begin a plan; begun twice, it is one plan."""
        key = plan_key(plan)
        if key not in self.book.plans:
            self._record(ev.Planned(self.clock(), plan))
        return key

    def cancel(self, key: str, reason: str = "asked") -> None:
        """Want an order to end."""
        order = self.book.orders[key]
        if not order.is_ended and not order.cancel:
            self._record(ev.CancelWanted(self.clock(), key, reason))

    def close(self, plan: str, reason: str, qty: Decimal | None = None) -> None:
        """Want a plan's position closed, or ``qty`` of it."""
        if not self.book.plan_states[plan].exit_reason:
            self._record(ev.ExitWanted(self.clock(), plan, reason, qty))

    def close_again(self, plan: str, reason: str) -> None:
        """Want a plan's position closed, as a person does: also where its exits were refused until it gave up."""
        state = self.book.plan_states[plan]
        if not state.exit_reason or refused_exits(self.book.legs_of(plan)) > state.forgiven:
            self._record(ev.ExitWanted(self.clock(), plan, reason))

    def reprice(self, plan: str, price: Decimal, reason: str = "", leg: str = "") -> None:
        """Give a plan a new price: its stop, or the ``leg`` that is named; an entry at 0 is to take the market's."""
        state = self.book.plan_states[plan]
        before = {"target": state.target, "entry": state.entry_price}.get(leg, state.price)
        if before != price or state.dropped:
            self._record(ev.Repriced(self.clock(), plan, price, reason, leg))

    def drop(self, plan: str, leg: str) -> None:
        """Let a plan go on without its stop, its target or what is left of its entry, until it has a new price."""
        if leg not in self.book.plan_states[plan].dropped:
            self._record(ev.Dropped(self.clock(), plan, leg))

    def touch(self, symbol: str, price: Decimal, ask: Decimal | None = None) -> bool:
        """Tell a price, or bid and ask, and give whether it ends a position: targets that we watch are judged by it.

        Written with the next round, which sends what follows.
        """
        reached = list(self.machine.touched(symbol, price, self.clock(), ask))
        for event in reached:
            self._note(event)
        return bool(reached)

    def value(self, equity: Decimal) -> None:
        """Tell the account's worth, by which limits of loss are judged; written with the next round."""
        self._note(ev.Valued(self.clock(), equity))

    def halt(self, reason: str) -> None:
        """Take no more risk (the kill switch): only orders that reduce a position are sent."""
        self._record(ev.Halted(self.clock(), reason))

    def resume(self) -> None:
        """Lift a halt."""
        self._record(ev.Resumed(self.clock()))

    def block(self, symbol: str, by: str) -> None:
        """Enter a symbol no more; what reduces a position still goes."""
        if symbol not in self.book.blocked:
            self._record(ev.Blocked(self.clock(), symbol, by))

    def unblock(self, symbol: str) -> None:
        """Lift a block."""
        if symbol in self.book.blocked:
            self._record(ev.Unblocked(self.clock(), symbol))

    def pardon(self, symbol: str) -> None:
        """Forget the trades until now when protections are asked."""
        self._record(ev.Pardoned(self.clock(), symbol))

    def fund(self, payments: Sequence[Funding] = (), *, owed: Sequence[Due] = (), waived: Sequence[str] = ()) -> None:
        """Pass on what holders of perpetuals paid one another; told twice, it is one payment.

        And what they owe until its rate is published, and what of that came to nothing, all at once.
        """
        book = self.book
        for due in owed:
            if due.name not in book.owed and due.name not in book.fundings:
                self._note(ev.Owed(self.clock(), due, held_at(book, due.symbol, due.opened)))
        for payment in payments:
            if payment.payment_id not in book.fundings:
                known = book.owed.get(payment.payment_id)
                held = known.held if known else held_at(book, payment.symbol, settled_at(payment.time))
                self._note(ev.Funded(self.clock(), payment, held))
        for name in waived:
            if name in book.owed:
                self._note(ev.Waived(self.clock(), name))
        try:
            self._commit()
        except JournalError as error:
            self.broken = str(error)

    def tell(self, *, orders: tuple[VenueOrder, ...] = (), trades: tuple[VenueTrade, ...] = ()) -> None:
        """Pass on what the venue told: late, twice, out of order or not at all, it does no harm.

        Written with the next round.
        """
        now = self.clock()
        for order in orders:
            if self.book.is_news(saw := ev.Saw(now, order)):
                self._note(saw)
        for trade in trades:
            if self.book.is_news(traded := ev.Traded(now, trade)):
                self._note(traded)


def _without_secrets(event: ev.Event) -> ev.Event:
    """Clean the reason, which may quote what a venue or a driver said."""
    told: Any = event
    reason = getattr(told, "reason", "")
    clean = shown(reason) if reason else reason
    return event if clean == reason else replace(told, reason=clean)
