"""From an older database to the newest, one numbered step after the other."""

from __future__ import annotations

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


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> int:
    """Take all steps that the database has not had, within the caller's transaction, and give its version."""
    SchemaVersion.metadata.tables[SchemaVersion.__tablename__].create(connection, checkfirst=True)
    version: int = connection.execute(select(func.max(SchemaVersion.version))).scalar() or 0
    if version > len(steps):
        raise JournalError(
            f"journal: its tables have version {version}, this itb knows up to {len(steps)}; use the itb that wrote it"
        )
    for step in steps[version:]:
        step(connection)
    if version < len(steps):
        connection.execute(delete(SchemaVersion))
        connection.execute(insert(SchemaVersion).values(version=len(steps)))
    return len(steps)


def has_tables(connection: Connection) -> bool:
    """Whether anything was ever written here."""
    return inspect(connection).has_table(SchemaVersion.__tablename__)
