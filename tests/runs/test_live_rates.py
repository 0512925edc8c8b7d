"""A bot on perpetuals hears what its exchange settles, keeps it, and books what an earlier life was owed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from itb.config import load_config
from itb.datafeeds.settlements import SettlementStore
from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.journal.store import Journal
from itb.live.orders.events import Funded
from itb.live.orders.intent import Intent
from itb.live.paper import live_bar
from itb.live.run.account import Account
from itb.live.run.event_log import EventLog
from itb.live.run.health import HealthBoard
from itb.runs.live_rates import follow_market
from itb.runs.workspace import Workspace
from tests.live.conftest import journal_file
from tests.live.gateways.perpetual_venue import PerpetualVenue
from tests.live.gateways.test_ccxt_perpetuals import PERP, on_venue
from tests.live.gateways.test_perpetual_paper import HOUR, START, bar, new_life, opens

__all__ = ["journal_file"]


def settled(*hours: int) -> list[dict[str, Any]]:
    return [
        {"symbol": "BTCUSDT", "fundingTime": START + hour * HOUR + 3, "fundingRate": "0.001", "markPrice": "101.5"}
        for hour in hours
    ]


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(90):
        while True:
            await asyncio.sleep(0.01)
            if is_so():
                return


def test_what_an_earlier_life_was_owed_is_booked_and_what_was_heard_is_kept(tmp_path: Path, journal_file: Path) -> None:
    venue = PerpetualVenue("0")
    settings = ["data.exchange=binance", f"data.symbols=['{PERP}']", f"runs.root={tmp_path / 'runs'}"]
    workspace = Workspace(load_config(None, settings, folder=tmp_path, environ={}))
    store, told = SettlementStore(workspace.store), list[str]()
    board = HealthBoard(lambda: 0, lambda change: told.append(change.trouble.text))

    async def first_life(gateway: CcxtPerpetuals) -> None:
        with Journal(journal_file) as journal:
            dealer, paper = new_life(journal, gateway)
            paper.engine.quote(PERP, opens(0))
            for place in range(1, 10):
                await live_bar(dealer, paper, {PERP: bar(place)})
                intent = Intent("one", PERP, START, "buy", "market", Decimal(3), reference_price=opens(0))
                dealer.ask(intent)
                await dealer.settle()
            assert START + 8 * HOUR in {owed.due.opened for owed in dealer.book.owed.values()}

    async def second_life(gateway: CcxtPerpetuals) -> list[Funded]:
        with Journal(journal_file) as journal:
            dealer, paper = new_life(journal, gateway)
            engine: Any = SimpleNamespace(
                windows={PERP: None}, accounts=(Account("main", dealer, paper),), board=board, marks={}
            )
            log = EventLog(tmp_path / "events.jsonl", lambda: venue.now)
            tasks = follow_market(workspace, gateway, engine, log, lambda: venue.now)
            await until(lambda: engine.marks and not dealer.book.owed)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            log.close()
            assert engine.marks == {PERP: 100.0}
            return [event for event in journal.events() if isinstance(event, Funded)]

    venue.now = START + 10 * HOUR
    on_venue(venue, first_life)
    venue.rates = settled(-16, -8, 0, 8)
    (paid,) = on_venue(venue, second_life)
    assert (paid.payment.time, paid.payment.price) == (START + 8 * HOUR, opens(8))
    assert paid.payment.amount == -3 * opens(8) * Decimal("0.001")
    kept = store.read("binance", PERP)
    assert kept.times.tolist() == [START + hour * HOUR for hour in (-16, -8, 0, 8)]
    assert kept.columns["mark_price"].tolist() == [101.5] * 4
    assert told == []

    venue.rates = []  # an exchange that knows nothing any more

    async def third_life(gateway: CcxtPerpetuals) -> Decimal | None:
        assert await second_life(gateway) == [paid]
        return gateway.published.due(PERP, START + 8 * HOUR - 1, START + 8 * HOUR)

    assert on_venue(venue, third_life) == Decimal("0.001")

    (file,) = tmp_path.rglob("funding.parquet")
    file.write_bytes(b"no file of settlements")
    assert on_venue(venue, second_life) == [paid]
    (damaged,) = told
    assert "funding.parquet: cannot be read" in damaged
