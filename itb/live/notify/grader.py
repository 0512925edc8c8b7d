"""The grader: keeps what was sent in the journal's database until its label has matured, and grades it."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from itb.live.journal.tables import GradeRow
from itb.live.notify.events import ScoreSaid, SignalSent, StateChanged
from itb.live.notify.grades import BoardLine, Expectation, Graded, Kind, Sent, board_text, grade, scoreboard

if TYPE_CHECKING:
    from itb.live.notify.events import Event
    from itb.live.notify.mailroom import Mailroom
    from itb.market.bars import Bars
    from itb.mlmodels.labels import Label


@dataclass(frozen=True)
class Judgement:
    """What one round of grading found: how many, what to tell, and why to ``step_down`` to paper (empty: not to)."""

    count: int
    events: tuple[StateChanged, ...] = ()
    step_down: str = ""


def sent_of(happened: Event, topics: set[str], binary: Mapping[str, bool]) -> list[Sent]:
    """Give what is to be graded of an event of which messages with these topics were sent.

    ``binary`` says of each column whether its label is one that comes true or not; other columns are not graded.
    """
    if isinstance(happened, ScoreSaid) and "score" in topics:
        return [
            Sent(f"{happened.key}/{column}", "score", happened.time, happened.symbol, column, score,
                 1 if score >= (0.5 if binary[column] else 0.0) else -1, happened.close)
            for column, score in happened.scores.items()
            if column in binary and not math.isnan(score)
        ]  # fmt: skip
    if isinstance(happened, SignalSent) and topics & {"signal", "trade"} and happened.column in binary:
        side = 1 if happened.side == "buy" else -1
        return [
            Sent(happened.key, "signal", happened.time, happened.symbol, happened.column, happened.score, side,
                 happened.price)
        ]  # fmt: skip
    return []


class Grader:
    """Grades by the labels that the models were taught, one by score column.

    Parameters
    ----------
    labels
        The label of each score column that is graded.
    expected
        What a backtest of the same let expect.
    may_step_down
        Whether results that left the band ask for paper trading, or are only told.
    """

    def __init__(
        self,
        mailroom: Mailroom,
        labels: Mapping[str, Label],
        expected: Sequence[Expectation] = (),
        *,
        may_step_down: bool = False,
    ) -> None:
        self._mailroom, self._labels, self._expected = mailroom, dict(labels), tuple(expected)
        self._may_step_down = may_step_down
        self._told: set[str] = set()
        self._lock = threading.Lock()

    @property
    def binary(self) -> Mapping[str, bool]:
        """Whether the label of each graded column is one that comes true or not."""
        return {column: label.is_binary for column, label in self._labels.items()}

    def expect(self, expected: Sequence[Expectation], now: int) -> Judgement:
        """Measure by what a backtest lets expect from now on; judge what was graded before."""
        self._expected = tuple(expected)
        return self._judge(0, now)

    def grade(self, bars: Mapping[str, Bars], now: int) -> Judgement:
        """Grade what has matured by the bars of each symbol, and look whether the band was left.

        A band that was left is told once, whatever dies in between; it is a reason to step down whenever it is looked
        at. Telling and stepping down are the caller's to do.
        """
        by_column: dict[tuple[str, str], list[Sent]] = defaultdict(list)
        for one in self.pending():
            if one.column in self._labels and one.symbol in bars:
                by_column[one.symbol, one.column].append(one)
        found: list[Graded] = []
        for (symbol, column), sent in by_column.items():
            label, own = self._labels[column], bars[symbol]
            found += grade(sent, own, label(own), is_binary=label.is_binary)
        self._write(found)
        return self._judge(len(found), now) if found else Judgement(0)

    def _judge(self, count: int, now: int) -> Judgement:
        left = [one for one in self.board() if one.has_left]
        events = [StateChanged(now, "left_band", _why(one), f"{one.kind}/{one.column}") for one in left]
        with self._lock:
            news = tuple(one for one in events if one.topic not in self._told and not self._mailroom.has_noted(one))
            self._told |= {one.topic for one in events}
        reason = events[0].text if events and self._may_step_down else ""
        return Judgement(count, news, step_down=reason)

    def board(self) -> list[BoardLine]:
        """Give the scoreboard."""
        return scoreboard(self.graded(), self.pending(), self._expected)

    def text(self) -> str:
        """Write the scoreboard for people."""
        return board_text(self.board())

    def pending(self) -> list[Sent]:
        """Give what has not matured yet, oldest first."""
        return [_sent(row) for row in self._rows(is_known=False)]

    def graded(self) -> list[Graded]:
        """Give what has been graded, oldest first; columns that nobody grades any more are left out."""
        return [
            Graded(_sent(row), row.known_at, row.outcome, row.gain, self._labels[row.column].is_binary)
            for row in self._rows(is_known=True)
            if row.column in self._labels and row.outcome is not None and row.gain is not None
        ]

    def _rows(self, *, is_known: bool) -> Sequence[GradeRow]:
        asked = select(GradeRow.__table__).where(GradeRow.known_at > 0 if is_known else GradeRow.known_at == 0)
        with self._mailroom.begin_transaction() as connection:
            rows: Sequence[GradeRow] = connection.execute(asked.order_by(GradeRow.time, GradeRow.key)).all()  # type: ignore[assignment]  # rows carry the columns' names
        return rows

    def _write(self, found: Sequence[Graded]) -> None:
        with self._mailroom.begin_transaction() as connection:
            for one in found:
                values = {"known_at": one.known_at, "outcome": one.outcome, "gain": one.gain}
                connection.execute(update(GradeRow).where(GradeRow.key == one.sent.key).values(values))


def _sent(row: GradeRow) -> Sent:
    score = math.nan if row.score is None else row.score
    kind: Kind = "score" if row.kind == "score" else "signal"
    return Sent(row.key, kind, row.time, row.symbol, row.column, score, row.direction, row.price)


def _why(line: BoardLine) -> str:
    assert line.expected is not None
    rate, wanted = line.hits / line.count, line.expected.hits / line.expected.count
    told = f"{line.kind}s of {line.column} are right {rate:.0%} of {line.count} times, in the backtest {wanted:.0%}"
    return f"{told}; that has a chance below 1 in {line.evidence:,.0f} if nothing changed"
