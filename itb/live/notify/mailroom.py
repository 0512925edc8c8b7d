"""What happened and what people are told of it, kept in the journal's database until it has been delivered."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, delete, event, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from itb.errors import JournalError
from itb.live.journal.migrations import migrate, set_pragmas
from itb.live.journal.store import address_of, pass_by
from itb.live.journal.tables import GradeRow, LetterRow, NoticeRow
from itb.live.notify.events import Event, StateChanged, decode, encode
from itb.live.notify.grades import Sent
from itb.live.notify.letters import Letter, Parcel
from itb.market.timeframe import DAY_MS

_log = logging.getLogger(__name__)
BUSY_MS = 200  # trading waits for nobody: what cannot be written by then is kept in memory first
KEEP_MS = {"score": 35 * DAY_MS}
KEEP_OTHERS_MS, KEEP_SENT_MS, KEEP_WAITING_MS = 400 * DAY_MS, 7 * DAY_MS, 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter before it has a number."""

    way: str
    key: str
    topic: str
    time: int
    text: str
    picture: bytes | None = None
    is_quiet: bool = False


class Mailroom:
    """The tables of notices and letters. Every method is one short transaction; any thread may call any of them.

    What was written survives the death of the process at once, and a power cut as soon as the journal next waits for
    the disk: a message is not worth that wait.

    Parameters
    ----------
    url
        SQLAlchemy URL, or the path of an SQLite file: the journal's.
    reach
        Called with the name of each fail point.
    """

    def __init__(self, url: str | Path, *, reach: Callable[[str], None] = pass_by) -> None:
        self._reach, self.where = reach, str(url).rpartition("@")[2]
        try:
            self._engine = create_engine(address_of(url))
            if self._engine.dialect.name == "sqlite":
                _make_quick(self._engine)
            with self._engine.begin() as connection:
                migrate(connection)
        except SQLAlchemyError as error:
            raise self._failure(error) from None
        self._insert: Any = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert

    def _failure(self, error: SQLAlchemyError) -> JournalError:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        return JournalError(f"outbox in {self.where}: {cause}; free the disk or restore the file")

    # -- notices

    def note(self, happened: Sequence[Event]) -> None:
        """Write down what happened; what was noted before is not noted again."""
        rows = []
        for one in happened:
            kind, body = encode(one)
            rows.append({"key": one.key, "time": one.time, "kind": kind, "body": body, "is_told": False})
        if not rows:
            return
        try:
            with self._engine.begin() as connection:
                connection.execute(self._insert(NoticeRow).on_conflict_do_nothing(), rows)
                self._reach("notices.before_commit")
        except SQLAlchemyError as error:
            raise self._failure(error) from None
        self._reach("notices.after_commit")

    def untold(self, most: int = 500) -> list[tuple[int, Event | None]]:
        """Give what nobody has turned into letters yet, oldest first; ``None`` for what cannot be read."""
        return self._notices(is_told=False, most=most)

    def told(self) -> list[Event]:
        """Give what has been turned into letters, oldest first: what reporters remember follows from it."""
        return [one for _, one in self._notices(is_told=True, most=None) if one is not None]

    def _notices(self, *, is_told: bool, most: int | None) -> list[tuple[int, Event | None]]:
        asked = select(NoticeRow.number, NoticeRow.kind, NoticeRow.body).where(NoticeRow.is_told == is_told)
        with self._engine.begin() as connection:
            rows = connection.execute(asked.order_by(NoticeRow.number).limit(most)).all()
        return [(number, _read(kind, body)) for number, kind, body in rows]

    def newest(self) -> int:
        """Give the time of the newest event that was noted, 0 without one."""
        with self._engine.begin() as connection:
            return connection.execute(select(func.max(NoticeRow.time))).scalar() or 0

    def knows(self, key: str) -> bool:
        """Whether an event was noted before."""
        with self._engine.begin() as connection:
            return bool(connection.execute(select(func.count()).where(NoticeRow.key == key)).scalar())

    def has_noted(self, change: StateChanged) -> bool:
        """Whether the same change of state was noted before, at whatever time."""
        before = change.key.removesuffix(str(change.time))
        asked = select(func.count()).where(func.substr(NoticeRow.key, 1, len(before)) == before)
        with self._engine.begin() as connection:
            return bool(connection.execute(asked).scalar())

    # -- letters

    def post(self, told: Sequence[int], drafts: Sequence[Draft], sent: Sequence[Sent] = ()) -> None:
        """Put letters into the outbox, keep what is ``sent`` for grading, check off the notices: all or nothing."""
        rows = [
            {
                "way": one.way, "key": one.key, "topic": one.topic, "time": one.time, "text": one.text,
                "picture": one.picture, "is_quiet": one.is_quiet, "state": "waiting", "parcel": 0, "is_repeat": False,
                "done_at": 0, "note": "",
            }
            for one in drafts
        ]  # fmt: skip
        with self._engine.begin() as connection:
            if rows:
                connection.execute(self._insert(LetterRow).on_conflict_do_nothing(), rows)
            if sent:
                grades = [{**asdict(one), "score": None if math.isnan(one.score) else one.score} for one in sent]
                connection.execute(
                    self._insert(GradeRow).on_conflict_do_nothing(), [{**row, "known_at": 0} for row in grades]
                )
            connection.execute(update(NoticeRow).where(NoticeRow.number.in_(told)).values(is_told=True))
            self._reach("outbox.before_commit")
        self._reach("outbox.after_commit")

    def waiting(self, way: str) -> list[Letter]:
        """Give the letters of a way that have not arrived yet, oldest first."""
        columns = (
            LetterRow.number, LetterRow.key, LetterRow.topic, LetterRow.time, LetterRow.text,
            LetterRow.picture.is_not(None), LetterRow.is_quiet, LetterRow.parcel, LetterRow.is_repeat,
        )  # fmt: skip
        asked = select(*columns).where(LetterRow.way == way, LetterRow.state == "waiting").order_by(LetterRow.number)
        with self._engine.begin() as connection:
            return [Letter(*row) for row in connection.execute(asked)]

    def picture(self, number: int) -> bytes | None:
        """Give a letter's picture."""
        with self._engine.begin() as connection:
            return connection.execute(select(LetterRow.picture).where(LetterRow.number == number)).scalar()

    def left_out_of(self, parcel: int) -> list[Letter]:
        """Give the letters that are only counted in a parcel."""
        asked = select(LetterRow.number, LetterRow.key, LetterRow.topic, LetterRow.time, LetterRow.text)
        asked = asked.where(LetterRow.parcel == parcel, LetterRow.state == "left_out").order_by(LetterRow.number)
        with self._engine.begin() as connection:
            return [Letter(*row) for row in connection.execute(asked)]

    def begin(self, parcel: Parcel, time: int) -> None:
        """Write down that a parcel leaves in the next moment."""
        out = [letter.number for letter in parcel.left_out]
        with self._engine.begin() as connection:
            self._set(connection, parcel, state="sending")
            connection.execute(
                update(LetterRow)
                .where(LetterRow.number.in_(out))
                .values(state="left_out", parcel=parcel.number, done_at=time, picture=None)
            )
        self._reach("outbox.sending")

    def arrived(self, parcel: Parcel, time: int) -> None:
        """Write down that a parcel has arrived; its picture is not kept."""
        self._reach("outbox.sent")
        with self._engine.begin() as connection:
            self._set(connection, parcel, state="sent", done_at=time, picture=None)
        self._reach("outbox.after_sent")

    def refused(self, parcel: Parcel, time: int, why: str) -> None:
        """Write down that a parcel will never be taken."""
        with self._engine.begin() as connection:
            self._set(connection, parcel, state="refused", done_at=time, picture=None, note=why[:500])

    def again(self, parcel: Parcel, *, may_have_arrived: bool) -> None:
        """Let a parcel wait for its next try."""
        with self._engine.begin() as connection:
            self._set(connection, parcel, state="waiting", is_repeat=may_have_arrived or parcel.is_repeat)

    def recover(self, way: str | None = None) -> int:
        """Let wait again what was leaving when nobody could write down what became of it; give how many letters."""
        leaving = LetterRow.state == "sending"
        with self._engine.begin() as connection:
            left = connection.execute(
                update(LetterRow)
                .where(leaving if way is None else leaving & (LetterRow.way == way))
                .values(state="waiting", is_repeat=True)
            )
            return left.rowcount

    def _set(self, connection: Any, parcel: Parcel, **values: Any) -> None:
        numbers = [letter.number for letter in parcel.letters]
        connection.execute(
            update(LetterRow).where(LetterRow.number.in_(numbers)).values(parcel=parcel.number, **values)
        )

    def counts(self, way: str) -> dict[str, int]:
        """Count a way's letters by state."""
        asked = select(LetterRow.state, func.count()).where(LetterRow.way == way).group_by(LetterRow.state)
        with self._engine.begin() as connection:
            return {row[0]: row[1] for row in connection.execute(asked)}

    def prune(self, now: int) -> None:
        """Forget what is old: letters a week after they went, scores after five weeks, other notices after a year.

        What could not be delivered for a month is given up. The age of notices and of what waits counts from the newest
        notice: a market that is played again lies in the past.
        """
        with self._engine.begin() as connection:
            newest = connection.execute(select(func.max(NoticeRow.time))).scalar()
            done = LetterRow.state.in_(("sent", "left_out", "refused"))
            connection.execute(delete(LetterRow).where(done, LetterRow.done_at < now - KEEP_SENT_MS))
            if newest is None:
                return
            connection.execute(
                delete(LetterRow).where(LetterRow.state == "waiting", LetterRow.time < newest - KEEP_WAITING_MS)
            )
            old = NoticeRow.time < newest - KEEP_OTHERS_MS
            for kind, keep in KEEP_MS.items():
                old |= (NoticeRow.kind == kind) & (NoticeRow.time < newest - keep)
            connection.execute(delete(NoticeRow).where(NoticeRow.is_told, old))

    def begin_transaction(self) -> AbstractContextManager[Connection]:
        """Give a connection for one short transaction of another table's keeper."""
        return self._engine.begin()

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()


def _read(kind: str, body: str) -> Event | None:
    try:
        return decode(kind, body)
    except JournalError as error:
        _log.warning("%s; it is passed over", error)
        return None


def _make_quick(engine: Any) -> None:
    @event.listens_for(engine, "connect")
    def write_soon(connection: Any, _: Any) -> None:
        set_pragmas(connection, synchronous="NORMAL", busy_ms=BUSY_MS)
