"""The journal's tables. Constraints of the database repeat the rules that matter most."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Float, Integer, LargeBinary, String, Text, UniqueConstraint
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


class CheckpointRow(Table):
    """What all events up to ``number`` came to, so that a start need not take them in again. There is one."""

    __tablename__ = "checkpoints"

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=False)
    layout: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)


class NoticeRow(Table):
    """Something that happened and that people may be told: noted once, whoever tells it twice."""

    __tablename__ = "notices"

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    time: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(16))
    body: Mapped[str] = mapped_column(Text)
    is_told: Mapped[bool] = mapped_column(Boolean, index=True, default=False)


class LetterRow(Table):
    """One message on its way out; each key is posted once by each way, and goes out in the order of numbers."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("way", "key"),)

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    way: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(240))
    topic: Mapped[str] = mapped_column(String(16))
    time: Mapped[int] = mapped_column(BigInteger)
    text: Mapped[str] = mapped_column(Text)
    picture: Mapped[bytes | None] = mapped_column(LargeBinary)
    is_quiet: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(String(12), index=True)
    parcel: Mapped[int] = mapped_column(BigInteger, default=0)
    is_repeat: Mapped[bool] = mapped_column(Boolean, default=False)
    done_at: Mapped[int] = mapped_column(BigInteger, default=0)
    note: Mapped[str] = mapped_column(Text, default="")


class GradeRow(Table):
    """A score or signal that was sent, and how it turned out."""

    __tablename__ = "grades"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    time: Mapped[int] = mapped_column(BigInteger, index=True)
    symbol: Mapped[str] = mapped_column(String(40))
    column: Mapped[str] = mapped_column(String(120))
    score: Mapped[float | None] = mapped_column(Float)
    direction: Mapped[int] = mapped_column(Integer)
    price: Mapped[float] = mapped_column(Float)
    known_at: Mapped[int] = mapped_column(BigInteger, default=0, index=True)
    outcome: Mapped[float | None] = mapped_column(Float)
    gain: Mapped[float | None] = mapped_column(Float)
