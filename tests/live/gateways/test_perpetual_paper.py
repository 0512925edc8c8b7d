"""Perpetuals on paper: funding by rates that ccxt reads from an exchange, margin, liquidation, new lives."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from itb.live.bars.bar import Bar
from itb.live.dealer import Dealer
from itb.live.gateways.bar_perpetuals import BarPerpetuals
from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.gateways.matching import PriceBar, VenueRefusal
from itb.live.gateways.paper import BarPaper
from itb.live.gateways.port import OrderRequest, Side
from itb.live.gateways.published import PublishedRates
from itb.live.journal.store import Journal
from itb.live.orders.events import Funded
from itb.live.orders.funding import share_of
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.paper import collect, live_bar, resume
from itb.live.run.health import HealthBoard
from itb.live.run.rates import RateWatch
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from tests.live.conftest import journal_file
from tests.live.gateways.perpetual_venue import PerpetualVenue
from tests.live.gateways.test_ccxt_perpetuals import PERP, on_venue

__all__ = ["journal_file"]
RULES = Instrument(PERP, tick=Decimal("0.1"), step=Decimal("0.001"), min_notional=Decimal(5))
HOUR = 3_600_000
START = 472_224 * HOUR  # a multiple of eight hours
COSTS = Costs(taker_fee_bps=5, slippage_bps=0)
RATES = {8: "0.0010", 16: "-0.0007", 24: "0.0005"}
LATE = 16  # this settlement's rate is published two bars late
WISHES: dict[int, tuple[Side, str]] = {
    2: ("buy", "3"),
    12: ("sell", "3"),
    13: ("sell", "2.5"),
    17: ("buy", "1"),
    25: ("buy", "1.5"),
}


def opens(place: int) -> Decimal:
    return Decimal(100) + Decimal(place * place % 13) / 2


def bar(place: int) -> Bar:
    price = float(opens(place))
    return Bar(START + place * HOUR, (price, price + 1, price - 1, price + 0.5, 10.0))


def publish(exchange: PerpetualVenue, place: int) -> None:
    """Say the rates that are settled by the end of a bar: those of three days before, too."""
    known = dict.fromkeys(range(-72, 1, 8), "0.0001") | RATES
    exchange.rates = [
        {"symbol": "BTCUSDT", "fundingTime": START + hour * HOUR + 7, "fundingRate": rate}
        for hour, rate in known.items()
        if hour <= place and (hour != LATE or place >= LATE + 2)
    ]


def new_life(journal: Journal, rates: CcxtPerpetuals) -> tuple[Dealer, BarPaper]:
    venue = BarPerpetuals((RULES,), {"BTC": Decimal(0), "USDT": Decimal(1_000)}, COSTS, bar_ms=HOUR)
    if resume(venue, journal) is None:
        venue.now = START
    rates.published = PublishedRates()
    paper = BarPaper(venue, rates.published)
    machine = Machine(Limits(allow_short=True), instruments={PERP: RULES})
    return Dealer(paper, journal, owner="test", clock=paper.clock, machine=machine), paper


async def lived(gateway: CcxtPerpetuals, exchange: PerpetualVenue, file: Path, restarts: set[int]) -> list[Funded]:
    journal = Journal(file)
    dealer, paper = new_life(journal, gateway)
    paper.engine.quote(PERP, opens(0))
    board = HealthBoard(lambda: 0, lambda change: pytest.fail(change.trouble.text))

    async def hear(*_told: object) -> None:
        collect(dealer, paper)

    for place in range(1, 28):
        exchange.now = START + (place + 1) * HOUR
        if place in restarts:
            journal.close()
            journal = Journal(file)
            dealer, paper = new_life(journal, gateway)
            paper.engine.quote(PERP, opens(place - 1))
            await live_bar(
                dealer, paper, {PERP: bar(place - 1)}
            )  # a new life begins with the bar that the last one saw
        publish(exchange, place)
        await live_bar(dealer, paper, {PERP: bar(place)})
        await RateWatch(gateway, gateway.published, PERP, lambda: exchange.now, board, hear).look(START)
        if place in WISHES:
            side, qty = WISHES[place]
            opened, price = bar(place).open_time, opens(place)
            dealer.ask(Intent("one", PERP, opened, side, "market", Decimal(qty), reference_price=price))
        await dealer.settle()
    events = list(journal.events())
    assert paper.engine.totals == pytest.approx(dict(dealer.book.balances))
    assert dealer.book.positions["one", PERP] == 0
    assert not dealer.book.owed
    journal.close()
    return [event for event in events if isinstance(event, Funded)]


def ledger() -> dict[int, Decimal]:
    """What is paid at each settlement, bar by bar: the position before a bar's fills, at its open."""
    held, paid = Decimal(0), {}
    for place in range(1, 28):
        if place in RATES and held:
            paid[START + place * HOUR] = -held * opens(place) * Decimal(RATES[place])
        if place - 1 in WISHES:
            side, qty = WISHES[place - 1]
            held += Decimal(qty) if side == "buy" else -Decimal(qty)
    return paid


@pytest.mark.parametrize(
    "restarts", [set(), {10}, {24}, {17, 18}], ids=["one life", "restarted", "at a settlement", "while it is owed"]
)
def test_funding_is_reckoned_from_published_rates_once(journal_file: Path, restarts: set[int]) -> None:
    exchange = PerpetualVenue("0")
    paid = on_venue(exchange, lambda gateway: lived(gateway, exchange, journal_file, restarts))
    assert {event.payment.time: event.payment.amount for event in paid} == ledger()
    assert len(paid) == 3
    assert {share_of(event, "one") for event in paid} == {Decimal(1)}
    assert [event.payment.price for event in paid] == [opens(hour) for hour in RATES]


def venue_at(price: str, cash: str = "1000") -> BarPerpetuals:
    venue = BarPerpetuals((RULES,), {"BTC": Decimal(0), "USDT": Decimal(cash)}, COSTS, bar_ms=HOUR)
    venue.quote(PERP, Decimal(price))
    return venue


def sent(venue: BarPerpetuals, name: str, side: Side, qty: str, *, reduces: bool = False, price: str = "") -> None:
    limit = Decimal(price) if price else None
    kind = "limit" if price else "market"
    venue.submit(OrderRequest(name, PERP, side, kind, Decimal(qty), limit, sent_at=venue.now, reduces=reduces))  # type: ignore[arg-type]


def passed(venue: BarPerpetuals, time: int, *prices: str) -> None:
    made = PriceBar(time, *map(Decimal, prices))
    venue.begin_bar(PERP, made)
    venue.end_bar(PERP, made)


def test_an_order_beyond_the_margin_is_refused_or_expires() -> None:
    venue = venue_at("100")
    sent(venue, "a", "sell", "9.9")
    passed(venue, 0, "100", "101", "99", "100")
    assert venue.position(PERP) == Decimal("-9.9")
    sent(venue, "b", "sell", "0.2")
    passed(venue, HOUR, "100", "101", "99", "100")
    assert venue.find("b").status == "expired"  # type: ignore[union-attr]
    with pytest.raises(VenueRefusal, match="-2019 Margin is insufficient"):
        sent(venue, "c", "sell", "0.2", price="101")
    sent(venue, "d", "buy", "9.9", reduces=True)
    passed(venue, 2 * HOUR, "100", "101", "99", "100")
    assert venue.position(PERP) == 0


def test_an_order_that_reduces_never_opens_the_other_way() -> None:
    venue = venue_at("100")
    with pytest.raises(VenueRefusal, match="-2022"):
        sent(venue, "a", "sell", "1", reduces=True)
    sent(venue, "b", "buy", "1")
    passed(venue, 0, "100", "101", "99", "100")
    sent(venue, "c", "sell", "3", reduces=True)
    passed(venue, HOUR, "100", "101", "99", "100")
    order = venue.find("c")
    assert order is not None
    assert venue.position(PERP) == 0
    assert order.filled == 1
    assert order.status == "expired"


def test_a_short_is_closed_by_the_venue_where_its_margin_ends() -> None:
    venue = venue_at("105")
    sent(venue, "a", "sell", "2")
    passed(venue, 0, "105", "106", "104", "105")
    before = venue.totals["USDT"]
    passed(venue, HOUR, "150", "199.9", "149", "190")
    assert venue.position(PERP) == -2
    passed(venue, 2 * HOUR, "190", "200", "180", "185")
    assert venue.position(PERP) == 0
    assert venue.totals["USDT"] == before - 2 * 200
    assert len(venue.trades) == 1  # no order of ours did it
