"""Checkpoints: a start from one gives the very book that the whole journal gives, and a bad one is not believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from itb.live.gateways.faults import FaultPlan
from itb.live.journal import checkpoint
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.live.orders.book_state import BookState
from itb.live.orders.bracket import Bracket
from itb.live.orders.events import Event, Halted
from itb.live.orders.rules import Rules
from tests.live.rehearsal import START, Rehearsal

KEEP = 12


def brackets(rehearsal: Rehearsal, count: int) -> None:
    """Positions with stops and targets that are moved and closed, so that there are plans to remember and forget."""
    for number in range(count):
        plan = Bracket(f"b{number}", rehearsal.intent(), stop_price=rehearsal.engine.prices["BTC/USDT"] / 2)
        key = rehearsal.alive(lambda: rehearsal.dealer.plan(plan)) or rehearsal.alive(
            lambda: rehearsal.dealer.plan(plan)
        )
        rehearsal.pulse(6)
        if number % 3:
            rehearsal.dealer.close(key, "signal")
            rehearsal.pulse(6)


@pytest.fixture(scope="module")
def events() -> Iterator[list[Event]]:
    """The journal of a run with faults, kills and brackets; some plans are still open."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        faults = FaultPlan(seed=5, per_mille=80)
        with Rehearsal(Path(folder) / "journal.db", faults=faults, seed=5) as rehearsal:
            rehearsal.trade(60, kill_share=0.01)
            brackets(rehearsal, 20)
            rehearsal.trade(30, kill_share=0.01)
            yield list(rehearsal.journal.events())


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1))
def test_a_book_from_any_checkpoint_is_the_one_of_the_whole_journal(events: list[Event], share: float) -> None:
    cut = round(share * len(events))
    first = Book(keep=KEEP).replay(events[:cut])
    text_ = checkpoint.text_of(first, {"a": "b"})
    again = Book(keep=KEEP)
    assert checkpoint.read(text_, again) == {"a": "b"}
    assert again.remembers() == first.remembers()
    assert again.replay(events[cut:]).remembers() == Book(keep=KEEP).replay(events).remembers()


def test_a_book_that_forgets_knows_what_matters_as_one_that_does_not(events: list[Event]) -> None:
    bounded, whole = Book(keep=KEEP), Book()
    for event in events:
        bounded.apply(event)
        whole.apply(event)
        assert bounded.active == whole.active
        assert bounded.open_plans == whole.open_plans
        assert len(bounded.settled) < 2 * KEEP + sum(map(len, bounded.legs.values()))
    assert bounded.forgotten > 3 * KEEP
    assert len(bounded.orders) + bounded.forgotten == len(whole.orders)
    for name in ("positions", "balances", "rounded", "worth", "halted", "sent", "quiet_until", "degraded"):
        assert getattr(bounded, name) == getattr(whole, name), name
    for key in bounded.orders:
        assert bounded.orders[key] == whole.orders[key]
    for plan in bounded.open_plans:
        assert bounded.legs_of(plan) == whole.legs_of(plan)
        assert bounded.state_of(plan) == whole.state_of(plan)
    assert len(bounded.plans) < len(whole.plans)


def test_a_start_reads_only_what_came_after_the_checkpoint(journal_file: Path) -> None:
    with Rehearsal(journal_file, seed=1) as rehearsal:
        rehearsal.trade(200)
        number, book = rehearsal.again()
        count = rehearsal.journal.count
        assert count - number < 300 + 40  # one is due every 300 events, and written at the end of a round
        assert number > 600
        assert book.remembers() == rehearsal.book.remembers()


def test_a_damaged_checkpoint_is_not_believed(journal_file: Path) -> None:
    with Rehearsal(journal_file, seed=1) as rehearsal:
        rehearsal.trade(200)
        before = rehearsal.book.remembers()
    for column, value in (("body", "replace(body, '0.5', '0.6')"), ("number", "number - 1"), ("digest", "'x'")):
        with Journal(journal_file) as journal:
            with journal._connection.begin():
                kept = journal._connection.execute(text("SELECT body, number, digest FROM checkpoints")).one()
                journal._connection.execute(text(f"UPDATE checkpoints SET {column} = {value}"))
            book = Book(Rules(), 200)
            assert checkpoint.load(journal, book) == (0, {})
            assert book.replay(journal.events()).remembers() == before
            with journal._connection.begin():
                journal._connection.execute(
                    text("UPDATE checkpoints SET body = :b, number = :n, digest = :d"),
                    {"b": kept[0], "n": kept[1], "d": kept[2]},
                )
    with Journal(journal_file) as journal:
        book = Book(Rules(), 200)
        assert checkpoint.load(journal, book)[0] > 600


def test_a_checkpoint_of_other_rules_or_events_is_not_believed(journal_file: Path) -> None:
    with Rehearsal(journal_file, seed=1) as rehearsal:
        rehearsal.trade(200)
        journal = rehearsal.journal
        assert checkpoint.load(journal, Book(Rules(), 200))[0]
        assert checkpoint.load(journal, Book(Rules(margin_ms=1), 200))[0] == 0
        assert checkpoint.load(journal, Book(Rules(), 100))[0] == 0
        number = checkpoint.load(journal, Book(Rules(), 200))[0]
        with journal._connection.begin():
            journal._connection.execute(
                text("UPDATE events SET body = replace(body, '1', '2') WHERE number = :n"), {"n": number}
            )
        assert checkpoint.load(journal, Book(Rules(), 200))[0] == 0


def test_an_order_that_the_book_has_let_go_of_is_not_sent_again(journal_file: Path) -> None:
    with Rehearsal(journal_file, seed=2, keep=5) as rehearsal:
        intent = rehearsal.intent()
        rehearsal.pulse()
        key = rehearsal.dealer.ask(intent)
        rehearsal.pulse(5)
        for _ in range(40):
            rehearsal.dealer.ask(rehearsal.intent())
            rehearsal.pulse(3)
        assert key not in rehearsal.book.orders
        sent = len(rehearsal.engine.orders)
        rehearsal.dealer.ask(intent)
        rehearsal.pulse(5)
        assert len(rehearsal.engine.orders) == sent
        rehearsal.settle()
        assert rehearsal.violations() == []


def test_memory_does_not_grow_with_the_orders_of_the_past(journal_file: Path) -> None:
    sizes = []
    with Rehearsal(journal_file, seed=3, keep=20) as rehearsal:
        for _ in range(3):
            rehearsal.trade(100)
            book = rehearsal.book
            sizes.append(len(book.orders) + len(book.by_client) + len(book.by_venue) + len(book.groups))
    assert max(sizes) < 3 * (2 * 20 + 12) + 20


def test_a_journal_of_before_gets_a_table_for_checkpoints(journal_file: Path) -> None:
    with Journal(journal_file) as journal:
        journal.append([Halted(START, "old")])
        with journal._connection.begin():
            journal._connection.execute(text("DROP TABLE checkpoints"))
            journal._connection.execute(text("UPDATE schema_version SET version = 2"))
    with Journal(journal_file) as journal:
        book = Book(keep=KEEP)
        assert checkpoint.load(journal, book) == (0, {})
        checkpoint.save(journal, book.replay(journal.events()), {})
        assert checkpoint.load(journal, Book(keep=KEEP)) == (1, {})


def test_a_state_holds_all_that_a_book_remembers() -> None:
    derived = {"by_client", "legs", "groups"}
    renamed = {"by_venue": "at_venue"}
    names = {renamed.get(name, name) for name in Book().remembers().keys() - derived}
    assert names == set(BookState.__dataclass_fields__)
