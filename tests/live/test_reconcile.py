"""Journal against venue: foreign orders, unexplained money, and what balances can deny."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from itb.live.gateways.faults import FaultPlan
from itb.live.gateways.port import Balance, OrderRequest
from itb.live.invariants import bars_seen_once, no_secret
from itb.live.orders.events import Adjusted
from itb.live.orders.ids import client_id
from itb.live.orders.state import Phase
from itb.live.reconcile import denies, drift
from tests.live.rehearsal import Rehearsal


def test_a_deposit_halts_and_a_person_resumes(journal_file: Path) -> None:
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        rehearsal.engine.totals["BTC"] += 2
        rehearsal.pulse(3, 61_000)
        assert rehearsal.book.halted.startswith("the account holds BTC +2")
        rehearsal.dealer.resume()
        assert not rehearsal.book.halted


def test_what_a_venue_of_eight_decimals_rounds_off_is_no_drift(journal_file: Path) -> None:
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        rehearsal.engine.quote("BTC/USDT", Decimal("20000.00000123"))
        rehearsal.dealer.ask(rehearsal.intent(qty="0.00123"))  # worth 13 decimals
        rehearsal.pulse(3)
        rehearsal.engine.totals["USDT"] += Decimal("0.9e-8")
        rehearsal.pulse(3, 61_000)
        assert not rehearsal.book.halted
        rehearsal.engine.totals["USDT"] += Decimal("0.2e-8")
        rehearsal.pulse(3, 61_000)
        assert rehearsal.book.halted.startswith("the account holds USDT +0.000000011")


def test_a_deposit_is_adopted_where_the_policy_says_so(journal_file: Path) -> None:
    with Rehearsal(journal_file, drift_policy="adopt") as rehearsal:
        rehearsal.pulse()
        rehearsal.engine.totals["BTC"] += 2
        rehearsal.pulse(5, 61_000)
        assert not rehearsal.book.halted
        adopted = [event for event in rehearsal.journal.events() if isinstance(event, Adjusted)]
        assert [(event.currency, event.amount) for event in adopted] == [("BTC", Decimal(2))]
        assert drift(rehearsal.book, rehearsal.engine.balances()) == {}


def test_an_order_of_our_name_in_no_journal_halts_and_is_left_alone(journal_file: Path) -> None:
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        name = client_id("test", "from a lost journal", 1)
        price = Decimal("15000.00")
        rehearsal.engine.submit(
            OrderRequest(name, "BTC/USDT", "buy", "limit", Decimal("0.01"), price, None, rehearsal.engine.now)
        )
        rehearsal.pulse(1, 61_000)
        assert f"orders {name} bear this bot's name" in rehearsal.book.halted
        assert rehearsal.engine.find(name) is not None
        assert len(rehearsal.engine.open) == 1


def test_an_order_that_the_venue_denies_but_the_balance_shows_is_never_sent_again(journal_file: Path) -> None:
    """X4: an executed order that no lookup and no list shows; only the coins are there."""
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        rehearsal.dealer.machine.instruments.update(rehearsal.engine.instruments)
        rehearsal.gateway.plan = FaultPlan(scripted={len(rehearsal.gateway.requests) + 1: "timeout_after"})
        key = rehearsal.dealer.ask(rehearsal.intent())
        rehearsal.pulse()
        hidden = dict(rehearsal.engine.orders), dict(rehearsal.engine._by_client), list(rehearsal.engine.trades)
        rehearsal.engine.orders.clear()
        rehearsal.engine._by_client.clear()
        rehearsal.engine.trades.clear()
        rehearsal.pulse(60)
        assert rehearsal.book.orders[key].phase is Phase.UNKNOWN
        assert len(rehearsal.book.orders[key].attempts) == 1
        rehearsal.engine.orders.update(hidden[0])
        rehearsal.engine._by_client.update(hidden[1])
        rehearsal.engine.trades.extend(hidden[2])
        rehearsal.pulse(5)
        assert rehearsal.book.orders[key].phase is Phase.FILLED
        assert rehearsal.violations() == []


@pytest.mark.parametrize(("held", "expected"), [("0.5", True), ("0.51", False), ("0.505", False), ("0.6", True)])
def test_only_coins_that_the_order_may_have_moved_keep_it_in_doubt(
    held: str, expected: bool, journal_file: Path
) -> None:
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        rehearsal.shut.append((0, 2**62))
        order = rehearsal.book.orders[rehearsal.dealer.ask(rehearsal.intent(qty="0.01"))]
        balances = [b for b in rehearsal.engine.balances() if b.currency != "BTC"]
        assert denies(rehearsal.book, order, [*balances, Balance("BTC", Decimal(held))]) is expected


def test_bars_and_secrets() -> None:
    assert bars_seen_once([1, 2, 4], [1, 2, 3, 4], gaps=[3]) == []
    assert len(bars_seen_once([1, 1, 5], [1, 2])) == 3
    assert no_secret({"log": "key=canary"}, ["canary"]) == ["I9 a secret stands in log"]


def test_executions_that_are_told_late_are_waited_for_but_not_for_ever(
    journal_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is known as filled and the coins are there; only its executions lag behind."""
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        tell = rehearsal.dealer.tell
        with monkeypatch.context() as lagging:
            lagging.setattr(rehearsal.dealer, "tell", lambda *, orders=(), trades=(): tell(orders=orders))
            rehearsal.dealer.ask(rehearsal.intent())
            rehearsal.pulse(20, 1_000)
            assert [order.is_ended for order in rehearsal.book.unsettled()] == [True]
            assert rehearsal.book.halted == ""
        rehearsal.pulse(2, 1_000)
        assert not rehearsal.book.active
        rehearsal.pulse(3, 61_000)
        assert rehearsal.book.halted == ""
        monkeypatch.setattr(rehearsal.dealer, "tell", lambda *, orders=(), trades=(): tell(orders=orders))
        rehearsal.dealer.ask(rehearsal.intent())
        rehearsal.pulse(100, 1_000)
        assert rehearsal.book.halted.startswith("the account holds")
