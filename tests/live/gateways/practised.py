"""A bot without a strategy on the practice exchange, through unmodified ccxt: exchange and bot in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from itb.live.dealer import Dealer
from itb.live.gateways.ccxt_gateway import CcxtGateway
from itb.live.gateways.ccxt_line import Account, Line, open_line
from itb.live.gateways.ccxt_news import follow_orders
from itb.live.gateways.ccxt_venues import traits_of
from itb.live.gateways.port import VenueOrder, VenueStatus, VenueTrade
from itb.live.invariants import VenueTruth, converged, never_backwards, violations
from itb.live.journal.store import Journal
from itb.live.lookout import Pace
from itb.live.orders.bracket import Bracket
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.orders.state import Phase
from itb.live.practice.exchange import Exchange
from itb.live.practice.faults import FaultPlan, Faults
from itb.live.practice.guard import KEY, SECRET, Guard
from itb.live.practice.orders import Order
from itb.live.practice.server import Server
from itb.live.practice.settlement import Terms
from tests.live.practice.conftest import MINUTE, START, Rows, bars_of, venue_of

SYMBOLS = ("BTC/USDT", "ETH/USDT")
OPENING = {"USDT": Decimal(1_000_000), "BTC": Decimal(50), "ETH": Decimal(50), "BNB": Decimal(0)}
_STATUS: dict[str, VenueStatus] = {
    "NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "filled", "CANCELED": "canceled", "EXPIRED": "expired",
}  # fmt: skip
STEP_MS = 500


def walk(seed: int, bars: int = 2_000) -> Rows:
    """A market that wanders around 100."""
    random = np.random.default_rng(seed)
    closes = 100 + np.cumsum(random.normal(0, 0.05, bars + 1))
    rows = []
    for opened, closed in pairwise(closes):
        high, low = max(opened, closed) + abs(random.normal(0, 0.1)), min(opened, closed) - abs(random.normal(0, 0.1))
        rows.append((round(opened, 2), round(high + 0.01, 2), round(low - 0.01, 2), round(closed, 2), 8.0))
    return rows


class Practised:
    """Exchange, line, gateway, journal and dealer; market time moves when told, by half a second."""

    def __init__(self, file: Path, faults: str = "", seed: int = 0, *, keys: tuple[str, str] = (KEY, SECRET)) -> None:
        self.random = np.random.default_rng(seed)
        terms = Terms(fee_currency=("base", "quote")[seed % 2])
        venue = venue_of(walk(seed), terms, dict(OPENING), bars_of(walk(seed + 1), SYMBOLS[1]))
        self.exchange = Exchange(
            venue, speed="lockstep", stop_ms=START + 1_900 * MINUTE, faults=Faults(FaultPlan.parse(faults), seed),
            guard=Guard(*keys),
        )  # fmt: skip
        self.server = Server(self.exchange, hold_s=0.2)
        self.keys, self.journal = keys, Journal(file)
        self.count = 0
        self.healed_at = 0
        self.line: Line

    @asynccontextmanager
    async def running(self, *, news: bool = False) -> AsyncIterator[Practised]:
        """Serve, connect, and end both."""
        url = await self.server.start()
        account = Account(key=self.keys[0], secret=self.keys[1], practice_url=url, timeout_s=0.15)
        self.line = open_line(traits_of("binance", SYMBOLS), account)
        self.gateway = CcxtGateway(self.line, lambda: self.exchange.venue.now)
        self.dealer = Dealer(
            self.gateway, self.journal, owner="test", clock=lambda: self.exchange.venue.now,
            machine=Machine(Limits(allow_short=True), window_ms=self.gateway.window_ms), pace=Pace(),
        )  # fmt: skip
        following = asyncio.create_task(follow_orders(self.line, self.dealer.tell, redial_s=0.05)) if news else None
        try:
            yield self
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            await self.line.close()
            await self.server.stop()
            self.journal.close()

    async def pulse(self, times: int = 1, step_ms: int = STEP_MS) -> None:
        """Let time pass and the dealer work; where the exchange wants silence, by the wall's clock, wait."""
        for _ in range(times):
            if wait := self.line.quiet_ms():
                await asyncio.sleep(wait / 1_000 + 0.005)
            self.exchange.go_to(self.exchange.venue.now + step_ms)
            await asyncio.sleep(0)
            await self.dealer.pulse()

    def intent(self, kind: str = "market", side: str = "buy", qty: str = "0.1", **fields: Any) -> Intent:
        """Give an intent that was never given before."""
        self.count += 1
        values: dict[str, Any] = {
            "strategy": "random", "symbol": "BTC/USDT", "bar_time": self.count, "side": side, "kind": kind,
            "qty": Decimal(qty), "reference_price": Decimal(100), "asked_at": self.exchange.venue.now,
        }  # fmt: skip
        return Intent(**{**values, **fields})

    def ask(self) -> None:
        """Want something at random: market orders, limits near and far, brackets."""
        draw = self.random.random
        symbol, side = SYMBOLS[int(draw() < 0.5)], ("buy", "sell")[int(draw() < 0.5)]
        price = self.exchange.venue.price(symbol.replace("/", ""))
        qty, sign = f"{0.06 + draw():.5f}", 1 if side == "buy" else -1
        if draw() < 0.3:
            entry = self.intent("market", "buy", qty, symbol=symbol)
            stop, target = price - Decimal("0.3"), price + Decimal("0.3")
            rests = draw() < 0.6
            self.dealer.plan(Bracket(f"b{self.count}", entry, stop_price=stop, target_price=target, rests=rests))
        elif draw() < 0.4:
            self.dealer.ask(self.intent("market", side, qty, symbol=symbol))
        else:
            limit = (price - sign * Decimal(f"{0.4 * draw() - 0.1:.2f}")).quantize(Decimal("0.01"))
            timeout = int(20_000 * draw()) + 2_000
            self.dealer.ask(self.intent("limit", side, qty, symbol=symbol, price=limit, timeout_ms=timeout))

    async def trade(self, orders: int) -> None:
        """Ask for many things, change one's mind, close plans, and let time pass."""
        for _ in range(orders):
            self.ask()
            resting = [order for order in self.dealer.book.unsettled() if order.phase is Phase.OPEN]
            if resting and self.random.random() < 0.2:
                self.dealer.cancel(resting[0].intent.key)
            running = [key for key, state in self.dealer.book.plan_states.items() if not state.exit_reason]
            if running and self.random.random() < 0.1:
                self.dealer.close(running[0], "signal")
            await self.pulse()
            for _ in range(30):
                if len(self.dealer.book.active) <= 10:
                    break
                await self.pulse()

    async def settle(self, rounds: int = 6_000) -> None:
        """End the faults, close everything and go on until nothing is unfinished."""
        self.exchange.faults.end()
        self.healed_at = self.exchange.venue.now
        for _ in range(rounds):
            for key, state in self.dealer.book.plan_states.items():
                if not state.exit_reason:
                    self.dealer.close(key, "the test is over")
            for order in self.dealer.book.unsettled():
                if order.phase is Phase.OPEN and not order.cancel and not order.intent.plan:
                    self.dealer.cancel(order.intent.key, "the test is over")
            await self.pulse()
            if self.dealer.book.degraded:  # a maintenance lasts until enough requests were refused
                self.healed_at = self.exchange.venue.now
            if not self.dealer.book.active:
                break
        await self.pulse(3, 61_000)

    def truth(self) -> VenueTruth:
        """Read the exchange from inside."""
        venue = self.exchange.venue
        names = {tape.id: tape.symbol for tape in venue.tapes.values()}
        orders = [_order(order, names) for order in venue.orders.values()]
        trades = [
            VenueTrade(str(fill.id), str(fill.order_id), names[fill.symbol], "buy" if fill.side == "BUY" else "sell",
                       fill.qty, fill.price, fill.fee, fill.fee_asset, fill.time)
            for tape in venue.tapes for fill in venue.fills(tape)
        ]  # fmt: skip
        return VenueTruth(orders, trades, venue.wallet.totals(), OPENING)

    def violations(self) -> list[str]:
        """Check I1 to I6, I10 and I11, and that nothing is unfinished."""
        book = self.dealer.book
        found = violations(book, self.truth())
        found += never_backwards(self.journal.events(), book.rules)
        found += converged(
            book, healed_at=self.healed_at, now=self.exchange.venue.now, window_ms=self.gateway.window_ms, poll_ms=1_000
        )
        if book.active or self.dealer.broken or book.halted:
            found.append(f"unfinished: {len(book.active)} orders; {self.dealer.broken} {book.halted}")
        return found


def _order(order: Order, names: dict[str, str]) -> VenueOrder:
    return VenueOrder(
        order.cid, str(order.id), names[order.ask.symbol], "buy" if order.is_buy else "sell", "market", order.qty,
        order.filled, _STATUS[order.status], created_at=order.time,
    )  # fmt: skip
