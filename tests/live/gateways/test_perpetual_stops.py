"""Stops on perpetuals through ccxt, which keeps them in Binance's algo service: rested, found, cancelled, triggered."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.live.dealer import Dealer
from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.gateways.ccxt_words import NotReadableError, order_of
from itb.live.gateways.port import Accepted, Cancelled, NotOpen, OrderRequest, Rejected, Side, VenueOrder
from itb.live.journal.store import Journal
from itb.live.lookout import Pace
from itb.live.orders.book import Book
from itb.live.orders.bracket import Bracket
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.orders.state import Phase
from tests.live.conftest import journal_file
from tests.live.gateways.stopped_venue import StoppedVenue
from tests.live.gateways.test_ccxt_perpetuals import PERP, on_venue, request

__all__ = ["journal_file"]


def stop(name: str, side: Side, qty: str, price: str, now: int) -> OrderRequest:
    return OrderRequest(name, PERP, side, "stop", Decimal(qty), None, Decimal(price), now, reduces=True)


def test_a_stop_rests_is_found_by_our_name_and_cancelled() -> None:
    venue = StoppedVenue("1000")

    async def act(gateway: CcxtPerpetuals) -> list[Any]:
        await gateway.submit(request("itbx-1", "buy", "2", venue.now))
        rested = await gateway.submit(stop("itbx-2", "sell", "2", "90", venue.now))
        listed = await gateway.open_orders()
        stranger = CcxtPerpetuals(gateway.line, lambda: venue.now)  # a new life knows no names yet
        found = await stranger.order(PERP, "itbx-2")
        since = await stranger.orders_since(PERP, venue.now)
        ended = await CcxtPerpetuals(gateway.line, lambda: venue.now).cancel(PERP, "itbx-2")
        again = await gateway.cancel(PERP, "itbx-2")
        return [rested, listed, found, since, ended, again, await gateway.order(PERP, "itbx-9")]

    rested, listed, found, since, ended, again, none = on_venue(venue, act)
    sent = next(sent for path, sent in venue.asked if path == "POST /fapi/v1/algoOrder")
    assert (sent["type"], sent["triggerPrice"], sent["reduceOnly"], sent["algoType"]) == (
        "STOP_MARKET", "90", "true", "CONDITIONAL",
    )  # fmt: skip
    assert isinstance(rested, Accepted)
    assert rested.order == VenueOrder(
        "itbx-2", "algo-1000000", PERP, "sell", "stop", Decimal(2), Decimal(0), "open", None, Decimal(90), venue.now
    )
    assert listed == (rested.order,)
    assert found == rested.order
    assert {order.client_id for order in since} == {"itbx-1", "itbx-2"}
    assert isinstance(ended, Cancelled)
    assert ended.order.status == "canceled"
    assert isinstance(again, NotOpen)
    assert none is None


def test_a_stop_that_was_triggered_is_told_by_the_order_it_became() -> None:
    venue = StoppedVenue("1000")

    async def act(gateway: CcxtPerpetuals) -> list[Any]:
        await gateway.submit(request("itbx-1", "sell", "2", venue.now))
        await gateway.submit(stop("itbx-2", "buy", "2", "105", venue.now))
        venue.move("104.90")
        before = await gateway.order(PERP, "itbx-2")
        venue.move("106")
        return [before, await gateway.order(PERP, "itbx-2"), await gateway.trades_since(PERP, venue.now)]

    before, after, trades = on_venue(venue, act)
    assert (before.status, before.filled) == ("open", 0)
    assert (after.status, after.filled, after.order_id, after.client_id) == ("filled", 2, "2", "itbx-2")
    assert [(one.order_id, one.side, one.price) for one in trades][-1] == ("2", "buy", Decimal(106))
    assert venue.qty == 0


def test_a_stop_beyond_the_market_is_refused_and_one_without_a_position_ends_rejected() -> None:
    venue = StoppedVenue("1000")

    async def act(gateway: CcxtPerpetuals) -> list[Any]:
        beyond = await gateway.submit(stop("itbx-1", "sell", "1", "101", venue.now))
        await gateway.submit(stop("itbx-2", "sell", "1", "95", venue.now))
        venue.move("94")
        return [beyond, await gateway.order(PERP, "itbx-2")]

    beyond, without = on_venue(venue, act)
    assert beyond == Rejected("-2021 Order would immediately trigger.")
    assert without.status == "rejected"


@pytest.mark.parametrize("status", ["TRIGGERED", "FINISHED"])
def test_pushed_news_of_a_triggered_stop_end_nothing(status: str) -> None:
    """ccxt tells it as closed, with nothing executed: taken for its word it would be an order that was cancelled."""
    row = {
        "info": {"aid": "7", "caid": "itbx-1", "X": status}, "id": "7", "clientOrderId": "itbx-1", "status": "closed",
        "amount": "1", "filled": "0", "side": "sell", "symbol": PERP, "type": "market",
    }  # fmt: skip
    with pytest.raises(NotReadableError, match=f"a stop that is {status}"):
        order_of(row)
    row["info"]["X"] = "CANCELED"  # type: ignore[index]
    assert order_of(row).status == "canceled"


class Trading:
    """A dealer that trades brackets at random on a venue that loses answers."""

    def __init__(self, venue: StoppedVenue, gateway: CcxtPerpetuals, journal: Journal, seed: int) -> None:
        self.venue, self.rng = venue, np.random.default_rng(seed)
        self.dealer = Dealer(
            gateway, journal, owner="test", clock=lambda: venue.now, pace=Pace(idle_ms=1_000, backoff_most_ms=2_000),
            machine=Machine(Limits(allow_short=True), window_ms=gateway.window_ms),
        )  # fmt: skip

    async def pulse(self, times: int) -> None:
        for _ in range(times):
            self.venue.now += 1_000
            await self.dealer.pulse()

    def walk(self) -> None:
        moved = self.venue.price * (1 + Decimal(str(round(float(self.rng.normal(0, 0.01)), 4))))
        self.venue.move(f"{moved:.1f}")

    def decide(self, number: int) -> None:
        """Close what is held, or enter one way or the other with a stop."""
        for plan in list(self.dealer.book.open_plans):
            self.dealer.close(plan, "signal")
        side: Side = "buy" if self.rng.random() < 0.5 else "sell"
        price, sign = self.venue.price, 1 if side == "buy" else -1
        entry = Intent(
            "random", PERP, number, side, "market", Decimal("0.5"), reference_price=price, asked_at=self.venue.now
        )
        away = (price * (1 - sign * Decimal("0.012"))).quantize(Decimal("0.1"))
        self.dealer.plan(Bracket(f"p{number}", entry, stop_price=away, covers_all=True))


async def traded(trading: Trading, rounds: int) -> Book:
    """Trade for some rounds, then let the venue heal and everything end flat."""
    venue, dealer = trading.venue, trading.dealer
    await trading.pulse(2)
    for number in range(rounds):
        if number % 3 == 0:
            trading.decide(number)
        await trading.pulse(3)
        trading.walk()
        if number % 8 == 5:
            venue.fund("0.0003")
        await trading.pulse(2)
    venue.rate = 0.0
    await trading.pulse(30)
    for plan in list(dealer.book.open_plans):
        dealer.close(plan, "end")
    await trading.pulse(30)
    return dealer.book


def test_funding_is_booked_while_a_stop_rests(journal_file: Path) -> None:
    venue = StoppedVenue("1000")

    async def act(gateway: CcxtPerpetuals) -> Book:
        with Journal(journal_file) as journal:
            trading = Trading(venue, gateway, journal, seed=1)
            await trading.pulse(2)
            trading.decide(1)
            await trading.pulse(6)
            venue.fund("0.0003")
            await trading.pulse(4)
            return trading.dealer.book

    book = on_venue(venue, act)
    assert [order.phase for order in book.unsettled()] == [Phase.OPEN]
    assert [paid.amount for paid in book.fundings.values()] == [Decimal(venue.incomes[0]["income"])]


def ledger(venue: StoppedVenue, opening: str) -> tuple[Decimal, Decimal]:
    """Coins and money by adding up, one by one, everything that the venue did."""
    coins, money = Decimal(0), Decimal(opening)
    for trade in venue.trades:
        sign = 1 if trade["side"] == "BUY" else -1
        coins += sign * Decimal(trade["qty"])
        money -= sign * Decimal(trade["qty"]) * Decimal(trade["price"]) + Decimal(trade["commission"])
    for paid in venue.incomes:
        money += Decimal(paid["income"])
    return coins, money


def storm(venue: StoppedVenue, file: Path, rounds: int, seed: int) -> Book:
    with Journal(file) as journal:
        book = on_venue(venue, lambda gateway: traded(Trading(venue, gateway, journal, seed), rounds))
        events = list(journal.events())
    assert not book.halted
    assert not book.active
    assert {order.phase for order in book.orders.values()} <= {
        Phase.FILLED, Phase.CANCELED, Phase.REJECTED, Phase.REFUSED, Phase.ABSENT,
    }  # fmt: skip
    booked = Counter(trade.trade_id for order in book.orders.values() for trade in order.fills)
    assert booked == Counter(str(trade["id"]) for trade in venue.trades)  # none lost, none doubled, none made up
    coins, money = ledger(venue, "1000")
    assert coins == venue.qty == book.positions["random", PERP] == 0
    assert abs(book.balances["USDT"] - money) < Decimal("1e-9")
    assert abs(venue.wallet - money) < Decimal("1e-6")
    assert Book(book.rules, book.keep).replay(events).remembers() == book.remembers()
    return book


@pytest.mark.parametrize(("seed", "rate"), [(1, 0.0), (2, 0.12)])
def test_brackets_survive_lost_answers_of_the_algo_service(journal_file: Path, seed: int, rate: float) -> None:
    venue = StoppedVenue("1000", rate=rate, seed=seed, blind=1)
    book = storm(venue, journal_file, 45, seed)
    ends = Counter(one["algoStatus"] for one in venue.algos)
    assert ends["FINISHED"] >= 2
    assert ends["CANCELED"] >= 2
    assert not ends["NEW"]
    assert len(book.orders) > 30
    assert bool(venue.struck) == bool(rate)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_long_storm_at_the_algo_service(journal_file: Path, seed: int) -> None:
    storm(StoppedVenue("1000", rate=0.1, seed=seed, blind=seed % 3), journal_file, 600, seed)
