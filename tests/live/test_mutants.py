"""Each rule that keeps orders safe, taken out once: the rehearsal must notice, or it proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from itb.errors import JournalError
from itb.live.dealer import Dealer
from itb.live.gateways import port
from itb.live.gateways.faults import LOOK_FAULTS, SUBMIT_FAULTS, FaultPlan, LookFault, SubmitFault
from itb.live.orders import events as ev
from itb.live.orders.book import Book
from itb.live.orders.intent import Intent
from itb.live.orders.machine import Send
from itb.live.orders.rules import Rules
from itb.live.orders.state import OrderState, Phase
from itb.market.costs import Costs
from tests.live.rehearsal import Rehearsal


class SendsBeforeItWrites(Dealer):
    async def _act(self) -> None:
        self._take_in()
        self._conclude()
        now = self.clock()
        for effect in list(self.machine.effects(now, is_open=self.shut_because() is None)):
            answers = await self._send(effect) if isinstance(effect, Send) else [await self._cancel(effect)]
            self._note(effect.sending if isinstance(effect, Send) else ev.CancelSending(now, effect.key))
            for answered in answers:
                self._note(answered)
        self.reach("dealer.before_answers")
        self._commit()


class SendsWhatMayNotBeWritten(Dealer):
    """Merges the commit before the wire with the one after it."""

    def _commit(self) -> None:
        if not any(isinstance(event, ev.Sending) for event in self._draft[-1:]):
            super()._commit()


class IgnoresTheGate(Dealer):
    def shut_because(self) -> str | None:
        return None


class IgnoresPauses(Dealer):
    def _hush(self, until: int) -> None:
        pass


class RetriesBlindly(Dealer):
    async def _send(self, effect: Send) -> list[ev.Answered]:
        for _ in range(2):
            request = effect.intent.request(effect.sending.client_id, sent_at=self.clock(), window_ms=5_000)
            outcome = await self.gateway.submit(request)
            if not isinstance(outcome, port.Unknown):
                return [self.understood(effect.sending.client_id, outcome)]
        return await super()._send(effect)


class TakesErrorsForRefusals(Dealer):
    def understood(self, client_id: str, outcome: port.Submitted) -> ev.Answered:
        answered = super().understood(client_id, outcome)
        return replace(answered, answer="rejected") if answered.answer == "unknown" else answered


class SendsWithoutWindow(Dealer):
    async def _send(self, effect: Send) -> list[ev.Answered]:
        endless = replace(effect.sending, window_ms=10**9)
        return await super()._send(replace(effect, sending=endless))


class CancelsForeignOrders(Dealer):
    async def _look(self) -> str:
        for order in await self.gateway.open_orders():
            if not self.book.is_ours(order):
                await self.gateway.cancel(order.symbol, order.client_id)
        return await super()._look()


class BelievesAtOnce(Rules):
    def deadline(self, order: OrderState) -> int:
        return 0


class BelievesOneWitness(Rules):
    def is_absent(self, order: OrderState) -> bool:
        return order.misses >= 1


class BelievesLooksAlone(Rules):
    def is_absent(self, order: OrderState) -> bool:
        return order.misses >= 2


class GivesUpAfterLooks(BelievesLooksAlone):
    """What others do: so many looks without a find mean that it was rejected."""

    def proven_absent(self, order: OrderState, now: int) -> OrderState:
        return replace(order, phase=Phase.REJECTED)


class TrustsEveryAnswer(Rules):
    def is_same(self, order: OrderState, seen: port.VenueOrder) -> bool:
        return True


class BooksTwice(Rules):
    def is_booked(self, order: OrderState, trade: port.VenueTrade) -> bool:
        return False


class GoesBackwards(Rules):
    def saw(self, order: OrderState, event: ev.Saw) -> OrderState:
        seen = super().saw(order, event)
        return replace(seen, phase=Phase(event.order.status)) if self.is_same(order, event.order) else seen

    def is_older(self, order: OrderState, seen: port.VenueOrder) -> bool:
        return False


class TakesNotOpenForCancelled(Rules):
    def cancel_answered(self, order: OrderState, event: ev.CancelAnswered) -> OrderState:
        if event.answer == "not_open":
            return replace(order, phase=Phase.CANCELED, cancel="")
        return super().cancel_answered(order, event)


class SendsAgainAfterRestart(Rules):
    def restarted(self, order: OrderState) -> OrderState:
        return replace(order, phase=Phase.WAITING) if order.phase is Phase.SENDING else super().restarted(order)


class ForgetsFeesInBase(Book):
    def _book(self, intent: Intent, trade: port.VenueTrade) -> None:
        fee = Decimal(0) if trade.fee_currency == trade.symbol.partition("/")[0] else trade.fee
        super()._book(intent, replace(trade, fee=fee))


Kinds = tuple[SubmitFault | LookFault, ...]
ALL: Kinds = (*SUBMIT_FAULTS, *LOOK_FAULTS)
LOST: Kinds = ("timeout_after", "not_found", "pruned")
DEALERS: dict[type[Dealer], Kinds] = {
    SendsBeforeItWrites: LOST,
    SendsWhatMayNotBeWritten: LOST,
    IgnoresTheGate: ("no_answer",),
    IgnoresPauses: ("rate_limit", "ban"),
    RetriesBlindly: ("reset_after",),
    TakesErrorsForRefusals: ("server_error",),
    SendsWithoutWindow: ("too_late",),
    CancelsForeignOrders: ("no_answer",),
}
RULES: dict[type[Rules], Kinds] = {
    BelievesAtOnce: ("late",),
    BelievesOneWitness: LOST,
    BelievesLooksAlone: LOST,
    GivesUpAfterLooks: LOST,
    TrustsEveryAnswer: ("no_id",),
    BooksTwice: ("repeated",),
    GoesBackwards: ("stale", "lost_fills", "cut_body"),
    TakesNotOpenForCancelled: ("lag", "reset_after"),
    SendsAgainAfterRestart: ("no_answer",),
}


def rehearsed(file: Path, seed: int, kinds: Kinds = ALL, **parts: Any) -> list[str]:
    """Trade 60 orders with a third of all requests failing, kills at fail points and a shut gate."""
    plan = FaultPlan(seed=seed, per_mille=300, kinds=kinds)
    with Rehearsal(
        file.with_name(f"{seed}.db"), faults=plan, seed=seed, costs=Costs(fee_currency="base"), **parts
    ) as r:
        r.foreign_order()
        r.shut.append((r.clock.now + 5_000, r.clock.now + 9_000))
        r.trade(60, kill_share=0.02)
        r.settle(100)
        return r.violations()


def found(file: Path, kinds: Kinds = ALL, **parts: Any) -> Iterator[str]:
    for seed in range(8):
        try:
            yield from rehearsed(file, seed, kinds, **parts)
        except JournalError as error:  # the database has some of the rules as well
            yield str(error)


def test_nothing_is_found_where_no_rule_is_missing(journal_file: Path) -> None:
    assert [violation for seed in range(3) for violation in rehearsed(journal_file, seed)] == []


@pytest.mark.parametrize("mutant", DEALERS, ids=lambda kind: kind.__name__)
def test_a_dealer_without_a_rule_is_noticed(mutant: type[Dealer], journal_file: Path) -> None:
    assert next(found(journal_file, DEALERS[mutant], dealer=mutant), None)


@pytest.mark.parametrize("mutant", RULES, ids=lambda kind: kind.__name__)
def test_a_missing_rule_is_noticed(mutant: type[Rules], journal_file: Path) -> None:
    assert next(found(journal_file, RULES[mutant], rules=mutant()), None)


def test_a_forgotten_fee_is_noticed(journal_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("itb.live.orders.machine.Book", ForgetsFeesInBase)
    assert next(found(journal_file), None)
