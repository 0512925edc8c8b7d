"""A close that a person asks for reaches every plan of a position, whether its orders are at work or not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from itb.live.desk import Desk
from itb.live.journal.store import Journal
from itb.live.orders.bracket import Bracket
from itb.live.orders.intent import Intent
from itb.live.orders.machine import Machine
from itb.live.run.health import HealthBoard
from itb.live.run.pilot import Pilot

ENTRY = Intent("main", "BTC/USDT", 0, "buy", "market", Decimal(1), reference_price=Decimal(100))


def test_an_entry_that_waits_for_its_venue_is_not_sent_after_a_close(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        desk = Desk(journal, Machine(), owner="bot", clock=lambda: 5)
        plan = desk.plan(Bracket("p1", ENTRY, stop_loss=0.1, covers_all=True))
        lane = SimpleNamespace(name="main", symbols=("BTC/USDT",))
        account: Any = SimpleNamespace(dealer=desk, lanes=[lane], wake=lambda: None)
        engine: Any = SimpleNamespace(accounts=[account], windows={})
        pilot = Pilot("bot", "live", engine, HealthBoard(lambda: 5), lambda: 5, lambda _cancel: None)
        assert pilot.close("somebody") == "main: closing BTC/USDT"
        assert desk.book.plan_states[plan].exit_reason == "closed by somebody"
        assert pilot.close("somebody") == "main: closing BTC/USDT"
        assert len([event for event in journal.events() if type(event).__name__ == "ExitWanted"]) == 1
