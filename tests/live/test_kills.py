"""Real processes that die at named fail points, in the middle of whatever they did; the venue lives on."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import warnings
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.live.dealer import Dealer
from itb.live.door import Ask, Door, Failure
from itb.live.gateways.faults import FaultPlan, FaultyGateway
from itb.live.gateways.matching import MatchingEngine
from itb.live.gateways.paper import PaperGateway
from itb.live.gateways.port import Capabilities, NoAnswerError
from itb.live.invariants import VenueTruth, violations
from itb.live.journal.store import Journal
from itb.live.lookout import Pace
from itb.live.orders.book import Book
from itb.live.orders.intent import Intent
from itb.live.orders.machine import Machine
from tests.live.rehearsal import BTC, ETH, OPENING, PRICES, START, Clock

POINTS = (
    "journal.before_write", "journal.before_commit", "journal.after_commit", "dealer.before_sending",
    "dealer.after_sending", "dealer.before_answers", "dealer.after_answers", "journal.before_checkpoint",
    "journal.after_checkpoint",
)  # fmt: skip


@dataclass(frozen=True)
class Silence:
    """What goes through the pipe where there is no answer."""

    reason: str
    retry_at: int


class FarGateway:
    """The venue is in another process; this end may die at any moment."""

    capabilities = Capabilities()

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.now = START

    def __getattr__(self, name: str) -> Any:
        if name != "wait" and not hasattr(FaultyGateway, name):
            raise AttributeError(name)

        async def ask(*args: Any) -> Any:
            self.pipe.send((name, args))
            self.now, answer = self.pipe.recv()
            if isinstance(answer, Silence):
                raise NoAnswerError(answer.reason, answer.retry_at)
            return answer

        return ask


def life(pipe: Connection, file: Path, wanted: list[Intent], point: str, number: int) -> None:
    """One life of the program: ask for every order (earlier lives have some), until all are done or it dies."""
    count = 0

    def reach(name: str) -> None:
        nonlocal count
        count += name == point
        if count == number:
            if number % 2:
                os._exit(9)
            os.kill(os.getpid(), signal.SIGKILL)

    gateway = FarGateway(pipe)
    journal = Journal(file, reach=reach)
    dealer = Dealer(
        gateway, journal, owner="test", clock=lambda: gateway.now, machine=Machine(), pace=Pace(poll_ms=1), reach=reach,
        checkpoint_every=10,
    )  # fmt: skip

    told: list[Failure] = []

    async def work() -> None:
        for count, intent in enumerate(wanted):
            if count % 2:
                dealer.ask(intent)
            else:
                Door(dealer)([Ask(intent)], told.append)
                await dealer.hurry()
            await dealer.pulse()
        while dealer.book.active:
            await gateway.wait()
            await dealer.pulse()

    asyncio.run(work())
    os._exit(0)


def serve(pipe: Connection, gateway: FaultyGateway, clock: Clock) -> None:
    """Answer until the other side is gone; each request takes 100 ms of the venue's time."""
    while True:
        try:
            name, args = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        clock.now += 100
        gateway.inner.engine.now = clock.now  # type: ignore[attr-defined]  # the paper gateway's
        asyncio.run(gateway.release())
        try:
            answer = None if name == "wait" else asyncio.run(getattr(gateway, name)(*args))
        except NoAnswerError as error:
            answer = Silence(str(error), error.retry_at)
        try:
            pipe.send((clock.now, answer))
        except (BrokenPipeError, ConnectionResetError):
            return


def live_and_die(file: Path, kills: int, seed: int) -> tuple[list[str], int]:
    """Kill as often as asked, then let it finish; give what was violated and how many lives died."""
    random = np.random.default_rng(seed)
    clock = Clock()
    engine = MatchingEngine((BTC, ETH), OPENING)
    for symbol, price in PRICES.items():
        engine.quote(symbol, price)
    engine.now = clock.now
    gateway = FaultyGateway(PaperGateway(engine, clock), FaultPlan(seed=seed, per_mille=50), clock)
    wanted = [
        Intent(
            "kills", ("BTC/USDT", "ETH/USDT")[n % 2], n, "buy", "market", Decimal("0.01"), reference_price=Decimal(1500)
        )
        for n in range(8 * kills)
    ]
    died = 0
    for attempt in range(kills * 2):
        point = POINTS[attempt % len(POINTS)] if died < kills else ""
        number = int(random.integers(1, 4))
        ours, theirs = multiprocessing.Pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pytest's workers have threads; this child forks none
            child = os.fork()
        if not child:
            ours.close()
            try:
                life(theirs, file, wanted[: 4 * attempt + 4], point, number)
            finally:
                os._exit(1)
        theirs.close()
        serve(ours, gateway, clock)
        ours.close()
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in {0, 9, -9}
        died += status != 0
        if not status and not point:
            break
    with Journal(file) as journal:
        book = Book().replay(journal.events())
    assert not book.active
    truth = VenueTruth(tuple(engine.orders.values()), engine.trades, engine.totals, OPENING)
    assert len(engine.trades) == len(book.orders) >= 4 * kills
    return violations(book, truth), died


def test_25_kills_at_fail_points(journal_file: Path) -> None:
    assert live_and_die(journal_file, kills=25, seed=1) == ([], 25)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_500_kills_at_fail_points(seed: int, journal_file: Path) -> None:
    found, died = live_and_die(journal_file, kills=50, seed=seed)
    assert found == []
    assert died == 50
