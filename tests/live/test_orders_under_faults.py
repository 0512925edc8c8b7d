"""A thousand orders against a venue where one request in ten fails: none lost, none doubled, none invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.live.gateways.faults import LOOK_FAULTS, SUBMIT_FAULTS, FaultPlan, SubmitFault
from itb.live.orders.state import Phase
from itb.market.costs import Costs
from tests.live.rehearsal import Rehearsal


def rehearse(file: Path, orders: int, seed: int, kill_share: float = 0.0) -> Rehearsal:
    costs = Costs(fee_currency=("base", "quote", "BNB")[seed % 3])
    rehearsal = Rehearsal(file, faults=FaultPlan(seed=seed, per_mille=100), seed=seed, costs=costs)
    rehearsal.trade_up_to(orders, kill_share=kill_share)
    rehearsal.settle()
    return rehearsal


def test_a_thousand_orders_at_a_hundred_faults_of_a_thousand_requests(journal_file: Path) -> None:
    with rehearse(journal_file, 1_000, seed=0) as rehearsal:
        requests = rehearsal.gateway.requests
        assert len(rehearsal.engine.orders) >= 1_000
        assert {request.fault for request in requests} >= {*SUBMIT_FAULTS, *LOOK_FAULTS}
        assert rehearsal.gateway.faults > 0.07 * len(requests)
        assert rehearsal.violations() == []
        assert not rehearsal.book.halted


def test_the_same_seed_gives_the_same_journal(journal_file: Path) -> None:
    journals = []
    for name in ("a", "b"):
        with rehearse(journal_file.with_name(name), 60, seed=4, kill_share=0.02) as rehearsal:
            journals.append(list(rehearsal.journal.events()))
    assert journals[0] == journals[1]


def test_a_storm_that_no_order_leaves_any_more_ends_with_the_reason(journal_file: Path) -> None:
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.dealer.halt("the disk is full")
        with pytest.raises(AssertionError, match="no order reaches the venue: the disk is full"):
            rehearsal.trade_up_to(10)


def test_a_blackout_ends_with_everything_known(journal_file: Path) -> None:
    """X2: nothing answers for a minute, after orders have left."""
    with Rehearsal(journal_file, seed=3) as rehearsal:
        rehearsal.trade(20)
        rehearsal.gateway.plan = FaultPlan(seed=3, per_mille=1_000)
        sent_before = sum(len(order.attempts) for order in rehearsal.book.orders.values())
        rehearsal.trade(120)
        assert rehearsal.book.degraded
        assert sum(len(order.attempts) for order in rehearsal.book.orders.values()) <= sent_before + 4
        rehearsal.settle()
        assert [bool(reason) for _, reason in rehearsal.book.episodes] == [True, False]
        assert rehearsal.violations() == []


@pytest.mark.parametrize("fault", SUBMIT_FAULTS)
def test_every_fault_of_an_order_ends_in_one_execution(fault: SubmitFault, journal_file: Path) -> None:
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        rehearsal.dealer.machine.instruments.update(rehearsal.engine.instruments)
        rehearsal.gateway.plan = FaultPlan(scripted={len(rehearsal.gateway.requests) + 1: fault})
        key = rehearsal.dealer.ask(rehearsal.intent())
        rehearsal.pulse()
        assert rehearsal.gateway.requests[-1].fault == fault
        rehearsal.pulse(60)
        assert rehearsal.book.orders[key].phase is Phase.FILLED
        assert rehearsal.violations() == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_ten_thousand_orders(seed: int, journal_file: Path) -> None:
    with rehearse(journal_file, 10_000, seed) as rehearsal:
        assert rehearsal.violations() == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_ten_thousand_orders_and_kills(seed: int, journal_file: Path) -> None:
    with rehearse(journal_file, 2_000, seed, kill_share=0.01) as rehearsal:
        assert rehearsal.violations() == []
