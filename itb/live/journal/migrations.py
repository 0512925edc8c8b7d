"""From an older database to the newest, one numbered step after the other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from sqlalchemy import Connection, delete, func, insert, inspect, select

from itb.errors import JournalError
from itb.live.journal.tables import SchemaVersion, Table

Step: TypeAlias = Callable[[Connection], None]


def _create(connection: Connection) -> None:
    """Create the tables that are not there yet; those that are stay as they are."""
    Table.metadata.create_all(connection)


STEPS: tuple[Step, ...] = (_create, _create, _create)
"""Step ``n`` turns version ``n`` into ``n + 1``. Steps are never changed once released; new ones are added.

Version 2 has notices, outbox and grades, version 3 checkpoints.
"""


_ALONE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(1769234004)"}
_PATIENCE_S, _LOOK_S = 60.0, 0.01


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> int:
    """Take all steps that the database has not had, within the caller's transaction, and give its version.

    Of several processes that open a new database at the same moment one takes them, and the others wait for it.
    """
    version = _version(connection)
    if version < len(steps):
        alone = _ALONE.get(connection.dialect.name)
        if alone is not None:
            connection.exec_driver_sql(alone)
        version = _version(connection)
    if version > len(steps):
        raise JournalError(
            f"journal: its tables have version {version}, this itb knows up to {len(steps)}; use the itb that wrote it"
        )
    if version < len(steps):
        for step in steps[version:]:
            step(connection)
        SchemaVersion.metadata.tables[SchemaVersion.__tablename__].create(connection, checkfirst=True)
        connection.execute(delete(SchemaVersion))
        connection.execute(insert(SchemaVersion).values(version=len(steps)))
    return len(steps)


def has_tables(connection: Connection) -> bool:
    """Whether anything was ever written here."""
    return inspect(connection).has_table(SchemaVersion.__tablename__)


def _version(connection: Connection) -> int:
    if not has_tables(connection):
        return 0
    return connection.execute(select(func.max(SchemaVersion.version))).scalar() or 0


def set_pragmas(connection: sqlite3.Connection, *, synchronous: str, busy_ms: int) -> None:
    """Let an SQLite file be written while others read it, and wait for the disk as ``synchronous`` says.

    For the change to a write-ahead log SQLite itself waits for nobody: who opens a new file together with others does.
    """
    connection.execute(f"PRAGMA busy_timeout={busy_ms}")
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_LOOK_S)
    connection.execute(f"PRAGMA synchronous={synchronous}")
