"""The event log of an account: what a strategy wants and what becomes of its orders, never those of earlier lives."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from itb.live.orders.bracket import Bracket
from itb.live.run.chronicle import Chronicle
from itb.live.run.event_log import EventLog, read_events
from tests.live.rehearsal import Rehearsal


def told(folder: Path, act: Any) -> list[dict[str, Any]]:
    """Give the events of what is done to a dealer."""
    with Rehearsal(folder / "journal.db") as rehearsal:
        rehearsal.dealer.ask(rehearsal.intent(qty="0.01", reason="an earlier one"))
        log = EventLog(folder / "events.jsonl", rehearsal.clock)
        account: Any = SimpleNamespace(name="main", dealer=rehearsal.dealer)
        Chronicle(log).follow(account)
        act(rehearsal)
        log.close()
    return read_events(folder / "events.jsonl")


def test_a_plan_is_one_signal_to_enter_and_one_to_leave(tmp_path: Path) -> None:
    def act(rehearsal: Rehearsal) -> None:
        plan = rehearsal.dealer.plan(Bracket("b", rehearsal.intent(qty="0.02"), stop_price=Decimal(19000)))
        rehearsal.pulse(6)
        rehearsal.dealer.close(plan, "score")
        rehearsal.pulse(12)

    events = told(tmp_path, act)
    signals = [(one["side"], one["strategy"], one["reason"]) for one in events if one["event"] == "SIGNAL"]
    assert signals == [("buy", "random", "signal"), ("sell", "random", "score")]
    orders = [one for one in events if one["event"] == "ORDER"]
    steps = [one["step"] for one in orders if one.get("key", "").split("|")[3:4] == ["b/entry"]]
    assert steps[:3] == ["asked", "sending", "answered"]
    assert all(one["qty"] == "0.02" for one in orders if "b/entry" in one.get("key", ""))


def test_an_order_of_its_own_is_a_signal_and_earlier_lives_are_not_told_again(tmp_path: Path) -> None:
    def act(rehearsal: Rehearsal) -> None:
        rehearsal.dealer.ask(rehearsal.intent(side="sell", qty="0.03", reason="time"))

    events = told(tmp_path, act)
    assert [(one["event"], one["side"], one["reason"]) for one in events] == [
        ("SIGNAL", "sell", "time"), ("ORDER", "sell", "time"),
    ]  # fmt: skip
