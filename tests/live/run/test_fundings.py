"""What an account's exchange booked for funding is held against its own rate, its mark price and the position."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from itb.live.dealer import Dealer
from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.journal.store import Journal
from itb.live.lookout import Pace
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.run.account import Account
from itb.live.run.event_log import EventLog
from itb.live.run.fundings import LATE_MS, FundingWatch
from itb.live.run.health import HealthBoard
from itb.live.run.rates import RateWatch
from tests.live.conftest import journal_file
from tests.live.gateways.perpetual_venue import PerpetualVenue
from tests.live.gateways.test_ccxt_perpetuals import PERP, on_venue

__all__ = ["journal_file"]
HOUR = 3_600_000
START = 472_224 * HOUR - 60_000  # a minute before a settlement


class Perpetuals(PerpetualVenue):
    """Settles at the full hour, at its mark price, and can be wrong or late about what it books."""

    def __init__(self) -> None:
        super().__init__("1000")
        self.now = START
        past = [(START + 60_000 - 8 * HOUR * back, "0") for back in (3, 2, 1)]
        self.rates = [self._rate(time, rate) for time, rate in past]
        self.gone: list[dict[str, Any]] = []

    def _rate(self, time: int, rate: str) -> dict[str, Any]:
        return {"symbol": "BTCUSDT", "fundingTime": time + 5, "fundingRate": rate, "markPrice": f"{self.price:f}"}

    def settle(self, rate: str, *, booked: str = "", mark: str = "") -> None:
        """Let the next settlement come; ``booked`` is the rate that is really taken, ``"never"`` for none."""
        self.now = (self.now // (8 * HOUR) + 1) * 8 * HOUR
        self.rates.append(self._rate(self.now, rate) | ({"markPrice": mark} if mark else {}))
        if booked != "never":
            self.fund(booked or rate)
        self.now += 2_000


@dataclass
class Scene:
    """One life of the part of a bot that books funding on an account."""

    venue: Perpetuals
    gateway: CcxtPerpetuals
    file: Path
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.journal = Journal(self.file / "journal.db")
        machine = Machine(Limits(allow_short=True), window_ms=self.gateway.window_ms)
        self.dealer = Dealer(
            self.gateway, self.journal, owner="test", clock=lambda: self.venue.now, machine=machine,
            pace=Pace(idle_ms=1_000),
        )  # fmt: skip
        self.log = EventLog(self.file / "events.jsonl", lambda: self.venue.now)
        board = HealthBoard(
            lambda: 0, lambda change: self.told.append(("over: " if change.is_over else "") + change.trouble.text)
        )
        clock = lambda: self.venue.now  # noqa: E731  (three parts share it)
        self.watch = FundingWatch(Account("main", self.dealer), self.gateway.published, self.log, board, clock)

        async def hear(symbol: str, *_told: object) -> None:
            self.watch.judge(symbol)

        self.rates = RateWatch(self.gateway, self.gateway.published, PERP, clock, board, hear)

    async def pulse(self, times: int = 3) -> None:
        for _ in range(times):
            self.venue.now += 1_500
            await self.dealer.pulse()

    async def trade(self, number: int, side: str, qty: str) -> None:
        await self.pulse()
        intent = Intent("one", PERP, number, side, "market", Decimal(qty), reference_price=self.venue.price)  # type: ignore[arg-type]
        self.dealer.ask(intent)
        await self.pulse(5)

    async def overpay(self) -> None:
        """Hold two, and be charged three times what the rate makes."""
        await self.trade(1, "buy", "2")
        self.venue.settle("0.0001", booked="0.0003")
        await self.look()

    async def look(self) -> None:
        await self.pulse()
        await self.rates.look(START)

    def events(self) -> list[dict[str, Any]]:
        self.log.close()
        self.journal.close()
        lines = (self.file / "events.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == "FUNDING"]


@pytest.fixture
def folder(journal_file: Path) -> Path:
    """Where a bot's files are, in memory."""
    return journal_file.parent


def test_what_is_booked_by_rate_and_mark_price_is_as_expected(folder: Path) -> None:
    venue = Perpetuals()

    async def scene(gateway: CcxtPerpetuals) -> tuple[list[str], list[dict[str, Any]]]:
        one = Scene(venue, gateway, folder)
        await one.trade(1, "sell", "2.5")
        for rate, price in (("0.0001", "101.3"), ("-0.00037", "99.1"), ("0", "100")):
            venue.move(price)
            venue.settle(rate)
            await one.look()
        return one.told, one.events()

    told, events = on_venue(venue, scene)
    assert told == []
    assert [(event["what"], event["amount"]) for event in events] == [
        ("booked", "0.025325"), ("booked", "-0.0916675"), ("booked", "0"),
    ]  # fmt: skip
    assert {event["held"] for event in events} == {"-2.5"}


def test_a_payment_that_is_not_as_expected_is_told_until_one_agrees(folder: Path) -> None:
    venue = Perpetuals()

    async def scene(gateway: CcxtPerpetuals) -> tuple[list[str], list[dict[str, Any]]]:
        one = Scene(venue, gateway, folder)
        await one.overpay()
        venue.settle("0.0002")
        await one.look()
        return one.told, one.events()

    told, events = on_venue(venue, scene)
    text = (
        f"{PERP}: the settlement of 2023-11-15 00:00 UTC booked -0.06; 2 at its rate 0.0001 and mark price 100 make "
        "-0.02: look at the account's history"
    )
    assert told == [text, f"over: {text}"]
    (odd,) = [event for event in events if event["what"] == "differs"]
    assert (odd["amount"], odd["expected"], odd["held"]) == ("-0.06", "-0.0200", "2")


def test_a_payment_that_never_comes_is_told_after_ten_minutes_and_none_where_nothing_was_held(folder: Path) -> None:
    venue = Perpetuals()

    async def scene(gateway: CcxtPerpetuals) -> list[str]:
        one = Scene(venue, gateway, folder)
        await one.look()
        venue.settle("0.0001", booked="never")  # nothing is held
        await one.look()
        await one.trade(1, "buy", "2")
        venue.settle("0.0001", booked="never")
        await one.look()
        assert one.told == []
        venue.now += LATE_MS
        await one.look()
        one.events()
        return one.told

    (told,) = on_venue(venue, scene)
    assert told.startswith(f"{PERP}: the settlement of 2023-11-15 08:00 UTC booked nothing; 2 at its rate 0.0001")


def test_a_new_life_goes_on_after_the_last_payment_that_was_booked(folder: Path) -> None:
    venue = Perpetuals()

    async def scene(gateway: CcxtPerpetuals) -> tuple[list[str], list[dict[str, Any]]]:
        one = Scene(venue, gateway, folder)
        await one.overpay()
        before = len(one.events())
        venue.settle("0.0002", booked="0.0005")  # while nobody is there
        gateway.published = type(gateway.published)()
        one = Scene(venue, gateway, folder)
        await one.look()
        return one.told, one.events()[before:]

    told, events = on_venue(venue, scene)
    assert [event["what"] for event in events] == ["booked", "differs"]
    assert len(told) == 1
    assert "2023-11-15 08:00 UTC booked -0.1; 2 at its rate 0.0002" in told[0]
