"""Perpetuals through ccxt's binanceusdm: what is held, what is paid, what is reduced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from itb.errors import GatewayError
from itb.live.dealer import Dealer
from itb.live.gateways import ccxt_perpetuals
from itb.live.gateways.ccxt_line import Account, Line, line_to
from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals, gateway_on
from itb.live.gateways.ccxt_venues import traits_of
from itb.live.gateways.port import Accepted, OrderRequest, RateOutlook, Rejected, Settlement, Side
from itb.live.invariants import VenueTruth, money_explained
from itb.live.journal.store import Journal
from itb.live.lookout import Pace
from itb.live.orders.book import Book
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.orders.state import Phase
from tests.live.conftest import journal_file
from tests.live.gateways.perpetual_venue import PerpetualVenue

__all__ = ["journal_file"]
T = TypeVar("T")
PERP = "BTC/USDT:USDT"


def on_venue(venue: PerpetualVenue, act: Callable[[CcxtPerpetuals], Awaitable[T]]) -> T:
    """Do something through a gateway to the venue."""

    async def scene() -> T:
        runner, url = await venue.serve()
        try:
            async with line_to(
                traits_of("binance", (PERP,)), Account(key="perp-key-1", secret="perp-secret-1", timeout_s=60.0)
            ) as line:
                turn(line, url)
                gateway = gateway_on(line, lambda: venue.now)
                assert isinstance(gateway, CcxtPerpetuals)
                return await act(gateway)
        finally:
            await runner.cleanup()

    return asyncio.run(asyncio.wait_for(scene(), 120))


def turn(line: Line, url: str) -> None:
    line.client.enableRateLimit = False
    api: dict[str, Any] = line.client.urls["api"]
    api.update({name: url + urlsplit(old).path for name, old in api.items() if isinstance(old, str)})


def request(name: str, side: Side, qty: str, now: int, *, reduces: bool = False) -> OrderRequest:
    return OrderRequest(name, PERP, side, "market", Decimal(qty), sent_at=now, reduces=reduces)


def prepare(venue: PerpetualVenue, *, sets: bool = False, is_new: bool = True) -> None:
    on_venue(venue, lambda gateway: gateway.prepare([PERP], sets=sets, is_new=is_new))


def test_the_account_is_prepared_and_read() -> None:
    venue = PerpetualVenue("1000")

    async def look(gateway: CcxtPerpetuals) -> Any:
        await gateway.prepare([PERP], sets=True, is_new=True)
        return await gateway.instrument(PERP), await gateway.balances()

    instrument, balances = on_venue(venue, look)
    assert (instrument.tick, instrument.step, instrument.min_notional) == (Decimal("0.1"), Decimal("0.001"), Decimal(5))
    assert [(one.currency, one.total) for one in balances] == [("USDT", Decimal(1000))]
    assert (venue.leverage, venue.margin, venue.is_dual) == (1, "ISOLATED", False)


def test_what_is_wrong_with_an_account_is_told_and_nothing_is_set_unless_asked() -> None:
    venue = PerpetualVenue("1000")
    venue.is_dual = True
    with pytest.raises(GatewayError) as told:
        prepare(venue)
    assert str(told.value) == (
        f"binanceusdm: expected one-way positions, isolated margin of {PERP}, a leverage of 1 of {PERP}; set it there, "
        "or let itb do so: live.set_margin = true"
    )
    assert not any(path.startswith("POST") for path, _ in venue.asked)
    prepare(venue, sets=True)
    venue.asked.clear()
    prepare(venue)
    assert not any(path.startswith("POST") for path, _ in venue.asked)


def test_an_account_that_cannot_be_made_right_is_refused() -> None:
    venue = PerpetualVenue("1000")
    venue.qty, venue.entry = Decimal(1), Decimal(100)
    with pytest.raises(GatewayError, match=r"isolated margin .* cannot be set \(-4048 .*close open positions"):
        prepare(venue, sets=True, is_new=False)
    shared = PerpetualVenue("1000")
    shared.is_shared = True
    with pytest.raises(GatewayError, match="switch multi-assets mode off"):
        prepare(shared, sets=True)


def test_a_new_bot_keeps_away_from_a_position_that_is_not_its_own() -> None:
    venue = PerpetualVenue("1000")
    prepare(venue, sets=True)
    venue.qty, venue.entry = Decimal(-2), Decimal(100)
    with pytest.raises(GatewayError, match=f"{PERP}: the account holds -2 that this bot did not trade"):
        prepare(venue)
    prepare(venue, is_new=False)


def test_settlements_are_told_with_rate_and_mark_price(monkeypatch: pytest.MonkeyPatch) -> None:
    venue = PerpetualVenue("1000")
    eight, start = 8 * 3_600_000, 1_700_006_400_000
    told = [(0, "0.0001", "99.5"), (1, "-0.0002", "100.25"), (2, "0.0003", "")]
    venue.rates = [
        {"symbol": "BTCUSDT", "fundingTime": start + place * eight + 3, "fundingRate": rate, "markPrice": mark}
        for place, rate, mark in told
    ]
    monkeypatch.setattr(ccxt_perpetuals, "_PAGE", 2)  # so that there is more than one

    async def ask(gateway: CcxtPerpetuals) -> Any:
        return await gateway.settlements(PERP, start + 1), await gateway.outlook(PERP)

    assert on_venue(venue, ask) == (
        (
            Settlement(start, Decimal("0.0001"), Decimal("99.5")),
            Settlement(start + eight, Decimal("-0.0002"), Decimal("100.25")),
            Settlement(start + 2 * eight, Decimal("0.0003")),
        ),
        RateOutlook(venue.now, Decimal(100), (venue.now // eight + 1) * eight),
    )


def test_a_position_is_told_as_coins_that_were_paid_for() -> None:
    venue = PerpetualVenue("1000")

    async def trade(gateway: CcxtPerpetuals) -> list[dict[str, Decimal]]:
        told = []
        for number, (side, qty, price) in enumerate([("buy", "2", "100"), ("buy", "1", "110"), ("sell", "4", "120")]):
            venue.move(price)
            answer = await gateway.submit(request(f"itbx-{number}", side, qty, venue.now))  # type: ignore[arg-type]
            assert isinstance(answer, Accepted)
            told.append({one.currency: one.total for one in await gateway.balances()})
        return told

    told = on_venue(venue, trade)
    money, coins = Decimal(1000), Decimal(0)
    for step, (qty, price) in zip(told, [(2, 100), (1, 110), (-4, 120)], strict=True):
        money -= qty * price + abs(qty) * price * Decimal("0.0005")
        coins += qty
        assert step["BTC"] == coins
        assert abs(step["USDT"] - money) < Decimal("1e-7")


def test_an_order_that_reduces_cannot_open_the_other_way() -> None:
    venue = PerpetualVenue("1000")

    async def trade(gateway: CcxtPerpetuals) -> Any:
        await gateway.submit(request("itbx-1", "buy", "1", venue.now))
        too_much = await gateway.submit(request("itbx-2", "sell", "2", venue.now, reduces=True))
        enough = await gateway.submit(request("itbx-3", "sell", "1", venue.now, reduces=True))
        at_1x = await gateway.submit(request("itbx-4", "buy", "11", venue.now))
        stop = await gateway.submit(
            OrderRequest("itbx-5", PERP, "sell", "stop_limit", Decimal(1), Decimal(89), Decimal(90), venue.now)
        )
        return too_much, enough, at_1x, stop

    too_much, enough, at_1x, stop = on_venue(venue, trade)
    assert too_much == Rejected("-2022 ReduceOnly Order is rejected.")
    assert isinstance(enough, Accepted)
    assert at_1x == Rejected("-2019 Margin is insufficient.")
    assert stop == Rejected("binanceusdm: no stop_limit orders there")


def test_the_dealer_books_funding_once_and_explains_all_money(journal_file: Path) -> None:
    venue = PerpetualVenue("1000")
    journal = Journal(journal_file)

    async def trade(gateway: CcxtPerpetuals) -> tuple[Dealer, dict[str, Decimal]]:
        machine = Machine(Limits(allow_short=True), window_ms=gateway.window_ms)
        dealer = Dealer(
            gateway, journal, owner="test", clock=lambda: venue.now, machine=machine, pace=Pace(idle_ms=1_000)
        )

        async def pulse(times: int) -> None:
            for _ in range(times):
                venue.now += 1_000
                await dealer.pulse()

        await pulse(2)
        for number, (side, qty, price) in enumerate(
            [("buy", "2.5", "100.1"), ("sell", "4", "103.3"), ("buy", "1", "99")]
        ):
            venue.move(price)
            dealer.ask(Intent("random", PERP, number, side, "market", Decimal(qty), reference_price=venue.price))  # type: ignore[arg-type]
            await pulse(4)
            venue.fund("0.0001")
            await pulse(3)
        return dealer, {one.currency: one.total for one in await gateway.balances()}

    dealer, held = on_venue(venue, trade)
    book = dealer.book
    assert {order.phase for order in book.orders.values()} == {Phase.FILLED}
    assert not book.halted
    assert len(book.fundings) == 3
    assert sum(paid.amount for paid in book.fundings.values()) == sum(Decimal(one["income"]) for one in venue.incomes)
    assert book.positions["random", PERP] == venue.qty == Decimal("-0.5")
    assert all(abs(book.balances[name] - total) < Decimal("1e-6") for name, total in held.items())
    assert money_explained(book, VenueTruth([], [], held, {"USDT": Decimal(1000)})) == []
    assert Book(book.rules, book.keep).replay(journal.events()).remembers() == book.remembers()
    journal.close()
