"""How scores and signals that were sent turned out, and whether that is what the backtest let expect."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from itb.charts.wording import number, percent
from itb.live.notify.sequential import evidence_against, wilson

if TYPE_CHECKING:
    from itb.market.bars import Bars
    from itb.mlmodels.labels import LabelColumn

Kind = Literal["score", "signal"]
ALPHA = 0.05  # the chance, ever, that a run as good as its backtest is said to have left the band
FEWEST = 10  # grades below which an interval of gains says nothing


@dataclass(frozen=True, slots=True)
class Sent:
    """A score or signal that was sent at the close of a bar.

    ``direction`` is 1 where it said that the label comes true (a probability of a half or more, a score above 0, a
    purchase), else -1; ``score`` is NaN where there is none, ``price`` the close.
    """

    key: str
    kind: Kind
    time: int
    symbol: str
    column: str
    score: float
    direction: int
    price: float


@dataclass(frozen=True, slots=True)
class Graded:
    """How it turned out: the label's value, known at the close of a bar, and what following it brought until then.

    ``gain`` is the fraction that the price moved in its direction, before costs.
    """

    sent: Sent
    known_at: int
    outcome: float
    gain: float
    is_binary: bool

    @property
    def is_hit(self) -> bool:
        """Whether it was right."""
        came_true = self.outcome >= 0.5 if self.is_binary else self.outcome > 0
        return came_true == (self.sent.direction > 0)

    @property
    def squared_error(self) -> float:
        """Squared distance of a probability from what came true; NaN where there is no probability."""
        score = self.sent.score
        return (score - self.outcome) ** 2 if self.is_binary and 0 <= score <= 1 else math.nan


def grade(sent: Iterable[Sent], bars: Bars, label: LabelColumn, *, is_binary: bool) -> list[Graded]:
    """Grade what has matured: ``label`` is that of ``bars``, of one symbol. What is not known yet is left out."""
    rows = {int(time): row for row, time in enumerate(bars.close_time)}
    found = []
    for one in sent:
        row = rows.get(one.time, -1)
        known = int(label.known_at[row]) if row >= 0 else -1
        if known < 0:
            continue
        gain = one.direction * (float(bars.close[known]) / one.price - 1)
        found.append(Graded(one, int(bars.close_time[known]), float(label.values[row]), gain, is_binary))
    return found


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the same outputs, columns and labels came to in a backtest: figures of ``count`` grades apart in time."""

    kind: Kind
    column: str
    count: int
    hits: int
    brier: float
    gain: float

    @property
    def worst_rate(self) -> float:
        """The lowest hit rate that is still as expected: the lower end of the backtest's own 95 % interval."""
        return min(max(wilson(self.hits, self.count)[0], 0.01), 0.99)


@dataclass(frozen=True, slots=True)
class BoardLine:
    """The figures of one kind and column: of all grades, and (``apart``) of those that share no bar.

    ``brier`` is NaN without probabilities; ``gain`` is the mean, ``low`` and ``high`` its 95 % interval over the grades
    apart (NaN for few of them). ``evidence`` is against "as good as the backtest" at its largest so far.
    """

    kind: Kind
    column: str
    count: int
    pending: int
    hits: int
    rate_low: float
    rate_high: float
    brier: float
    gain: float
    low: float
    high: float
    apart: int
    evidence: float
    expected: Expectation | None = None

    @property
    def has_left(self) -> bool:
        """Whether live results have left the band that the backtest predicted."""
        return self.evidence >= 1 / ALPHA


def apart(grades: Iterable[Graded]) -> list[Graded]:
    """Choose grades that share no bar: each was sent when the one before it in its symbol had matured."""
    until: dict[str, int] = {}
    found = []
    for one in sorted(grades, key=lambda g: (g.sent.time, g.sent.key)):
        if one.sent.time >= until.get(one.sent.symbol, 0):
            until[one.sent.symbol] = one.known_at
            found.append(one)
    return found


def expectations(grades: Iterable[Graded]) -> list[Expectation]:
    """Sum up the grades of a backtest."""
    return [
        Expectation(kind, column, len(own), sum(g.is_hit for g in own), _mean(g.squared_error for g in own),
                    _mean(g.gain for g in own))
        for (kind, column), found in sorted(_by_column(grades).items())
        if (own := apart(found))
    ]  # fmt: skip


def scoreboard(
    grades: Sequence[Graded], pending: Sequence[Sent], expected: Sequence[Expectation] = ()
) -> list[BoardLine]:
    """Sum up what was sent, by kind and column, beside what was expected."""
    known = {(one.kind, one.column): one for one in expected}
    waiting: dict[tuple[Kind, str], int] = defaultdict(int)
    for one in pending:
        waiting[one.kind, one.column] += 1
    by_column = _by_column(grades)
    return [
        _line(kind, column, by_column.get((kind, column), []), waiting[kind, column], known.get((kind, column)))
        for kind, column in sorted({*by_column, *waiting})
    ]


def _line(kind: Kind, column: str, grades: list[Graded], pending: int, expected: Expectation | None) -> BoardLine:
    own = apart(grades)
    hits = sum(g.is_hit for g in grades)
    evidence = 0.0
    if expected is not None and own:
        evidence = max(evidence_against([g.is_hit for g in own], expected.worst_rate))
    low, high = _interval([g.gain for g in own])
    return BoardLine(
        kind, column, len(grades), pending, hits, *wilson(sum(g.is_hit for g in own), len(own)),
        _mean(g.squared_error for g in grades), _mean(g.gain for g in grades), low, high, len(own), evidence, expected,
    )  # fmt: skip


def _by_column(grades: Iterable[Graded]) -> dict[tuple[Kind, str], list[Graded]]:
    found: dict[tuple[Kind, str], list[Graded]] = defaultdict(list)
    for one in grades:
        found[one.sent.kind, one.sent.column].append(one)
    return found


def _mean(values: Iterable[float]) -> float:
    there = [value for value in values if not math.isnan(value)]
    return statistics.fmean(there) if there else math.nan


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Give the 95 % interval of a mean, by Student's distribution."""
    if len(values) < FEWEST:
        return math.nan, math.nan
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def board_text(lines: Sequence[BoardLine]) -> str:
    """Write the scoreboard for people.

    >>> print(board_text(()))
    Nothing has been sent yet.
    """
    return "\n\n".join(map(_words, lines)) or "Nothing has been sent yet."


def _words(line: BoardLine) -> str:
    expected = line.expected
    head = f"{line.kind}s of {line.column or 'no column'}: {line.count} graded, {line.pending} waiting"
    if not line.count:
        return head
    low, high = percent(line.rate_low, 0, signed=False), percent(line.rate_high, 0, signed=False)
    rate = f"right {percent(line.hits / line.count, 0, signed=False)} ({low} to {high} of {line.apart} apart)"
    gain = f"gain each {percent(line.gain, 2)}"
    if not math.isnan(line.low):
        gain += f" ({percent(line.low, 2)} to {percent(line.high, 2)})"
    brier = "" if math.isnan(line.brier) else f"Brier score {number(line.brier, 3)}"
    if expected is not None:
        rate += f", expected {percent(expected.hits / expected.count, 0, signed=False)}"
        gain += f", expected {percent(expected.gain, 2)}"
        brier += "" if not brier or math.isnan(expected.brier) else f", expected {number(expected.brier, 3)}"
    verdict = ""
    if expected is not None:
        verdict = "LEFT the band of the backtest" if line.has_left else "within the band of the backtest"
    return "\n".join(filter(None, (head, rate, gain, brier, verdict)))
