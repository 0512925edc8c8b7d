"""The journal's tables. Constraints of the database repeat the two rules that matter most."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_Number = BigInteger().with_variant(Integer, "sqlite")


class Table(DeclarativeBase):
    """Base of all tables."""


class SchemaVersion(Table):
    """Which migrations this database has had."""

    __tablename__ = "schema_version"

    version: Mapped[int] = mapped_column(Integer, primary_key=True)


class EventRow(Table):
    """One event; the rows in order are the whole truth."""

    __tablename__ = "events"

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=False)
    time: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(24), index=True)
    body: Mapped[str] = mapped_column(Text)


class AttemptRow(Table):
    """One attempt to send an order: no client id is ever used twice."""

    __tablename__ = "attempts"

    client_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    order_key: Mapped[str] = mapped_column(String(200), index=True)
    sent_at: Mapped[int] = mapped_column(BigInteger)


class ExecutionRow(Table):
    """One execution: no trade is ever booked twice."""

    __tablename__ = "executions"

    symbol: Mapped[str] = mapped_column(String(40), primary_key=True)
    trade_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    order_id: Mapped[str] = mapped_column(String(64), index=True)
    side: Mapped[str] = mapped_column(String(4))
    qty: Mapped[str] = mapped_column(String(60))
    price: Mapped[str] = mapped_column(String(60))
    fee: Mapped[str] = mapped_column(String(60))
    fee_currency: Mapped[str] = mapped_column(String(16))
    time: Mapped[int] = mapped_column(BigInteger)
