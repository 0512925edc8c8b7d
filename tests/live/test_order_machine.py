"""The machine against a venue, step by step as hypothesis likes it: promises hold after every step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from itb.live.gateways.faults import LOOK_FAULTS, SUBMIT_FAULTS, FaultPlan
from itb.live.invariants import executed_once, money_explained, no_stranger
from itb.live.orders.state import Phase
from itb.market.costs import Costs
from tests.live.rehearsal import Rehearsal


class Trading(RuleBasedStateMachine):
    """A person's month in a minute: orders, cancels, faults, lost answers, new lives, clock steps, foreign orders."""

    @initialize(seed=st.integers(0, 1_000), fee=st.sampled_from(("base", "quote", "BNB")))
    def begin(self, seed: int, fee: str) -> None:
        memory = Path("/dev/shm")
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        file = Path(self.folder.name) / "journal.db"
        self.rehearsal = Rehearsal(file, seed=seed, costs=Costs(fee_currency=fee))
        self.has_foreign = False

    @rule(again=st.booleans())
    def ask(self, again: bool) -> None:
        intent = self.rehearsal.random_intent()
        key = self.rehearsal.dealer.ask(intent)
        if again:
            assert self.rehearsal.dealer.ask(intent) == key

    @rule(fault=st.sampled_from((*SUBMIT_FAULTS, *LOOK_FAULTS)), ahead=st.integers(1, 6))
    def fail_soon(self, fault: Any, ahead: int) -> None:
        number = len(self.rehearsal.gateway.requests) + ahead
        self.rehearsal.gateway.plan = FaultPlan(scripted={number: fault})

    @rule(per_mille=st.sampled_from((0, 100, 500, 1_000)), seed=st.integers(0, 99))
    def weather(self, per_mille: int, seed: int) -> None:
        self.rehearsal.gateway.plan = FaultPlan(seed=seed, per_mille=per_mille)

    @rule(step_ms=st.sampled_from((1, 500, 1_000, 4_000, 60_000)), times=st.integers(1, 4))
    def time_passes(self, step_ms: int, times: int) -> None:
        self.rehearsal.pulse(times, step_ms)

    @rule()
    def market_moves(self) -> None:
        self.rehearsal.market_moves()

    @rule(number=st.integers(0, 5))
    def cancel(self, number: int) -> None:
        orders = self.rehearsal.book.unsettled()
        if orders:
            self.rehearsal.dealer.cancel(orders[number % len(orders)].intent.key)

    @precondition(lambda self: self.rehearsal.engine.orders)
    @rule()
    def stream(self) -> None:
        self.rehearsal.push()

    @rule(share=st.sampled_from((0.0, 0.05, 0.3)))
    def fragile(self, share: float) -> None:
        self.rehearsal.kill_share = share
        self.rehearsal.pulse()
        self.rehearsal.kill_share = 0.0

    @rule()
    def new_life(self) -> None:
        self.rehearsal.die()
        self.rehearsal.live()

    @rule(length_ms=st.sampled_from((2_000, 20_000)))
    def shut_the_gate(self, length_ms: int) -> None:
        now = self.rehearsal.clock.now
        self.rehearsal.shut.append((now + 1, now + length_ms))

    @precondition(lambda self: not self.has_foreign)
    @rule()
    def foreign_order(self) -> None:
        self.has_foreign = True
        self.rehearsal.foreign_order()

    @invariant()
    def promises(self) -> None:
        book, truth = self.rehearsal.book, self.rehearsal.truth()
        if book.owner:
            assert executed_once(book, truth) == []
            assert no_stranger(book, truth) == []
            assert money_explained(book, truth) == []

    def teardown(self) -> None:
        if hasattr(self, "rehearsal"):
            self.rehearsal.settle(400)
            found = self.rehearsal.violations()
            ended = {order.phase for order in self.rehearsal.book.orders.values()}
            self.rehearsal.close()
            self.folder.cleanup()
            assert found == []
            assert ended <= set(Phase)


TestTrading = Trading.TestCase
TestTrading.settings = settings(stateful_step_count=40, deadline=None)
