"""The journal: what was appended is there, whatever broke; and it refuses what it cannot trust."""

from __future__ import annotations

import multiprocessing
import warnings
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from itb.errors import JournalError
from itb.live.gateways.port import VenueTrade
from itb.live.journal.codec import decode, encode, kind_of
from itb.live.journal.migrations import STEPS, migrate
from itb.live.journal.store import Journal
from itb.live.notify.mailroom import Mailroom
from itb.live.orders.events import Adjusted, Halted, Sending, Traded
from itb.live.orders.ids import client_id, owner_prefix
from tests.live.rehearsal import Rehearsal

_NEW_FILES = 12
amounts = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**9), max_value=10**9)


@given(amount=amounts, why=st.text(max_size=20), time=st.integers(0, 2**60))
def test_an_event_is_read_as_it_was_written(amount: Decimal, why: str, time: int) -> None:
    event = Adjusted(time, "BTC", amount, why)
    again = decode(kind_of(event), encode(event))
    assert again == event
    assert isinstance(again, Adjusted)
    assert str(again.amount) == str(amount)


def test_a_batch_is_written_whole_or_not_at_all(journal_file: Path) -> None:
    trade = VenueTrade("7", "1", "BTC/USDT", "buy", Decimal(1), Decimal(2), Decimal(0), "USDT", 5)
    with Journal(journal_file) as journal:
        journal.append([Halted(1, "first"), Traded(1, trade)])
        with pytest.raises(JournalError, match=r"cannot be written .*nothing is sent without it"):
            journal.append([Halted(2, "second"), Traded(2, trade)])
        journal.append([Halted(3, "third")])
        assert [event.time for event in journal.events()] == [1, 1, 3]


def test_no_client_id_is_journaled_twice(journal_file: Path) -> None:
    with Journal(journal_file) as journal:
        journal.append([Sending(1, "a", "itb-1", 1, 5_000)])
        with pytest.raises(JournalError, match=r"attempts\.client_id"):
            journal.append([Sending(2, "b", "itb-1", 2, 5_000)])


def test_it_waits_for_the_disk_at_each_commit(journal_file: Path) -> None:
    with Journal(journal_file) as journal:
        assert journal._connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert journal._connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_of_processes_that_open_a_new_journal_at_once_each_finds_it_whole(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")
    gate = forked.Barrier(4, timeout=120)

    def open_all(opened: type[Journal | Mailroom]) -> None:
        for number in range(_NEW_FILES):
            gate.wait()
            opened(tmp_path / str(number)).close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest's workers have threads; these children fork none
        openers = [forked.Process(target=open_all, args=(kind,)) for kind in (Journal, Mailroom) * 2]
        for one in openers:
            one.start()
    for one in openers:
        one.join(120)
    assert [one.exitcode for one in openers] == [0] * 4
    for number in range(_NEW_FILES):
        engine = create_engine(f"sqlite:///{tmp_path / str(number)}")
        with engine.begin() as connection:
            assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [len(STEPS)]
        engine.dispose()


def add_a_table(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE more (a INTEGER)"))


def test_a_newer_or_damaged_journal_is_refused(journal_file: Path) -> None:
    Journal(journal_file).close()
    engine = create_engine(f"sqlite:///{journal_file}")
    with engine.begin() as connection:
        assert migrate(connection, [*STEPS, add_a_table]) == len(STEPS) + 1
    engine.dispose()
    with pytest.raises(
        JournalError, match=f"its tables have version {len(STEPS) + 1}, this itb knows up to {len(STEPS)}"
    ):
        Journal(journal_file)
    journal_file.write_bytes(b"SQLite format 3\0" + b"x" * 4_096)
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(journal_file)


def test_nothing_is_sent_while_the_journal_cannot_be_written(journal_file: Path) -> None:
    """X9: a full or read-only disk stops sending; what comes back afterwards is complete."""
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.trade(5)
        rehearsal.dealer.ask(rehearsal.intent())
        with rehearsal.journal._connection.begin():
            rehearsal.journal._connection.execute(text("PRAGMA query_only=ON"))
        sent = len(rehearsal.engine.orders)
        rehearsal.pulse(5)
        assert "cannot be written" in rehearsal.dealer.broken
        assert len(rehearsal.engine.orders) == sent
        with rehearsal.journal._connection.begin():
            rehearsal.journal._connection.execute(text("PRAGMA query_only=OFF"))
        rehearsal.settle()
        assert len(rehearsal.engine.orders) > sent
        assert rehearsal.violations() == []


def test_another_bot_does_not_use_this_journal(journal_file: Path) -> None:
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.pulse()
        dealer = type(rehearsal.dealer)
        with pytest.raises(JournalError, match="it belongs to 'test', this is 'other'"):
            dealer(rehearsal.gateway, rehearsal.journal, owner="other", clock=rehearsal.clock)


@given(st.lists(st.text(max_size=30), unique=True, max_size=20), st.integers(1, 9_999))
def test_client_ids_are_short_plain_and_differ(keys: list[str], attempt: int) -> None:
    ids = [client_id("bot", key, attempt) for key in keys]
    assert len(set(ids)) == len(keys)
    assert all(len(i) <= 32 and i.replace("-", "").isalnum() and i.startswith(owner_prefix("bot")) for i in ids)
