"""A bot without a strategy, trading at random against a venue that fails: what the tests of the order core share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from itb.live.dealer import Dealer
from itb.live.door import Ask, Door, Failure
from itb.live.gateways.faults import FaultPlan, FaultyGateway
from itb.live.gateways.matching import MatchingEngine
from itb.live.gateways.paper import PaperGateway
from itb.live.gateways.port import CancelOutcome, OrderRequest, Submitted, VenueOrder
from itb.live.invariants import VenueTruth, converged, gate_kept, never_backwards, silent_when_banned, violations
from itb.live.journal import checkpoint
from itb.live.journal.store import Journal
from itb.live.lookout import Pace
from itb.live.orders.book import Book
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.orders.rules import Rules
from itb.live.orders.state import Phase
from itb.market.costs import Costs
from itb.market.instrument import Instrument

BTC = Instrument("BTC/USDT", tick=Decimal("0.01"), step=Decimal("0.00001"), min_notional=Decimal(5))
ETH = Instrument("ETH/USDT", tick=Decimal("0.01"), step=Decimal("0.0001"), min_notional=Decimal(5))
OPENING = {"BTC": Decimal("0.5"), "ETH": Decimal(3), "USDT": Decimal(10_000_000), "BNB": Decimal(100)}
PRICES = {"BTC/USDT": Decimal("20000.00"), "ETH/USDT": Decimal("1500.00")}
START = 1_700_000_000_000


class KilledError(BaseException):
    """The program ends here, as by ``kill -9``: nobody catches it on the way."""


class MortalGateway(FaultyGateway):
    """Once the program is killed, none of its other tasks sends anything."""

    is_dead = False
    race: Callable[[str], None]

    async def submit(self, request: OrderRequest) -> Submitted:
        self._live()
        return await super().submit(request)

    async def cancel(self, symbol: str, client_id: str) -> CancelOutcome:
        self._live()
        self.race(client_id)
        return await super().cancel(symbol, client_id)

    def _live(self) -> None:
        if self.is_dead:
            raise KilledError("dead already")


class Clock:
    """Milliseconds that move when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Rehearsal:
    """Engine, faults, journal, dealer and a clock; everything random comes from the seed.

    ``machine``, ``dealer`` and ``journal`` may be replaced by classes with one rule taken out: the planted mutants.
    """

    def __init__(
        self,
        file: Path | str,
        *,
        faults: FaultPlan | None = None,
        costs: Costs | None = None,
        seed: int = 0,
        machine: Callable[..., Machine] = Machine,
        rules: Rules | None = None,
        dealer: type[Dealer] = Dealer,
        limits: Limits | None = None,
        keep: int = 200,
        **options: Any,
    ) -> None:
        self.clock = Clock()
        self.random = np.random.default_rng(seed + 1)
        self.engine = MatchingEngine((BTC, ETH), OPENING, costs)
        for symbol, price in PRICES.items():
            self.engine.quote(symbol, price)
        self.engine.now = self.clock.now
        self.gateway = MortalGateway(PaperGateway(self.engine, self.clock), faults or FaultPlan(), self.clock)
        self.gateway.race = self.race
        self.file, self.parts, self.keep = file, (machine, rules, dealer, limits), keep
        self.options = {"checkpoint_every": 300, **options}
        self.shut: list[tuple[int, int]] = []
        self.healed_at = 0
        self.count = 0
        self.told: list[VenueOrder] = []
        self.began: list[int] = []
        self.points: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.kill_share = 0.0
        self._runner = asyncio.Runner()
        self.live()

    def live(self) -> None:
        """Begin a (new) life of the program: only the journal is left of the one before."""
        machine, rules, dealer, limits = self.parts
        self.gateway.is_dead = False
        self.began.append(len(self.gateway.requests))
        self.journal = Journal(self.file, reach=self.reach)
        self.dealer = dealer(
            self.gateway, self.journal, owner="test", clock=self.clock,
            machine=machine(limits or Limits(allow_short=True), rules, keep=self.keep), gate=self._gate, pace=Pace(),
            reach=self.reach, **self.options,
        )  # fmt: skip

    def reach(self, point: str) -> None:
        """Die at a fail point, by chance."""
        self.points[point] += 1
        if self.kill_share and self.random.random() < self.kill_share:
            self.gateway.is_dead = True
            raise KilledError(point)

    def die(self) -> None:
        self.journal.close()

    def _gate(self) -> str | None:
        return "shut by the test" if any(a <= self.clock.now < b for a, b in self.shut) else None

    @property
    def book(self) -> Book:
        return self.dealer.book

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    def alive(self, act: Callable[[], Any]) -> Any:
        """Do something; where it kills the program, begin a new life."""
        try:
            return act()
        except KilledError:
            self.die()
        while True:
            try:
                self.live()
            except KilledError:
                self.die()
            else:
                return None

    def pulse(self, times: int = 1, step_ms: int = 1_000) -> None:
        for _ in range(times):
            self.clock.now += step_ms
            self.engine.now = self.clock.now
            self.run(self.gateway.release())
            self.alive(lambda: self.run(self.dealer.pulse()))

    def intent(self, kind: str = "market", side: str = "buy", qty: str = "0.01", **fields: Any) -> Intent:
        self.count += 1
        values: dict[str, Any] = {
            "strategy": "random", "symbol": "BTC/USDT", "bar_time": self.count, "side": side, "kind": kind,
            "qty": Decimal(qty), "reference_price": self.engine.prices[fields.get("symbol", "BTC/USDT")],
            "asked_at": self.clock.now,
        }  # fmt: skip
        return Intent(**{**values, **fields})

    def random_intent(self) -> Intent:
        """Market orders and limits near and far, both sides, two symbols."""
        symbol = ("BTC/USDT", "ETH/USDT")[self.random.integers(2)]
        instrument = self.engine.instruments[symbol]
        price = self.engine.prices[symbol]
        side = ("buy", "sell")[self.random.integers(2)]
        qty = instrument.quantise(Decimal(int(self.random.integers(20, 90))) / price)
        if self.random.random() < 0.5:
            return self.intent("market", side, str(qty), symbol=symbol)
        offset = Decimal(int(self.random.integers(-20, 40))) / 10_000 * (-1 if side == "buy" else 1)
        limit = instrument.quantise_price(price * (1 + offset), is_buy=side == "buy")
        timeout = int(self.random.integers(2_000, 20_000))
        return self.intent("limit", side, str(qty), symbol=symbol, price=limit, timeout_ms=timeout)

    def market_moves(self) -> None:
        """Prices wander; resting orders are hit, some of them in parts."""
        for symbol, price in list(self.engine.prices.items()):
            step = Decimal(int(self.random.integers(-10, 11))) / 10_000
            self.engine.quote(symbol, (price * (1 + step)).quantize(Decimal("0.01")))
        for order_id in list(self.engine.open):
            order = self.engine.orders[order_id]
            if order.kind == "limit" and order.client_id != "web_1" and self.random.random() < 0.3:
                part = self.engine.instruments[order.symbol].quantise((order.qty - order.filled) / 3)
                if part > 0:
                    self.engine.fill(order_id, part, order.price or Decimal(0))

    def trade(self, orders: int, *, kill_share: float = 0.0) -> None:
        """Ask for many orders at random, with cancels, moves of the market and (by chance) new lives in between."""
        self.kill_share = kill_share
        for number in range(orders):
            intent = self.random_intent()
            key = self.alive(partial(self.ask, intent, number)) or self.alive(partial(self.ask, intent, number))
            if number % 3 == 0:
                self.market_moves()
            cancelled = self._to_cancel(key)
            if cancelled is not None:
                self.alive(partial(self.dealer.cancel, cancelled))
            if self.engine.orders and self.random.random() < 0.3:
                self.alive(self.push)
            self.pulse(step_ms=500)
            for _ in range(40):
                if len(self.book.active) <= 12 or self.gateway.plan.per_mille == 1_000:
                    break
                self.pulse(step_ms=500)
        self.kill_share = 0.0

    def trade_up_to(self, orders: int, *, kill_share: float = 0.0) -> None:
        """Trade until the venue has seen so many orders; a book that takes none any more ends it with its reason."""
        while (before := len(self.engine.orders)) < orders:
            self.trade(min(250, orders), kill_share=kill_share)
            assert len(self.engine.orders) > before, (
                f"no order reaches the venue: {self.book.halted or 'nobody halted'}"
            )

    def ask(self, intent: Intent, number: int) -> str:
        """Want an order: written at once, or (every second one) by the door, with what follows from it."""
        if number % 2:
            return self.dealer.ask(intent)
        Door(self.dealer)([Ask(intent)], self.failures.append)
        self.run(self.dealer.hurry())
        return intent.key

    def _to_cancel(self, asked: str | None) -> str | None:
        """Change one's mind about the newest order, or about one that rests."""
        chance = self.random.random()
        if chance < 0.05:
            return asked
        resting = [order for order in self.book.unsettled() if order.phase is Phase.OPEN]
        return resting[0].intent.key if resting and chance < 0.25 else None

    def race(self, client_id: str) -> None:
        """Let the market be faster than a cancel, sometimes."""
        order = self.engine.find(client_id)
        if order is not None and order.is_open and self.random.random() < 0.3:
            self.engine.fill(order.order_id, order.qty - order.filled, order.price or self.engine.prices[order.symbol])

    def push(self) -> None:
        """Let the venue's stream tell old and new things in any order."""
        self.told += [order for order in list(self.engine.orders.values())[-3:] if order not in self.told[-9:]]
        chosen = [self.told[int(i)] for i in self.random.integers(max(0, len(self.told) - 12), len(self.told), 3)]
        trades = self.engine.trades[-4:][:: -1 if self.random.random() < 0.5 else 1]
        self.dealer.tell(orders=tuple(chosen), trades=tuple(trades))

    def settle(self, rounds: int = 4_000) -> None:
        """Heal the venue, end what rests, and go on until nothing is unfinished."""
        self.gateway.heal()
        self.healed_at = self.clock.now
        for _ in range(rounds):
            self.pulse()
            for order in self.book.unsettled():
                if not order.cancel and order.phase is Phase.OPEN:
                    self.dealer.cancel(order.intent.key, "the test is over")
            if not self.book.active:
                break
        self.pulse(3, 60_000)

    def truth(self) -> VenueTruth:
        return VenueTruth(tuple(self.engine.orders.values()), self.engine.trades, self.engine.totals, OPENING)

    def _requests(self) -> Iterator[tuple[int, str, bool]]:
        """Give all requests; a life that began in a ban that killed the one before may learn of it by one request."""
        for start, end in pairwise([*self.began, len(self.gateway.requests)]):
            banned = [number for number in range(start, end) if self.gateway.requests[number].was_banned]
            excused = banned[:1] if start else []
            for number in range(start, end):
                request = self.gateway.requests[number]
                yield request.time, request.what, request.was_banned and number not in excused

    def whole_book(self) -> Book:
        """Everything that ever was, as the journal says: the book of a running program lets go of what is long over."""
        return Book(self.book.rules).replay(self.journal.events())

    def again(self) -> tuple[int, Book]:
        """The book that the next life begins with, and how many events its checkpoint has saved it from reading."""
        book = Book(self.book.rules, self.keep)
        number, _ = checkpoint.load(self.journal, book)
        return number, book.replay(self.journal.events(after=number))

    def violations(self) -> list[str]:
        """Check every promise, and that the journal alone gives the same book, from a checkpoint or from its begin."""
        whole = self.whole_book()
        found = violations(whole, self.truth())
        found += silent_when_banned(self._requests())
        found += never_backwards(self.journal.events(), self.book.rules)
        found += gate_kept((r.time for r in self.gateway.requests if r.what == "submit"), self.shut)
        if self.book.active or self.dealer.broken:
            found.append(f"unfinished: {len(self.book.active)} orders; {self.dealer.broken}")
        found += [f"a foreign order was {o.status}" for o in self.engine.orders.values()
                  if o.client_id == "web_1" and not o.is_open]  # fmt: skip
        if self.healed_at:
            found += converged(
                self.book, healed_at=self.healed_at, now=self.clock.now, window_ms=5_000, poll_ms=1_000
            )  # fmt: skip
        for book in (Book(self.book.rules, self.keep).replay(self.journal.events()), self.again()[1]):
            if book.remembers() != self.book.remembers():
                found.append("the journal gives another book than the one in memory")
        if self.journal.attempts() != whole.by_client:
            found.append("the journal's attempts are not those of the book")
        executions = {(t.symbol, t.trade_id) for o in whole.orders.values() for t in o.fills}
        if self.journal.executions() != executions:
            found.append("the journal's executions are not those of the book")
        return found

    def foreign_order(self) -> str:
        """Somebody else's order on the same account."""
        request = OrderRequest(
            "web_1", "BTC/USDT", "buy", "limit", Decimal("0.01"), Decimal("15000.00"), None, self.engine.now
        )
        return self.engine.submit(request).client_id

    def close(self) -> None:
        self.die()
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def with_seed(plan: FaultPlan, seed: int) -> FaultPlan:
    return replace(plan, seed=seed)
