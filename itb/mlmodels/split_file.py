"""FollowUpward's split file: which stretches of time are for training, validation and test, for every coin alike."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from itb.errors import ConfigError
from itb.market.bars import IntArray, utc
from itb.market.gaps import Gap, count_of, find_gaps
from itb.mlmodels.kfold import Span, purged_rows

if TYPE_CHECKING:
    from itb.market.bars import Bars
    from itb.mlmodels.labels.column import LabelColumn

SetType = Literal["training", "validation", "test", "not assigned"]

_GUARDED: dict[str, tuple[SetType, ...]] = {"training": ("validation", "test"), "validation": ("test",)}
_COLUMNS = ("set_type", "start", "end")
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True)
class SetRange:
    """Bars that open from ``start_ms`` to ``end_ms``, both included (UTC milliseconds)."""

    set_type: SetType
    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if self.set_type not in get_args(SetType):
            known = ", ".join(f'"{name}"' for name in get_args(SetType))
            raise ValueError(f"set_type must be one of {known}, was {self.set_type!r}")
        if self.end_ms < self.start_ms:
            raise ValueError(f"{self.set_type}: end {utc(self.end_ms)} lies before start {utc(self.start_ms)}")

    def __str__(self) -> str:
        return f"{self.set_type} {utc(self.start_ms)} to {utc(self.end_ms)}"

    def span(self, open_time: IntArray) -> Span:
        """Give the first row inside and the row after the last one."""
        start, stop = np.searchsorted(open_time, [self.start_ms, self.end_ms + 1])
        return int(start), int(stop)


@dataclass(frozen=True)
class SetsSplit:
    """Ranges that share no bar, in order of time; the same for all coins, so that none tells another's future.

    >>> hour = 3_600_000
    >>> split = SetsSplit((SetRange("training", 0, 5 * hour), SetRange("test", 6 * hour, 9 * hour)))
    >>> times, known_at = np.arange(12) * hour, np.arange(12) + 2
    >>> split.rows(times, known_at, "training").tolist(), split.rows(times, known_at, "test").tolist()
    ([0, 1, 2, 3], [6, 7, 8, 9])
    >>> split.is_retrospective
    False
    """

    ranges: tuple[SetRange, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.ranges, key=lambda part: part.start_ms))
        for before, after in pairwise(ordered):
            if after.start_ms <= before.end_ms:
                raise ValueError(f"{before} overlaps {after}: no bar may be in two sets")
        object.__setattr__(self, "ranges", ordered)

    @cached_property
    def is_retrospective(self) -> bool:
        """Whether a model learns from, or is chosen on, bars after some that it is tested on."""
        tested = [part.start_ms for part in self.ranges if part.set_type == "test"]
        learned = [part.end_ms for part in self.ranges if part.set_type in _GUARDED]
        return bool(tested) and bool(learned) and min(tested) < max(learned)

    def of(self, set_type: SetType) -> tuple[SetRange, ...]:
        """Give the ranges of one type."""
        return tuple(part for part in self.ranges if part.set_type == set_type)

    def rows(self, open_time: IntArray, known_at: IntArray, set_type: SetType, embargo_bars: int = 0) -> IntArray:
        """Give the rows of one type.

        Of training and validation those are left out whose label shares a bar with a label of the sets that they must
        not know (validation and test, test), or is never known. The original keeps them; they tell of the test.
        ``embargo_bars`` more are left out on both sides of such a set.
        """
        spans = [part.span(open_time) for part in self.of(set_type)]
        inside = np.zeros(len(open_time), dtype=np.bool_)
        for start, stop in spans:
            inside[start:stop] = True
        if set_type in _GUARDED:
            guarded = [part.span(open_time) for other in _GUARDED[set_type] for part in self.of(other)]
            kept = purged_rows(
                known_at,
                [(start, stop) for start, stop in guarded if start < stop],
                embargo_bars=embargo_bars,
                embargo_before_bars=embargo_bars,
            )
            inside[np.setdiff1d(np.arange(len(inside)), kept, assume_unique=True)] = False
        return np.flatnonzero(inside).astype(np.int64)

    def examine(
        self, bars: Bars, label: LabelColumn, *, history_bars: int, future_bars: int
    ) -> tuple[RangeReport, ...]:
        """Report for each range what one coin's bars lack and how often each class is there.

        Features need ``history_bars`` before a range and labels ``future_bars`` after it: they widen what must be at
        hand, not the range.
        """
        return tuple(_report(part, bars, label, history_bars, future_bars) for part in self.ranges)


@dataclass(frozen=True)
class RangeReport:
    """What one coin has of one range; all numbers count bars.

    ``late`` and ``early``: by how much the data starts after the range's start, and ends before its end.
    ``history_short`` and ``future_short``: what is missing at the outer ends of what the range needs around itself.
    ``gaps``: runs of missing bars inside the range and its needs. ``classes``: how many rows have each label.
    """

    symbol: str
    range: SetRange
    bars: int
    late: int
    early: int
    history_short: int
    future_short: int
    gaps: tuple[Gap, ...]
    classes: tuple[tuple[float, int], ...]
    unlabelled: int

    @property
    def is_complete(self) -> bool:
        """Whether every bar is there that the range and its needs ask for."""
        return self.bars > 0 and not (self.late or self.early or self.history_short or self.future_short or self.gaps)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say what is missing; nothing if all is there."""
        name = f"{self.symbol}, {self.range}"
        if not self.bars:
            return (f"{name}: there are no bars",)
        shortages = (
            (self.late, "the data starts", "late"),
            (self.early, "the data ends", "early"),
            (self.history_short, "the history before it is", "short"),
            (self.future_short, "the future after it is", "short"),
        )
        said = [f"{name}: {what} {count_of(count)} {how}" for count, what, how in shortages if count]
        return (*said, *(f"{name}: {gap}" for gap in self.gaps))


def _report(part: SetRange, bars: Bars, label: LabelColumn, history: int, future: int) -> RangeReport:
    step = bars.timeframe.ms
    from_ms, to_ms = part.start_ms - history * step, part.end_ms + future * step
    start, stop = part.span(bars.open_time)
    values = label.values[start:stop]
    classes = Counter(values[~np.isnan(values)].tolist())
    first, last = (int(bars.open_time[0]), int(bars.open_time[-1])) if len(bars) else (to_ms + step, from_ms - step)
    late, early = (_steps(part.start_ms, first, step), _steps(last, part.end_ms, step)) if stop > start else (0, 0)
    return RangeReport(
        symbol=bars.symbol,
        range=part,
        bars=stop - start,
        late=late,
        early=early,
        history_short=min(history, _steps(from_ms, first, step)),
        future_short=min(future, _steps(last, to_ms, step)),
        gaps=tuple(gap for gap in find_gaps(bars) if gap.start_ms <= to_ms and gap.stop_ms > from_ms),
        classes=tuple(sorted(classes.items())),
        unlabelled=int(np.isnan(values).sum()),
    )


def _steps(expected_ms: int, found_ms: int, step: int) -> int:
    return max(0, -(-(found_ms - expected_ms) // step))


def read_sets_split(file: Path) -> SetsSplit:
    """Read a tab separated file with the columns set_type, start and end (both included, with time zone).

    Other columns are passed over. Raises :class:`itb.errors.ConfigError` that names the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from error
    table = csv.DictReader(lines, delimiter="\t")
    absent = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
    if absent:
        raise ConfigError(f"{file}: column {absent[0]!r} is absent; expected are {', '.join(_COLUMNS)}, split by tabs")
    ranges = []
    for row in table:
        try:
            ranges.append(
                SetRange(cast("SetType", (row["set_type"] or "").strip()), _time(row["start"]), _time(row["end"]))
            )
        except ValueError as error:
            raise ConfigError(f"{file}, line {table.line_num}: {error}") from error
    try:
        return SetsSplit(tuple(ranges))
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error


def write_sets_split(split: SetsSplit, file: Path) -> None:
    """Write the file that :func:`read_sets_split` reads."""
    rows = [f"{part.set_type}\t{_stamp(part.start_ms)}\t{_stamp(part.end_ms)}" for part in split.ranges]
    file.write_text("\n".join(["\t".join(_COLUMNS), *rows, ""]), encoding="utf-8")


def _time(text: str | None) -> int:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise ValueError(f'a time such as "2019-06-30 23:59:00+00:00" was expected, found {text!r}') from None
    if moment.tzinfo is None:
        raise ValueError(f'time {text!r} has no time zone; write "{text}+00:00" for UTC')
    return (moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")) // _MS


def _stamp(time_ms: int) -> str:
    return str(datetime.fromisoformat("1970-01-01T00:00:00+00:00") + time_ms * _MS)
