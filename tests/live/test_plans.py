"""Plans step by step: what is witnessed decides, and a resting stop is never sold past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.gateways.faults import FaultPlan
from itb.live.gateways.port import OrderRequest, Rejected
from itb.live.orders.bracket import TRIES, Bracket
from itb.live.orders.limits import Limits
from itb.live.orders.plans import Worked
from itb.live.orders.state import Phase
from itb.live.orders.working import Slicing
from itb.market.costs import Costs
from tests.live.rehearsal import BTC, OPENING, Rehearsal


@pytest.fixture
def rehearsal(journal_file: Path) -> Iterator[Rehearsal]:
    with Rehearsal(journal_file, costs=Costs(fee_currency="base"), limits=Limits()) as rehearsal:
        rehearsal.pulse()
        yield rehearsal


def bracket(rehearsal: Rehearsal, **fields: Any) -> str:
    entry = rehearsal.intent("market", "buy", "0.01")
    plan = Bracket("main", entry, Decimal("19500.00"), Decimal("20500.00"))
    return rehearsal.dealer.plan(replace(plan, **fields))


def phases(rehearsal: Rehearsal, plan: str) -> dict[str, list[Phase]]:
    return {role: [order.phase for order in orders] for role, orders in rehearsal.book.legs_of(plan).items()}


def test_a_stop_rests_for_what_the_entry_brought_less_the_fee(rehearsal: Rehearsal) -> None:
    plan = bracket(rehearsal)
    rehearsal.pulse(4)
    (stop,) = rehearsal.book.legs_of(plan)["stop"]
    assert stop.phase is Phase.OPEN
    assert stop.intent.qty == Decimal("0.00999")  # 0.01 less 10 bps, on the step
    assert rehearsal.engine.locked("BTC") == Decimal("0.00999")


def test_a_target_cancels_the_stop_and_sells_what_is_left(rehearsal: Rehearsal) -> None:
    plan = bracket(rehearsal)
    rehearsal.pulse(4)
    rehearsal.engine.quote("BTC/USDT", Decimal("20600.00"))
    rehearsal.dealer.touch("BTC/USDT", Decimal("20600.00"))
    rehearsal.pulse(6)
    assert phases(rehearsal, plan) == {"entry": [Phase.FILLED], "stop": [Phase.CANCELED], "exit": [Phase.FILLED]}
    assert rehearsal.engine.totals["BTC"] == OPENING["BTC"]  # 0.01 bought, 0.00001 fee, 0.00999 sold
    assert rehearsal.violations() == []


def test_a_stop_that_fills_while_it_is_cancelled_is_not_sold_a_second_time(rehearsal: Rehearsal) -> None:
    plan = bracket(rehearsal)
    rehearsal.pulse(4)
    stop = rehearsal.book.legs_of(plan)["stop"][0]
    rehearsal.dealer.close(plan, "signal")
    rehearsal.engine.fill(stop.order_id, stop.intent.qty, Decimal(19490))
    rehearsal.pulse(6)
    assert phases(rehearsal, plan) == {"entry": [Phase.FILLED], "stop": [Phase.FILLED]}
    assert rehearsal.violations() == []


def test_nothing_is_sold_while_the_cancel_is_unknown(rehearsal: Rehearsal) -> None:
    plan = bracket(rehearsal)
    rehearsal.pulse(4)
    rehearsal.dealer.close(plan, "signal")
    rehearsal.gateway.plan = FaultPlan(per_mille=1_000, kinds=("timeout_after", "no_answer"))
    rehearsal.pulse(30)
    assert "exit" not in phases(rehearsal, plan)
    rehearsal.gateway.heal()
    rehearsal.pulse(60)
    assert phases(rehearsal, plan)["exit"] == [Phase.FILLED]
    assert rehearsal.violations() == []


def test_a_plan_goes_on_after_a_new_life(rehearsal: Rehearsal) -> None:
    plan = bracket(rehearsal)
    for _ in range(12):
        rehearsal.pulse()
        rehearsal.die()
        rehearsal.live()
        if phases(rehearsal, plan).get("stop") == [Phase.OPEN]:
            rehearsal.dealer.close(plan, "signal")
    assert phases(rehearsal, plan) == {"entry": [Phase.FILLED], "stop": [Phase.CANCELED], "exit": [Phase.FILLED]}
    assert rehearsal.violations() == []


def test_a_worked_limit_cancels_and_sends_the_rest_at_the_new_price(rehearsal: Rehearsal) -> None:
    intent = rehearsal.intent("limit", "buy", "0.03", price=Decimal("19900.00"))
    plan = rehearsal.dealer.plan(Worked("worked", intent))
    rehearsal.pulse(2)
    first = rehearsal.book.legs_of(plan)["part"][0]
    rehearsal.engine.fill(first.order_id, Decimal("0.01"), Decimal("19900.00"))
    rehearsal.dealer.reprice(plan, Decimal("20010.00"), leg="entry")
    rehearsal.pulse(8)
    first, second = rehearsal.book.legs_of(plan)["part"]
    assert (first.phase, first.filled) == (Phase.CANCELED, Decimal("0.01"))
    assert (second.phase, second.filled) == (Phase.FILLED, Decimal("0.02"))
    assert plan not in rehearsal.book.open_plans
    assert rehearsal.violations() == []


def is_clean(rehearsal: Rehearsal, plan: str) -> bool:
    """Close the position and compare everything with the venue's truth."""
    rehearsal.dealer.close(plan, "over")
    rehearsal.pulse(30)
    return rehearsal.violations() == [] and plan not in rehearsal.book.open_plans


def resting_bracket(rehearsal: Rehearsal) -> str:
    entry = rehearsal.intent("limit", "buy", "0.03", price=Decimal("19900.00"))
    return rehearsal.dealer.plan(Bracket("main", entry, stop_loss=0.02))


def test_an_entry_that_follows_prices_is_protected_by_the_average_of_what_it_brought(rehearsal: Rehearsal) -> None:
    plan = resting_bracket(rehearsal)
    rehearsal.pulse(2)
    (first,) = rehearsal.book.legs_of(plan)["entry"]
    rehearsal.engine.fill(first.order_id, Decimal("0.01"), Decimal("19900.00"))
    rehearsal.pulse(3)
    assert rehearsal.book.legs_of(plan)["stop"][-1].intent.qty == Decimal("0.00999")  # a part is protected, too
    rehearsal.dealer.reprice(plan, Decimal("20080.00"), leg="entry")
    rehearsal.pulse(12)
    first, second = rehearsal.book.legs_of(plan)["entry"]
    assert (first.filled, second.filled) == (Decimal("0.01"), Decimal("0.02"))
    stop = rehearsal.book.legs_of(plan)["stop"][-1]
    average = (Decimal("0.01") * 19900 + second.fills[0].price * Decimal("0.02")) / Decimal("0.03")
    assert stop.phase is Phase.OPEN
    assert stop.intent.qty == Decimal("0.02997")
    assert stop.intent.stop_price == BTC.quantise_price(average * Decimal("0.98"), is_buy=False)
    assert is_clean(rehearsal, plan)


def test_an_entry_whose_time_is_over_takes_the_market_for_what_is_left(rehearsal: Rehearsal) -> None:
    plan = resting_bracket(rehearsal)
    rehearsal.pulse(2)
    rehearsal.dealer.reprice(plan, Decimal(0), leg="entry")
    rehearsal.pulse(8)
    limit, market = rehearsal.book.legs_of(plan)["entry"]
    assert (limit.phase, market.phase) == (Phase.CANCELED, Phase.FILLED)
    assert (market.intent.kind, market.filled) == ("market", Decimal("0.03"))
    assert is_clean(rehearsal, plan)


def test_an_entry_that_is_dropped_keeps_and_protects_what_it_brought(rehearsal: Rehearsal) -> None:
    plan = resting_bracket(rehearsal)
    rehearsal.pulse(2)
    (order,) = rehearsal.book.legs_of(plan)["entry"]
    rehearsal.engine.fill(order.order_id, Decimal("0.01"), Decimal("19900.00"))
    rehearsal.dealer.drop(plan, "entry")
    rehearsal.pulse(8)
    assert phases(rehearsal, plan) == {"entry": [Phase.CANCELED], "stop": [Phase.OPEN]}
    other = resting_bracket(rehearsal)
    rehearsal.pulse(2)
    rehearsal.dealer.drop(other, "entry")
    rehearsal.pulse(4)
    assert other not in rehearsal.book.open_plans


def test_a_new_price_for_an_entry_that_fills_meanwhile_buys_nothing_twice(rehearsal: Rehearsal) -> None:
    plan = resting_bracket(rehearsal)
    rehearsal.pulse(2)
    (order,) = rehearsal.book.legs_of(plan)["entry"]
    rehearsal.dealer.reprice(plan, Decimal("19950.00"), leg="entry")
    rehearsal.engine.fill(order.order_id, Decimal("0.03"), Decimal("19900.00"))
    rehearsal.pulse(8)
    assert phases(rehearsal, plan) == {"entry": [Phase.FILLED], "stop": [Phase.OPEN]}
    assert is_clean(rehearsal, plan)


def test_a_new_price_before_the_order_was_sent_is_taken(rehearsal: Rehearsal) -> None:
    now = rehearsal.clock.now
    rehearsal.shut.append((now, now + 4_000))
    plan = resting_bracket(rehearsal)
    rehearsal.pulse(2)
    rehearsal.dealer.reprice(plan, Decimal("19950.00"), leg="entry")
    rehearsal.pulse(8)
    assert [order.phase for order in rehearsal.book.legs_of(plan)["entry"]] == [Phase.REFUSED, Phase.OPEN]
    assert rehearsal.book.legs_of(plan)["entry"][-1].intent.price == Decimal("19950.00")
    assert is_clean(rehearsal, plan)


def test_no_new_price_is_sent_while_the_fate_of_the_old_order_is_unknown(rehearsal: Rehearsal) -> None:
    plan = resting_bracket(rehearsal)
    rehearsal.pulse(2)
    rehearsal.gateway.plan = FaultPlan(per_mille=1_000, kinds=("timeout_after", "no_answer"))
    rehearsal.dealer.reprice(plan, Decimal("20080.00"), leg="entry")
    rehearsal.pulse(30)
    assert len(rehearsal.book.legs_of(plan)["entry"]) == 1
    rehearsal.gateway.heal()
    rehearsal.pulse(60)
    assert phases(rehearsal, plan)["entry"] == [Phase.CANCELED, Phase.FILLED]
    assert is_clean(rehearsal, plan)


# ---- large orders in parts


def test_parts_go_one_after_the_other(rehearsal: Rehearsal) -> None:
    plan = rehearsal.dealer.plan(Worked("large", rehearsal.intent(qty="0.03"), Slicing(Decimal(200), most=5)))
    rehearsal.pulse(12)
    assert [order.filled for order in rehearsal.book.legs_of(plan)["part"]] == [Decimal("0.01")] * 3
    assert rehearsal.violations() == []


def test_a_large_position_is_entered_and_left_in_parts(rehearsal: Rehearsal) -> None:
    plan = bracket(rehearsal, entry=rehearsal.intent(qty="0.03"), slicing=Slicing(Decimal(200)))
    rehearsal.pulse(16)
    legs = rehearsal.book.legs_of(plan)
    assert [order.filled for order in legs["entry"]] == [Decimal("0.01")] * 3
    assert legs["stop"][-1].intent.qty == Decimal("0.02997")
    rehearsal.dealer.close(plan, "signal")
    rehearsal.pulse(16)
    exits = rehearsal.book.legs_of(plan)["exit"]
    assert [order.filled for order in exits] == [Decimal("0.00999")] * 3
    assert plan not in rehearsal.book.open_plans
    assert rehearsal.engine.totals["BTC"] == OPENING["BTC"]
    assert rehearsal.violations() == []


def test_parts_are_spaced_and_go_on_after_a_new_life(rehearsal: Rehearsal) -> None:
    slicing = Slicing(Decimal(200), spacing_ms=5_000)
    plan = rehearsal.dealer.plan(Worked("large", rehearsal.intent(qty="0.03"), slicing))
    for _ in range(20):
        rehearsal.pulse()
        rehearsal.die()
        rehearsal.live()
    fills = [order.fills[0].time for order in rehearsal.book.legs_of(plan)["part"]]
    assert len(fills) == 3
    assert min(later - earlier for earlier, later in pairwise(fills)) >= 5_000
    assert rehearsal.violations() == []


@given(
    qty=st.decimals("0.001", "100", places=5), price=st.decimals(1, 100_000, places=2),
    notional=st.decimals(10, 10_000, places=0), most=st.integers(1, 30), jitter=st.sampled_from((0.0, 0.3, 0.9)),
)  # fmt: skip
def test_parts_add_up_and_none_is_refused(
    qty: Decimal, price: Decimal, notional: Decimal, most: int, jitter: float
) -> None:
    slicing, whole = Slicing(notional, most=most, jitter=jitter), BTC.quantise(qty)
    left, parts = whole, []
    while left:
        parts.append(slicing.part(whole, left, price, BTC, "order"))
        left -= parts[-1]
    assert sum(parts) == whole
    if len(parts) > 1:
        assert [BTC.refusal(part, price) for part in parts] == [None] * len(parts)
    if not jitter:
        assert len(parts) <= most + 1  # what rounding left over may follow by itself
        if len(parts) > 1 and len(parts) < most:
            assert max(parts) * price <= notional + max(BTC.step * price, 2 * Decimal(5))
    assert [slicing.part(whole, whole, price, BTC, "order") for _ in range(2)] == [parts[0]] * 2 if parts else True


def test_limits_refuse_halt_and_let_positions_be_reduced(journal_file: Path) -> None:
    limits = Limits(max_order_notional=Decimal(500), max_orders_per_minute=3, max_daily_loss=Decimal("0.05"))
    with Rehearsal(journal_file, limits=limits) as rehearsal:
        dealer = rehearsal.dealer
        large, short = dealer.ask(rehearsal.intent(qty="0.1")), dealer.ask(rehearsal.intent(side="sell"))
        small = dealer.ask(rehearsal.intent(qty="0.02"))
        rehearsal.pulse(4)
        orders = rehearsal.book.orders
        assert "above limits.max_order_notional" in orders[large].reason
        assert "short positions are off" in orders[short].reason
        assert orders[small].phase is Phase.FILLED
        dealer.value(Decimal(1_000))
        dealer.value(Decimal(949))
        rehearsal.pulse()
        assert "limits.max_daily_loss is 5.00 %" in rehearsal.book.halted
        more, less = dealer.ask(rehearsal.intent()), dealer.ask(rehearsal.intent(side="sell"))
        rehearsal.pulse(3)
        assert "trading is halted" in orders[more].reason
        assert orders[less].phase is Phase.FILLED
        waiting = [dealer.ask(rehearsal.intent(side="sell", qty="0.001")) for _ in range(4)]
        rehearsal.pulse(6)
        assert sum(orders[key].phase is Phase.WAITING for key in waiting) == 3
        rehearsal.pulse(1, 61_000)
        rehearsal.pulse(8)
        assert [orders[key].phase for key in waiting][:2] == [Phase.FILLED] * 2


def test_a_plan_that_gave_up_is_closed_when_a_person_asks_again(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_request: OrderRequest) -> Rejected:
        return Rejected("not now")

    plan = bracket(rehearsal)
    rehearsal.pulse(4)
    monkeypatch.setattr(rehearsal.gateway, "submit", refuse)
    rehearsal.dealer.close(plan, "signal")
    rehearsal.pulse(30)
    assert phases(rehearsal, plan)["exit"] == [Phase.REJECTED] * TRIES
    assert "exits were refused" in rehearsal.book.halted
    monkeypatch.undo()
    rehearsal.dealer.close(plan, "signal")  # a strategy that asks at every bar does not make it go on
    rehearsal.die()
    rehearsal.live()
    rehearsal.pulse(10)
    assert phases(rehearsal, plan)["exit"] == [Phase.REJECTED] * TRIES
    rehearsal.dealer.close_again(plan, "closed by a person")
    rehearsal.die()
    rehearsal.live()
    rehearsal.pulse(10)
    assert phases(rehearsal, plan)["exit"] == [*[Phase.REJECTED] * TRIES, Phase.FILLED]
    assert rehearsal.book.positions["random", "BTC/USDT"] == 0
    assert rehearsal.violations() == []
