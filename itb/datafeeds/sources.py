"""A source beside the bars: rows with a time, and when each of them became known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from itb.errors import BarsError
from itb.market.bars import OHLCV, SUMMED, BoolArray, FloatArray, IntArray, utc

if TYPE_CHECKING:
    from itb.market.bars import Bars
    from itb.market.timeframe import Timeframe

SourceGaps = Literal["refuse", "flat", "drop", "empty"]


@dataclass(frozen=True, eq=False)
class SourceRows:
    """Rows of a source in the order of their times (UTC milliseconds); ``columns`` may hold NaN.

    ``label`` names the source in messages. Of rows of one time the last counts. Raises :class:`BarsError` when times
    run backwards.
    """

    label: str
    times: IntArray
    columns: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        backwards = np.diff(self.times) < 0
        if backwards.any():
            row = int(backwards.argmax()) + 1
            raise BarsError(f"{self.label}: row {row} ({utc(self.times[row])}) comes before the row above; sort them")

    @classmethod
    def of_bars(cls, label: str, bars: Bars) -> SourceRows:
        """See bars as rows whose times are their opens."""
        return cls(label, bars.open_time, bars.columns)

    def until(self, time_ms: int) -> SourceRows:
        """Give the rows whose time is not after ``time_ms``."""
        stop = int(np.searchsorted(self.times, time_ms, side="right"))
        return SourceRows(self.label, self.times[:stop], {name: item[:stop] for name, item in self.columns.items()})

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Join:
    """Join the rows of a source to decisions by the time they became known: backward, as of each decision.

    With a ``timeframe`` the times are opens of bars on its raster, known at open + timeframe + delay; without one they
    are events, known at event + delay. A decision gets the newest row that is known by then, NaN before the first. It
    does not look back along a column: where that row's cell is empty, the value is.

    Where the raster's newest row is missing, ``gaps`` says what a decision gets: ``"drop"`` the last row there is;
    ``"flat"`` its close in place of all prices, 0 for what adds up (``volume``, ``trades``), else its values;
    ``"empty"`` NaN; ``"refuse"`` raises :class:`BarsError` if a row is missing between others, and NaN where the source
    has ended. A row that has been known for longer than ``max_age_ms`` gives NaN.

    Parameters
    ----------
    timeframe
        Length of the source's bars; ``None`` for events.
    delay_ms
        How much later a row is known, in milliseconds.
    gaps
        What missing rows are.
    max_age_ms
        For how long a row counts once it is known; ``None`` for ever.

    Examples
    --------
    >>> rows = SourceRows("funding", np.array([0, 28_800_000]), {"rate": np.array([0.1, 0.2])})
    >>> hours = np.array([0, 3_600_000, 28_800_000, 32_400_000])
    >>> Join(delay_ms=60_000)(hours, rows)["rate"].tolist()
    [nan, 0.1, 0.1, 0.2]
    """

    timeframe: Timeframe | None = None
    delay_ms: int = 0
    gaps: SourceGaps = "refuse"
    max_age_ms: int | None = None

    def __post_init__(self) -> None:
        if self.delay_ms < 0:
            raise ValueError(f"delay_ms must be 0 or more, was {self.delay_ms}")
        if self.max_age_ms is not None and self.max_age_ms < 0:
            raise ValueError(f"max_age_ms must be 0 or more, was {self.max_age_ms}")
        if self.gaps not in get_args(SourceGaps):
            raise ValueError(f'gaps must be "refuse", "flat", "drop" or "empty", was {self.gaps!r}')

    def known_at(self, times: IntArray) -> IntArray:
        """When rows of these times became known, UTC milliseconds."""
        return times + (self.delay_ms + (0 if self.timeframe is None else self.timeframe.ms))

    def found(self, decisions: IntArray, rows: SourceRows) -> Found:
        """Say which row each decision (UTC milliseconds, in order) gets; check what the raster promises."""
        at = np.searchsorted(self.known_at(rows.times), decisions, side="right").astype(np.int64) - 1
        if self.timeframe is None or not len(rows):
            is_old = np.zeros(len(at), dtype=bool)
        else:
            self._check(rows, at)
            newest = self.timeframe.floor(decisions - self.delay_ms) - self.timeframe.ms
            is_old = (at >= 0) & (rows.times[np.maximum(at, 0)] < newest)
        place = np.maximum(at, 0)
        is_there = at >= 0
        if len(rows) and self.max_age_ms is not None:
            is_there &= decisions - self.known_at(rows.times)[place] <= self.max_age_ms
        if self.gaps in {"refuse", "empty"}:
            is_there &= ~is_old
        return Found(place, is_there, is_old & is_there & (self.gaps == "flat"))

    def __call__(self, decisions: IntArray, rows: SourceRows) -> dict[str, FloatArray]:
        """Give each column of the source, one value a decision."""
        found = self.found(decisions, rows)
        return {name: found.take(rows, name) for name in rows.columns}

    def _check(self, rows: SourceRows, at: IntArray) -> None:
        """Refuse rows off the raster and, if gaps are refused, holes among the rows that the decisions use."""
        assert self.timeframe is not None
        is_off = self.timeframe.floor(rows.times) != rows.times
        if is_off.any():
            row = int(is_off.argmax())
            raise BarsError(
                f"{rows.label}: the time of row {row} ({utc(rows.times[row])}) is not on the grid of {self.timeframe}; "
                'expected opens of bars: set the source\'s timeframe, or time = "event"'
            )
        if self.gaps != "refuse" or not len(at):
            return
        steps = np.diff(rows.times[max(int(at[0]), 0) : int(at[-1]) + 1]) // self.timeframe.ms
        if (steps > 1).any():
            before = max(int(at[0]), 0) + int((steps > 1).argmax())
            missing = int((steps[steps > 1] - 1).sum())
            raise BarsError(
                f"{rows.label}: {missing:,} {'bar' if missing == 1 else 'bars'} missing, first "
                f"{utc(rows.times[before] + self.timeframe.ms)}. Bring them in, or set the source's gaps to "
                '"flat", "drop" or "empty".'
            )


@dataclass(frozen=True, eq=False)
class Found:
    """Which row of a source each decision gets: ``at`` where ``is_there``, and where a flat bar stands in for it."""

    at: IntArray
    is_there: BoolArray
    is_flat: BoolArray

    def take(self, rows: SourceRows, name: str) -> FloatArray:
        """Give one column, one value a decision, NaN where no row is."""
        if not len(rows):
            return np.full(len(self.at), np.nan)
        values: FloatArray = np.where(self.is_there, rows.columns[name][self.at], np.nan)
        if name in SUMMED:
            values[self.is_flat] = 0.0
        elif name in OHLCV and "close" in rows.columns:
            values[self.is_flat] = rows.columns["close"][self.at[self.is_flat]]
        return values


@dataclass(frozen=True, eq=False)
class Joined:
    """A source as it was joined to bars.

    ``names`` leads from the joined column to the source's own; ``decisions`` are the closes of the bars.
    """

    name: str
    rows: SourceRows
    join: Join
    names: Mapping[str, str]
    decisions: IntArray

    @cached_property
    def found(self) -> Found:
        """Which row each bar got."""
        return self.join.found(self.decisions, self.rows)

    @cached_property
    def columns(self) -> dict[str, FloatArray]:
        """The joined columns, one value a bar."""
        return {name: self.found.take(self.rows, own) for name, own in self.names.items()}

    @property
    def covered(self) -> int:
        """How many bars have a row."""
        return int(self.found.is_there.sum())

    @property
    def notes(self) -> list[str]:
        """What a reader must know: the bars before the source begins, after it ends, and between."""
        has = np.flatnonzero(self.found.is_there)
        if not len(has):
            return [f"Source {self.name} has no value at any of these bars."]
        total, first, last = len(self.decisions), int(has[0]), int(has[-1])
        said = []
        if first:
            said.append(f"begins late: {_without(first, f'before {utc(self.decisions[first])}')}")
        if last < total - 1:
            said.append(f"ends early: {_without(total - 1 - last, f'after {utc(self.decisions[last])}')}")
        between = last - first + 1 - len(has)
        if between:
            said.append(f"has holes: {_without(between, 'between')}")
        flat = int(self.found.is_flat.sum())
        if flat:
            said.append(f"was flat at {_bars(flat)} where its own is missing")
        return [f"Source {self.name} {what}." for what in said]


def _without(count: int, where: str) -> str:
    return f"{_bars(count)} {where} {'has' if count == 1 else 'have'} no value"


def _bars(count: int) -> str:
    return "1 bar" if count == 1 else f"{count:,} bars"
