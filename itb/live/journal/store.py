"""The journal in a database: SQLite that waits for the disk at every commit, or any other by URL."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from sqlalchemy import BigInteger, Connection, Engine, cast, create_engine, delete, event, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from itb.errors import JournalError
from itb.live.journal.codec import decode, encode, kind_of
from itb.live.journal.migrations import migrate, set_pragmas
from itb.live.journal.tables import AttemptRow, CheckpointRow, EventRow, ExecutionRow
from itb.live.orders.events import Event, Sending, Traded

BUSY_MS = 5_000
_log = logging.getLogger(__name__)


def pass_by(point: str) -> None:
    """Do nothing at a fail point; tests pass something that kills the process there."""
    del point


def address_of(url: str | Path) -> str:
    """Give SQLAlchemy's URL of a database that is named by a URL or as an SQLite file.

    >>> address_of(Path("a/journal.sqlite")), address_of("postgresql://host/bot")
    ('sqlite:///a/journal.sqlite', 'postgresql+psycopg://host/bot')
    """
    address = f"sqlite:///{url}" if isinstance(url, Path) or "://" not in url else url
    if address.startswith("postgresql://"):
        return address.replace("postgresql://", "postgresql+psycopg://", 1)
    return address


class Journal:
    """An append-only list of events. What :meth:`append` returned from is on the disk.

    Parameters
    ----------
    url
        SQLAlchemy URL, or the path of an SQLite file.
    reach
        Called with the name of each fail point.
    """

    def __init__(self, url: str | Path, *, reach: Callable[[str], None] = pass_by) -> None:
        self._reach = reach
        self.where = str(url)
        try:
            self._engine = create_engine(address_of(url))
            if self._engine.dialect.name == "sqlite":
                _make_durable(self._engine)
            self._connection: Connection = self._engine.connect()
            self._check()
            with self._connection.begin():
                migrate(self._connection)
                self._next = (self._connection.execute(select(func.max(EventRow.number))).scalar() or 0) + 1
        except SQLAlchemyError as error:
            raise self._failure("cannot be opened", error) from None

    def _failure(self, what: str, error: SQLAlchemyError) -> JournalError:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        where = self.where.rpartition("@")[2]  # never the password
        return JournalError(
            f"journal {where}: {what} ({cause.replace(self.where, where)}); nothing is sent without it. "
            "Free the disk or restore the file, then start again"
        )

    def _check(self) -> None:
        if self._engine.dialect.name != "sqlite":
            return
        with self._connection.begin():
            found = self._connection.execute(text("PRAGMA quick_check(1)")).scalar()
        if found != "ok":
            raise JournalError(
                f"journal {self.where}: damaged ({found}); restore it from a copy, or move it away and let the account "
                "be read anew"
            )

    def append(self, events: Sequence[Event]) -> None:
        """Write events, all or none, and wait until they are on the disk."""
        if not events:
            return
        rows = [
            {"number": self._next + i, "time": e.time, "kind": kind_of(e), "body": encode(e)}
            for i, e in enumerate(events)
        ]
        self._reach("journal.before_write")
        try:
            with self._connection.begin():
                self._connection.execute(insert(EventRow), rows)
                self._write_rules(events)
                self._reach("journal.before_commit")
        except SQLAlchemyError as error:
            raise self._failure("cannot be written", error) from None
        self._next += len(rows)
        self._reach("journal.after_commit")

    def _write_rules(self, events: Sequence[Event]) -> None:
        attempts = [
            {"client_id": e.client_id, "order_key": e.key, "sent_at": e.sent_at}
            for e in events
            if isinstance(e, Sending)
        ]
        if attempts:
            self._connection.execute(insert(AttemptRow), attempts)
        trades = [_execution(e) for e in events if isinstance(e, Traded)]
        if trades:
            self._connection.execute(insert(ExecutionRow), trades)

    @property
    def count(self) -> int:
        """How many events there are; the newest one has this number."""
        return self._next - 1

    def events(self, after: int = 0) -> Iterator[Event]:
        """Read all events, oldest first, or those with a higher number than ``after``."""
        with self._reading() as connection:
            wanted = select(EventRow.kind, EventRow.body).where(EventRow.number > after)
            rows = connection.execute(wanted.order_by(EventRow.number))
            for kind, body in rows.yield_per(1_000):
                yield decode(kind, body)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._connection.begin():
                yield self._connection
        except SQLAlchemyError as error:
            raise self._failure("cannot be read", error) from None

    def newest(self) -> Event | None:
        """Read the newest event, ``None`` where nothing was ever written."""
        return next(iter(list(self.events(after=self.count - 1))), None)

    def key_of(self, client_id: str) -> str | None:
        """Give the key of the order that was ever about to be sent under a client id."""
        with self._reading() as connection:
            wanted = select(AttemptRow.order_key).where(AttemptRow.client_id == client_id)
            return connection.execute(wanted).scalar()

    def was_attempted(self, key: str) -> bool:
        """Whether the order of a key was ever about to be sent."""
        with self._reading() as connection:
            wanted = select(AttemptRow.client_id).where(AttemptRow.order_key == key).limit(1)
            return connection.execute(wanted).scalar() is not None

    def last_trade(self) -> int:
        """Give the highest number that an execution has, where a venue counts them; 0 where there is none."""
        with self._reading() as connection:
            return connection.execute(select(func.max(cast(ExecutionRow.trade_id, BigInteger)))).scalar() or 0

    def save(self, layout: str, body: str) -> None:
        """Write what all events so far came to, in place of what was written before."""
        self._reach("journal.before_checkpoint")
        try:
            with self._connection.begin():
                self._connection.execute(delete(CheckpointRow))
                digest = self._digest(self.count, layout, body)
                row = {"number": self.count, "layout": layout, "digest": digest, "body": body}
                self._connection.execute(insert(CheckpointRow), [row])
        except SQLAlchemyError as error:
            raise self._failure("cannot be written", error) from None
        self._reach("journal.after_checkpoint")

    def saved(self, layout: str) -> tuple[int, str] | None:
        """Give the number of the last event that a checkpoint has taken in, and the checkpoint's text.

        ``None`` where there is none, and for one that is damaged, of another layout, or of other events than these.
        """
        with self._reading() as connection:
            wanted = select(CheckpointRow.number, CheckpointRow.layout, CheckpointRow.digest, CheckpointRow.body)
            row = connection.execute(wanted).first()
            if row is None:
                return None
            if row.layout != layout:
                _log.info("journal %s: its checkpoint was written by another itb or by other rules", self.where)
                return None
            if row.digest != self._digest(row.number, layout, row.body):
                _log.warning("journal %s: its checkpoint is damaged; all of the journal is read instead", self.where)
                return None
        return row.number, row.body

    def _digest(self, number: int, layout: str, body: str) -> str:
        """Sign a checkpoint, together with the event that it ends with."""
        last = self._connection.execute(select(EventRow.body).where(EventRow.number == number)).scalar()
        return hashlib.sha256(f"{number}\n{layout}\n{last}\n{body}".encode()).hexdigest()

    def attempts(self) -> dict[str, str]:
        """Give client id -> order key of everything that was ever about to be sent."""
        with self._connection.begin():
            rows = self._connection.execute(select(AttemptRow.client_id, AttemptRow.order_key))
            return {row.client_id: row.order_key for row in rows}

    def executions(self) -> set[tuple[str, str]]:
        """Give ``(symbol, trade id)`` of every execution that was ever booked."""
        with self._connection.begin():
            return {(s, t) for s, t in self._connection.execute(select(ExecutionRow.symbol, ExecutionRow.trade_id))}

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _execution(traded: Traded) -> dict[str, Any]:
    trade = traded.trade
    return {
        "symbol": trade.symbol,
        "trade_id": trade.trade_id,
        "order_id": trade.order_id,
        "side": trade.side,
        "qty": str(trade.qty),
        "price": str(trade.price),
        "fee": str(trade.fee),
        "fee_currency": trade.fee_currency,
        "time": trade.time,
    }


def _make_durable(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def wait_for_the_disk(connection: Any, _: Any) -> None:
        set_pragmas(connection, synchronous="FULL", busy_ms=BUSY_MS)
