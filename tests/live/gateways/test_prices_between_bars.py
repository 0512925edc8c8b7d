"""Paper and watched targets on prices as they are made: streams of the practice exchange through ccxt pro."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.config import load_config
from itb.errors import GatewayError
from itb.live.bars.bar import Bar
from itb.live.bars.barrier import Step
from itb.live.bars.gate import StartGate
from itb.live.dealer import Dealer
from itb.live.gateways.ccxt_gateway import CcxtGateway
from itb.live.gateways.ccxt_line import Line
from itb.live.gateways.ccxt_news import PriceKind, follow_prices
from itb.live.gateways.ccxt_words import Quote
from itb.live.gateways.lasting import LastingVenue
from itb.live.gateways.paper import QuotePaper
from itb.live.gateways.port import OrderRequest, Submitted
from itb.live.journal.store import Journal
from itb.live.orders.bracket import Bracket
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.orders.state import OrderState, Phase
from itb.live.paper import take_up
from itb.live.practice.server import Server
from itb.live.run.account import Account
from itb.live.run.engine import Engine
from itb.live.run.health import Change, HealthBoard
from itb.market.costs import Costs
from itb.runs.live_prices import hear, watch_prices
from tests.live.gateways.conftest import PAIR, with_line
from tests.live.gateways.practised import walk
from tests.live.gateways.test_ccxt_bars import RISING, Serve, step
from tests.live.practice.conftest import START
from tests.live.rehearsal import BTC

COSTS = Costs(taker_fee_bps=10, maker_fee_bps=2, slippage_bps=5)
SLIP = Decimal("0.0005")
MONEY = {"BTC": Decimal(50), "USDT": Decimal(1_000_000)}


class Recorded(QuotePaper):
    """Remembers the clock at each price, and how many had been heard when an order arrived."""

    def __init__(self, venue: LastingVenue, clock: Callable[[], int]) -> None:
        super().__init__(venue, clock)
        self.heard: list[tuple[int, Decimal, Decimal]] = []
        self.arrived: dict[str, int] = {}

    async def submit(self, request: OrderRequest) -> Submitted:
        self.arrived[request.client_id] = len(self.heard)
        return await super().submit(request)

    def hear(self, symbol: str, bid: Decimal, ask: Decimal) -> Any:
        self.heard.append((self._clock(), bid, ask))
        return super().hear(symbol, bid, ask)


def paper_account(journal: Journal, clock: Callable[[], int], latency_ms: int, kind: type[QuotePaper]) -> Account:
    venue = LastingVenue((BTC,), MONEY, COSTS, latency_ms=latency_ms)
    venue.quote(PAIR, Decimal(100))
    take_up(venue, journal)
    machine = Machine(Limits(allow_short=True), instruments={PAIR: BTC})
    return Account("main", Dealer(kind(venue, clock), journal, owner="test", clock=clock, machine=machine))


def by_hand(order: OrderState, prices: list[tuple[int, Decimal, Decimal]], latency_ms: int) -> Decimal | None:
    """Price of the first quote that executes an order, ``None`` if none does."""
    intent, is_triggered = order.intent, order.intent.stop_price is None
    for now, bid, ask in prices:
        if now < order.sent_at + latency_ms:
            continue
        price = ask if intent.side == "buy" else bid
        if not is_triggered:
            assert intent.stop_price is not None
            is_triggered = price >= intent.stop_price if intent.side == "buy" else price <= intent.stop_price
        if not is_triggered:
            continue
        if intent.price is None:
            return price * (1 + SLIP * intent.sign)
        if price <= intent.price if intent.side == "buy" else price >= intent.price:
            return price
    return None


def wish(number: int, draw: np.random.Generator, price: Decimal, now: int) -> Intent:
    """Give an order of any kind near the price."""
    kind: Any = ("market", "limit", "stop", "stop_limit")[number % 4]
    side: Any = ("buy", "sell")[int(draw.integers(2))]
    sign = 1 if side == "buy" else -1
    away = [Decimal(int(draw.integers(1, 30))) / 100 for _ in range(2)]
    stop = price + sign * away[0] if "stop" in kind else None
    limits = {"limit": price - sign * away[0], "stop_limit": price + sign * (away[0] + away[1])}
    return Intent(
        "random", PAIR, number, side, kind, Decimal("0.1"), price=limits.get(kind), stop_price=stop,
        reference_price=price, asked_at=now,
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "latency_ms"), [("trades", 1), ("book", 1), ("book", 90_000)])
def test_paper_is_filled_by_the_prices_that_were_heard(
    serve: Serve, journal_file: Path, kind: PriceKind, latency_ms: int
) -> None:
    server, draw = serve(walk(3)), np.random.default_rng(3)

    async def act(line: Line) -> Account:
        account = paper_account(Journal(journal_file), lambda: server.exchange.venue.now, latency_ms, Recorded)
        dealer, paper = account.dealer, account.dealer.gateway
        assert isinstance(paper, Recorded)
        await line.load_markets()
        following = asyncio.create_task(
            follow_prices(line, (PAIR,), kind, lambda symbol, quote: hear(account, symbol, quote))
        )
        for number in range(48):
            before = len(paper.heard)
            while len(paper.heard) == before:
                await asyncio.to_thread(step, server)
                await asyncio.sleep(0.02)
            dealer.ask(wish(number, draw, paper.engine.prices[PAIR], server.exchange.venue.now))
            await dealer.settle()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return account

    account = with_line(server, act)
    paper, book = account.dealer.gateway, account.dealer.book
    assert isinstance(paper, Recorded)
    filled = set()
    for order in book.orders.values():
        if order.phase in {Phase.REJECTED, Phase.REFUSED}:
            continue
        wanted = by_hand(order, paper.heard[paper.arrived[order.client_id] :], latency_ms)
        assert [fill.price for fill in order.fills] == ([] if wanted is None else [wanted])
        if wanted is not None:
            filled.add(order.intent.kind)
    assert filled == {"market", "limit", "stop", "stop_limit"}
    assert {currency: amount for currency, amount in book.balances.items() if amount} == {
        currency: amount for currency, amount in paper.engine.totals.items() if amount
    }
    account.dealer.journal.close()


def test_a_watched_target_is_seen_between_bars_on_a_real_account(serve: Serve, journal_file: Path) -> None:
    """The stop rests at the exchange; nobody but the stream of trades tells the price, and no bar is read."""
    server: Server = serve(RISING, balances=MONEY)

    async def act(line: Line) -> Account:
        gateway = CcxtGateway(line, lambda: server.exchange.venue.now)
        machine = Machine(Limits(), window_ms=gateway.window_ms)
        dealer = Dealer(
            gateway, Journal(journal_file), owner="test", clock=lambda: server.exchange.venue.now, machine=machine
        )
        account = Account("main", dealer)
        await line.load_markets()
        entry = Intent(
            "main", PAIR, START, "buy", "market", Decimal("0.5"), reference_price=Decimal(100),
            asked_at=server.exchange.venue.now,
        )  # fmt: skip
        plan = dealer.plan(Bracket("p1", entry, stop_price=Decimal(90), target_price=Decimal("104.25")))
        following = asyncio.create_task(
            follow_prices(line, (PAIR,), "trades", lambda symbol, quote: hear(account, symbol, quote))
        )
        for _ in range(400):
            if plan not in dealer.book.open_plans:
                break
            dealer.look_now()
            await dealer.pulse()
            if "stop" in dealer.book.legs_of(plan):
                await asyncio.to_thread(step, server)
            await asyncio.sleep(0.02)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return account

    account = with_line(server, act)
    book = account.dealer.book
    legs = book.legs_of(next(iter(book.plans)))
    assert {role: [order.phase for order in orders] for role, orders in legs.items()} == {
        "entry": [Phase.FILLED], "stop": [Phase.CANCELED], "exit": [Phase.FILLED],
    }  # fmt: skip
    (sold,) = legs["exit"]
    assert sold.intent.reason == "target"
    assert all(fill.price >= Decimal(104) for fill in sold.fills)
    account.dealer.journal.close()


def test_an_exchange_without_the_stream_is_told(serve: Serve, journal_file: Path) -> None:
    server = serve(RISING)

    async def act(line: Line) -> None:
        line.client.has["watchBidsAsks"] = False
        account = paper_account(Journal(journal_file), lambda: 1_000, 1, QuotePaper)
        config = load_config(None, ["live.prices=book"])
        engine = Engine({}, {}, [account], StartGate(), HealthBoard(lambda: 0))
        watching, listening = watch_prices(config, line, engine)
        with pytest.raises(GatewayError, match=r"streams no book: set live\.prices"):
            await asyncio.wait_for(watching, 60)
        listening.cancel()
        assert watch_prices(load_config(None, []), line, engine) == []
        account.dealer.journal.close()

    with_line(server, act)


@pytest.mark.parametrize(("kind", "half_spread"), [("trades", 0), ("book", Decimal("0.0005"))])
def test_while_a_stream_is_silent_closes_fill_and_that_is_told(
    serve: Serve, journal_file: Path, kind: str, half_spread: Decimal
) -> None:
    server = serve(walk(3))
    seconds, now, changes = [0.0], [START], list[Change]()

    async def act(line: Line) -> Account:
        account = paper_account(Journal(journal_file), lambda: now[0], 1, QuotePaper)
        dealer = account.dealer
        engine = Engine({}, {}, [account], StartGate(), HealthBoard(lambda: 0, changes.append))
        await line.load_markets()
        config = load_config(None, [f"live.prices={kind}", "live.silence=60s", "costs.spread_bps=10"])
        tasks = watch_prices(config, line, engine, now=lambda: seconds[0])

        async def close(price: float, *, is_late: bool = False) -> None:
            now[0] += 60_000
            bar = Bar(now[0], (price, price, price, price, 1.0))
            for bring in engine.listeners.before:
                await bring(Step(bar.open_time, {PAIR: bar}, is_late=is_late))
            await dealer.settle()

        dealer.ask(Intent("main", PAIR, 1, "buy", "stop", Decimal(1), stop_price=Decimal(105), asked_at=START))
        await dealer.settle()
        await close(110)
        assert (changes, dealer.book.positions) == ([], {})  # the stream may still tell of it
        seconds[0] = 61.0
        await close(111, is_late=True)
        assert not dealer.book.positions  # that was long ago
        await close(112)
        (silent,) = changes
        assert (silent.health, silent.is_over) == ("DEGRADED", False)
        while len(changes) == 1:
            await asyncio.to_thread(step, server)
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return account

    account = with_line(server, act)
    (order,) = account.dealer.book.orders.values()
    assert [fill.price for fill in order.fills] == [112 * (1 + half_spread) * (1 + SLIP)]
    assert (changes[1].trouble.key, changes[1].is_over, changes[1].health) == (f"{PAIR}: prices", True, "NORMAL")
    account.dealer.journal.close()


def test_a_new_life_goes_on_with_what_rested(journal_file: Path) -> None:
    now = [1_000]

    def live(prices: list[int], *wishes: Intent) -> Account:
        account = paper_account(Journal(journal_file), lambda: now[0], 1, QuotePaper)
        for intent in wishes:
            account.dealer.ask(intent)

        async def trade() -> None:
            await account.dealer.settle()
            for price in prices:
                now[0] += 1_000
                hear(account, PAIR, Quote(Decimal(price), Decimal(price), now[0]))
                await account.dealer.settle()

        asyncio.run(trade())
        account.dealer.journal.close()
        return account

    rests = Intent("main", PAIR, 1, "buy", "limit", Decimal(1), price=Decimal(95), asked_at=1_000)
    guards = Intent("main", PAIR, 2, "sell", "stop", Decimal(2), stop_price=Decimal(90), asked_at=1_000)
    live([99, 97], rests, guards)
    second = live([96, 94])
    orders = second.dealer.book.orders
    assert [order.phase for order in orders.values()] == [Phase.FILLED, Phase.OPEN]
    third = live([88])
    assert [order.phase for order in third.dealer.book.orders.values()] == [Phase.FILLED, Phase.FILLED]
    engine = third.dealer.gateway.engine  # type: ignore[attr-defined]  # it is paper
    assert engine.totals["BTC"] == 50 + 1 - 2
    assert engine.totals["USDT"] == 1_000_000 - 94 * (1 + Decimal("0.0002")) + 2 * 88 * (1 - SLIP) * Decimal("0.999")
    assert not third.dealer.book.halted


def test_a_target_is_judged_by_the_side_that_would_close_it() -> None:
    entry = Intent("main", PAIR, 0, "buy", "market", Decimal(1), reference_price=Decimal(100))
    machine = Machine(instruments={PAIR: BTC})
    for name, intent in (("long", entry), ("short", Intent("main", PAIR, 0, "sell", "market", Decimal(1)))):
        target, stop = (Decimal(105), Decimal(90)) if name == "long" else (Decimal(95), Decimal(110))
        plan = Bracket(name, intent, stop_price=stop, target_price=target, adopts=True)
        machine.book.plans[name], machine.book.open_plans[name] = plan, None
        machine.book.plan_states[name] = machine.book.plan_states.get(name) or _no_state()
    seen = [
        [event.plan for event in machine.touched(PAIR, Decimal(bid), 0, Decimal(ask))]  # type: ignore[union-attr]
        for bid, ask in ((104, 106), (105, 107), (94, 96), (93, 95))
    ]
    assert seen == [[], ["long"], [], ["short"]]


def _no_state() -> Any:
    from itb.live.orders.moves import PlanState

    return PlanState()
