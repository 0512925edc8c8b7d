"""Between a decision and the wire lies one commit, with the intent and the sending in it; never none, never two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from itb.errors import JournalError
from itb.live.bars.gate import StartGate
from itb.live.door import Ask, Begin, Close, Command, Door
from itb.live.gateways.port import Balance, NoAnswerError, OrderRequest, Submitted, VenueOrder
from itb.live.orders.bracket import Bracket
from itb.live.run.account import Account
from itb.live.run.engine import Engine
from itb.live.run.health import HealthBoard
from tests.live.rehearsal import BTC, ETH, Rehearsal

ENOUGH_S = 60.0


class Watched(Rehearsal):
    """Notes in order: each commit with its kinds of events, each order as it leaves."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.seen: list[tuple[str, ...]] = []
        self.pulse()
        self.dealer.machine.instruments |= {"BTC/USDT": BTC, "ETH/USDT": ETH}
        append, submit = self.journal.append, self.gateway.submit

        def appended(events: Any) -> None:
            append(events)
            self.seen.append(tuple(type(event).__name__ for event in events))

        async def submitted(request: OrderRequest) -> Submitted:
            self.seen.append((f"-> {request.symbol}",))
            return await submit(request)

        self.journal.append = appended  # type: ignore[method-assign]  # the real one, looked at
        self.gateway.submit = submitted  # type: ignore[method-assign]  # as above

    def deliver(self, *commands: Command) -> None:
        Door(self.dealer)(commands, self.failures.append)

    def cannot_write(self, *, is_so: bool) -> None:
        with self.journal._connection.begin():
            self.journal._connection.execute(text(f"PRAGMA query_only={'ON' if is_so else 'OFF'}"))

    def bracket(self, symbol: str = "BTC/USDT") -> Bracket:
        return Bracket("b", self.intent(symbol=symbol, qty="0.02"), stop_price=Decimal("19000.00"))


@pytest.fixture
def watched(journal_file: Path) -> Any:
    with Watched(journal_file) as rehearsal:
        yield rehearsal


def until_sent(seen: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Give the commits before the first order left."""
    return seen[: next(place for place, kinds in enumerate(seen) if kinds[0].startswith("->"))]


def test_plan_entry_and_sending_are_one_commit(watched: Watched) -> None:
    watched.deliver(Begin(watched.bracket()))
    assert watched.seen == []  # nothing waits for the disk in the door
    watched.run(watched.dealer.hurry())
    assert until_sent(watched.seen) == [("Planned", "Asked", "Sending")]


def test_an_order_and_its_sending_are_one_commit_in_a_pulse_too(watched: Watched) -> None:
    watched.deliver(Ask(watched.intent()))
    watched.run(watched.dealer.pulse())
    assert until_sent(watched.seen) == [("Asked", "Sending")]


def test_what_several_strategies_decided_meanwhile_is_one_commit(watched: Watched) -> None:
    watched.deliver(Ask(watched.intent()))
    watched.deliver(Ask(watched.intent(symbol="ETH/USDT")))
    watched.run(watched.dealer.hurry())
    assert until_sent(watched.seen) == [("Asked", "Asked", "Sending", "Sending")]
    assert [kinds[0] for kinds in watched.seen[1:3]] == ["-> BTC/USDT", "-> ETH/USDT"]


def test_nothing_is_written_where_nothing_was_decided(watched: Watched) -> None:
    watched.run(watched.dealer.hurry())
    watched.run(watched.dealer.pulse())
    assert watched.seen == []


def test_the_worth_is_written_after_the_order_has_left(watched: Watched) -> None:
    watched.dealer.value(Decimal(1_000))
    assert watched.seen == []
    assert watched.book.worth is not None
    watched.deliver(Ask(watched.intent()))
    watched.run(watched.dealer.hurry())
    assert until_sent(watched.seen) == [("Valued", "Asked", "Sending")]  # the bar before's goes along, in one commit
    watched.settle()
    watched.seen.clear()
    watched.dealer.value(Decimal(1_001))
    watched.run(watched.dealer.pulse())
    assert watched.seen == [("Valued",)]


def test_where_the_commit_fails_nothing_leaves_and_everybody_hears_of_it(watched: Watched) -> None:
    asks = [Ask(watched.intent()), Ask(watched.intent(symbol="ETH/USDT"))]
    watched.cannot_write(is_so=True)
    watched.deliver(*asks)
    watched.run(watched.dealer.hurry())
    assert [failure.command for failure in watched.failures] == asks
    assert all("cannot be written" in failure.why for failure in watched.failures)
    assert watched.engine.orders == {}
    watched.cannot_write(is_so=False)
    watched.pulse(3)
    assert watched.dealer.broken == ""
    assert (watched.book.orders, watched.engine.orders) == ({}, {})


def test_what_is_wanted_while_the_journal_stays_broken_is_told_to_have_failed(watched: Watched) -> None:
    watched.cannot_write(is_so=True)
    for _ in range(2):
        watched.deliver(Ask(watched.intent()))
        watched.run(watched.dealer.hurry())
        watched.pulse()
    assert len(watched.failures) == 2


def test_news_of_one_moment_share_a_commit(watched: Watched) -> None:
    watched.deliver(Ask(watched.intent()), Ask(watched.intent(symbol="ETH/USDT")))
    watched.run(watched.dealer.hurry())
    watched.seen.clear()
    for trade in watched.engine.trades:
        watched.dealer.tell(trades=(trade,))
    watched.run(watched.dealer.hurry())
    assert watched.seen == [("Traded", "Traded")]


def test_an_unknown_plan_fails_alone(watched: Watched) -> None:
    watched.deliver(Close("no plan", "signal"), Ask(watched.intent()))
    watched.run(watched.dealer.hurry())
    assert [failure.command for failure in watched.failures] == [Close("no plan", "signal")]
    assert len(watched.engine.orders) == 1


class Slow:
    """A venue that answers some questions only when it is let."""

    def __init__(self, rehearsal: Rehearsal, question: str) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        ask: Callable[..., Any] = getattr(rehearsal.gateway, question)

        async def slowly(*args: Any) -> Any:
            told = await ask(*args)
            self.asked.set()
            await self.may_answer.wait()
            return told

        setattr(rehearsal.gateway, question, slowly)


async def within(awaited: Any) -> None:
    async with asyncio.timeout(ENOUGH_S):
        await awaited


async def look(watched: Watched) -> None:
    """Let the dealer see what became of its orders."""
    while watched.book.active:
        watched.dealer.look_now()
        await watched.dealer.pulse()


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while not claim():  # noqa: ASYNC110  (claims about the book, which has no events to wait for)
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("question", ["open_orders", "server_time", "balances"])
def test_an_order_leaves_while_a_look_waits_for_its_answer(question: str, watched: Watched) -> None:
    async def trade() -> tuple[list[VenueOrder], bool]:
        slow = Slow(watched, question)
        account = Account("main", watched.dealer)
        running = asyncio.ensure_future(account.run())
        watched.dealer.look_now()
        account.wake()
        await within(slow.asked.wait())
        account.door(asyncio.get_running_loop())([Ask(watched.intent())], watched.failures.append)
        await until(lambda: bool(watched.engine.orders))
        waited = not slow.may_answer.is_set()
        slow.may_answer.set()
        await until(lambda: not watched.book.active)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return list(watched.engine.orders.values()), waited

    orders, waited = watched.run(trade())
    assert waited
    assert len(orders) == 1
    watched.pulse(3, 60_000)  # balances asked for before the order left are no drift
    assert watched.violations() == []
    assert watched.book.halted == ""


def test_what_a_look_notes_after_a_failed_commit_does_not_bring_the_order_back(watched: Watched) -> None:
    """The draft of the failed transaction must not slip to the disk with the look's."""

    async def trade() -> None:
        slow = Slow(watched, "open_orders")
        watched.dealer.look_now()
        looking = asyncio.ensure_future(watched.dealer.pulse())
        await within(slow.asked.wait())
        watched.cannot_write(is_so=True)
        watched.deliver(Ask(watched.intent()))
        await watched.dealer.hurry()
        watched.cannot_write(is_so=False)
        slow.may_answer.set()
        await within(looking)
        await watched.dealer.pulse()

    watched.run(trade())
    assert len(watched.failures) == 1
    assert (watched.book.orders, watched.engine.orders, watched.dealer.broken) == ({}, {}, "")
    assert watched.journal.attempts() == {}


def test_two_orders_of_one_symbol_never_fly_together(watched: Watched) -> None:
    """A second hurry finds the first one's order in doubt, and waits for what becomes of it."""

    async def trade() -> int:
        slow = Slow(watched, "submit")
        watched.deliver(Ask(watched.intent()))
        first = asyncio.ensure_future(watched.dealer.hurry())
        await within(slow.asked.wait())
        watched.deliver(Ask(watched.intent()))
        await watched.dealer.hurry()
        sent = len(watched.engine.orders)
        slow.may_answer.set()
        await within(first)
        return sent

    assert watched.run(trade()) == 1
    watched.settle()
    assert len(watched.engine.orders) == 2
    assert watched.violations() == []


def test_first_orders_leave_at_once_and_later_ones_with_the_last_decision(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itb.live.run.account.GATHER_S", 1_000.0)

    async def trade() -> None:
        account = Account("main", watched.dealer)
        lane = SimpleNamespace(is_awaited=True)
        account.lanes = [lane]  # type: ignore[list-item]  # a strategy that is still deciding
        door = account.door(asyncio.get_running_loop())
        account.gather(news=True)  # waits, and takes no order's place
        door([Ask(watched.intent())], watched.failures.append)
        await until(lambda: bool(watched.engine.orders))
        await within(look(watched))
        commits = watched.journal.count
        door([Ask(watched.intent())], watched.failures.append)
        account.hear_news()
        for _ in range(50):
            await asyncio.sleep(0)
        assert (len(watched.engine.orders), watched.journal.count - commits) == (1, 0)
        lane.is_awaited = False
        account.release()
        account.release()  # nothing waits any more
        await until(lambda: len(watched.engine.orders) == 2)
        await within(look(watched))

    watched.run(trade())
    assert watched.failures == []
    assert watched.violations() == []


def test_what_waits_for_decisions_waits_only_for_a_moment(watched: Watched) -> None:
    async def trade() -> None:
        account = Account("main", watched.dealer)
        account.lanes = [SimpleNamespace(is_awaited=True)]  # type: ignore[list-item]  # a strategy that never ends
        door = account.door(asyncio.get_running_loop())
        door([Ask(watched.intent())], watched.failures.append)
        await until(lambda: len(watched.engine.orders) == 1)
        await within(look(watched))
        door([Ask(watched.intent())], watched.failures.append)
        await until(lambda: len(watched.engine.orders) == 2)
        await within(look(watched))

    watched.run(trade())
    assert watched.violations() == []


def test_a_fault_of_ours_in_flight_ends_the_account_and_is_told(watched: Watched) -> None:
    async def trade() -> None:
        account = Account("main", watched.dealer)
        watched.dealer.understood = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]  # any fault of ours
        account.door(asyncio.get_running_loop())([Ask(watched.intent())], watched.failures.append)
        await account.run()

    with pytest.raises(ZeroDivisionError):
        watched.run(asyncio.wait_for(trade(), ENOUGH_S))


def test_a_target_that_cannot_be_journaled_is_a_trouble_and_not_the_end(watched: Watched) -> None:
    intent = watched.intent(qty="0.02")
    watched.deliver(Begin(Bracket("b", intent, stop_price=Decimal("19000.00"), target_price=Decimal("20500.00"))))
    watched.pulse(4)
    watched.cannot_write(is_so=True)

    async def settle() -> None:
        account = Account("main", watched.dealer)
        account.lanes = [SimpleNamespace(worth=lambda _prices: 1_000.0)]  # type: ignore[list-item]  # its worth
        window: Any = type("Window", (), {"close": [20_600.0], "__len__": lambda _self: 1})()
        engine = Engine({"BTC/USDT": window}, {}, [account], StartGate(), HealthBoard(lambda: 0))
        await engine._settle()
        await until(lambda: bool(watched.dealer.broken))

    watched.run(settle())
    assert "cannot be written" in watched.dealer.broken
    watched.cannot_write(is_so=False)
    watched.pulse(2)
    assert watched.dealer.broken == ""


def test_balances_that_cannot_be_asked_for_leave_the_order_alone(watched: Watched) -> None:
    async def fails() -> tuple[Balance, ...]:
        raise NoAnswerError("none")

    watched.gateway.balances = fails  # type: ignore[method-assign]  # a venue that is silent on one question
    watched.dealer.look_now()
    watched.deliver(Ask(watched.intent()))
    watched.run(watched.dealer.hurry())
    assert len(watched.engine.orders) == 1


def test_direct_asks_still_raise_what_the_journal_says(watched: Watched) -> None:
    watched.cannot_write(is_so=True)
    with pytest.raises(JournalError, match="cannot be written"):
        watched.dealer.ask(watched.intent())
