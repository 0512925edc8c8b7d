"""The score desk of one symbol: features once a bar, every column's score, and a check of what was said before."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from itb.live.rest import Rest, Tail

if TYPE_CHECKING:
    from itb.indicators.feature_set import FeatureSet, ModelInput
    from itb.live.episodes import Episodes
    from itb.live.scores.following import Follower
    from itb.live.scores.speaking import ColumnFiles, LateModel
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.mlmodels.algorithm import FloatMatrix
    from itb.mlmodels.timeline import ModelTimeline, TimelineEntry

Cause: TypeAlias = Literal["same", "feature rounding", "features", "model", "late model"]
_ROUNDING = 1e-5  # of a feature's value: some last bits of float32


class Window(Protocol):
    """Bars that grow: what :class:`itb.live.host.growing.GrowingBars` offers."""

    @property
    def keep(self) -> int: ...
    @property
    def open_time(self) -> Rest[int]: ...
    def __len__(self) -> int: ...
    def until(self, stop: int, n: int) -> Bars: ...
    def place(self, open_time: int) -> int: ...


class Column(Protocol):
    """A score column that models speak in: :class:`itb.live.scores.speaking.SpeakingColumn`, or a network's share.

    One that does not ``needs_rows`` is a function of bars, which it reads by itself, and looks back by itself.
    """

    needs_rows: ClassVar[bool]

    @property
    def files(self) -> ColumnFiles: ...
    @property
    def column(self) -> str: ...
    @property
    def timeline(self) -> ModelTimeline: ...
    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]: ...
    @property
    def late(self) -> list[LateModel]: ...
    @property
    def episodes(self) -> Episodes: ...
    def check(self) -> None: ...
    def is_whole(self) -> bool: ...
    def entry_at(self, open_time: int) -> TimelineEntry | None: ...
    def refresh(self, last_scored: int, bar_ms: int, /) -> None: ...
    def score(self, open_time: int, row: FloatMatrix, /) -> float: ...
    def say(self, open_time: int, row: FloatMatrix, /) -> Mapping[str, float]: ...
    def say_all(self, open_time: IntArray, rows: FloatMatrix, /) -> Mapping[str, FloatArray]: ...
    def by(self, entry: TimelineEntry, open_time: int, row: FloatMatrix, /) -> float:
        """Give the own score of another refit than the one that speaks; what its file does wrong is raised."""


@dataclass(frozen=True)
class Derived:
    """Columns made of score columns, such as signals: ``compute`` takes whole arrays and gives whole arrays.

    ``warmup`` earlier rows decide a value. ``ranges`` are the declared ones, in the order of ``names``.
    """

    names: tuple[str, ...]
    inputs: tuple[str, ...]
    warmup: int
    ranges: tuple[tuple[float, float], ...]
    compute: Callable[[Mapping[str, FloatArray]], Mapping[str, FloatArray]]


def as_they_are(bars: Bars) -> Bars:
    """Give bars without any other source's columns."""
    return bars


@dataclass
class SelfCheck:
    """How often a score computed again was what had been said, by cause; ``largest`` is the largest difference."""

    counts: dict[Cause, int] = field(default_factory=dict)
    largest: float = 0.0

    @property
    def checked(self) -> int:
        """How many were computed again."""
        return sum(self.counts.values())

    def add(self, cause: Cause, difference: float) -> None:
        """Count one."""
        self.counts[cause] = self.counts.get(cause, 0) + 1
        if np.isfinite(difference):
            self.largest = max(self.largest, difference)


class ScoreDesk:
    """Scores of all columns for one symbol's bars; ``check`` earlier rows are computed again at each bar.

    The window that features are computed on holds ``features.warmup`` bars before the rows that are wanted, by the
    code of the batch. ``enrich`` adds columns of other sources to a window. Columns are asked in order, so a stack
    stands behind what it reads; then ``followers``, then ``derived``. The history is scored at once, at the start.
    """

    def __init__(
        self,
        window: Window,
        features: FeatureSet,
        columns: Sequence[Column],
        derived: Sequence[Derived] = (),
        *,
        episodes: Episodes,
        followers: Sequence[Follower] = (),
        check: int = 1,
        enrich: Callable[[Bars], Bars] = as_they_are,
    ) -> None:
        if check < 0:
            raise ValueError(f"check must be 0 or more earlier bars, was {check}")
        self._window, self._features, self._columns = window, features, tuple(columns)
        self._derived, self._episodes, self._check, self._enrich = tuple(derived), episodes, check, enrich
        self._followers = tuple(followers)
        self._ranges: dict[str, tuple[float, float]] = {}
        for speaking in self._columns:
            self._ranges |= speaking.ranges
        for follower in self._followers:
            self._ranges |= follower.ranges
        for made in self._derived:
            self._ranges |= zip(made.names, made.ranges, strict=True)
        looked_at = [check, *(one.warmup + 1 for one in derived)]
        keep = max(window.keep, *looked_at) if window.keep else 0
        self.said: dict[str, Tail[float]] = {name: Tail(keep=keep) for name in self._ranges}
        self.check = SelfCheck()
        self._turn = threading.Lock()
        self._scored = 0
        self._spoke: deque[tuple[str | None, ...]] = deque(maxlen=check)
        self._rows: deque[ModelInput] = deque(maxlen=check)
        self.newest: ModelInput = np.full((0, len(features.names)), np.nan, dtype=np.float32)
        if len(window):
            self._score_history()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that models speak in."""
        return self._columns

    @property
    def sources(self) -> Mapping[str, LiveScores]:
        """Give each column as a source that a feed can carry."""
        return {name: LiveScores(self, name, *own) for name, own in self._ranges.items()}

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of :attr:`newest`, the features of the bar that was scored last."""
        return tuple(self._features.names)

    @property
    def scored(self) -> int:
        """How many bars have been scored, in all columns."""
        return self._scored

    def at(self, column: str, open_time: int) -> float:
        """Give a column's score of the bar that opened at a time, as it was said then; NaN if there is no such bar.

        From any thread: who asks first computes, the others wait.
        """
        place = self._window.place(open_time)
        with self._turn:  # also for what was said long ago: rows let go of their beginning while others grow
            while place >= self._scored:
                self._score_next()
            return self.said[column][place] if place >= 0 else np.nan

    def row(self, column: Column, place: int) -> ModelInput:
        """Give what a column reads of the bar that was scored last (shape 1 x n): features, or scores at ``place``."""
        inputs = column.files.inputs
        return _row({name: self.said[name][place] for name in inputs}, inputs) if inputs else self.newest

    def column(self, column: str) -> FloatArray:
        """Give all that was said, bar by bar; NaN where it is not kept any more."""
        said = self.said[column]
        return np.array([np.nan] * said.first + said.left(), dtype=np.float64)

    # -- scoring

    def _score_history(self) -> None:
        count = len(self._window)
        times = self._window.open_time[:count]
        rows, _ = self._compute(count, count - 1)
        found: dict[str, FloatArray] = {}
        for column in self._columns:
            inputs = rows if not column.files.inputs else _side_by_side(found, column.files.inputs)
            found |= column.say_all(times, inputs)
        for follower in self._followers:
            found |= follower.begin(self._window.until(count, count), found)
        for one in self._derived:
            found |= one.compute(found)
        for name, said in self.said.items():
            said.extend(found[name].tolist())
        self._remember(rows[max(0, count - self._check) :], times[max(0, count - self._check) :].tolist())
        self._scored = count

    def _score_next(self) -> None:
        place = self._scored
        times = self._window.open_time
        now, before = int(times[place]), int(times[place - 1]) if place else 0
        bar_ms = now - before if place else 0
        for column in self._columns:
            column.refresh(before, max(bar_ms, 1))
        again = min(self._check, place, len(self._rows))
        rows, is_whole = self._compute(place + 1, again)
        if again and is_whole:
            self._compare(place, rows[:-1], times[place - again : place].tolist())
        found: dict[str, float] = {}
        for column in self._columns:
            row = rows[-1:] if not column.files.inputs else _row(found, column.files.inputs)
            can_speak = is_whole or not column.needs_rows
            found |= column.say(now, row) if can_speak else dict.fromkeys(column.ranges, np.nan)
        for follower in self._followers:
            found |= self._follow(follower, place, found)
        self.newest = rows[-1:]
        for name, value in found.items():
            self.said[name].append(value)
        for one in self._derived:
            self._derive(one)
        self._remember(rows[-1:], [now])
        self._scored = place + 1

    def _follow(self, follower: Follower, place: int, found: Mapping[str, float]) -> Mapping[str, float]:
        key = next(iter(follower.ranges))
        try:
            told = follower.step(self._window.until(place + 1, 1), found)
            self._episodes.well(key)
        except Exception as error:  # noqa: BLE001  a label of the user's own may raise anything
            self._episodes.trouble(key, f"{', '.join(follower.ranges)}: {type(error).__name__}: {error}")
            return dict.fromkeys(follower.ranges, np.nan)
        return told

    def _derive(self, one: Derived) -> None:
        tails = {name: np.array(self.said[name][-(one.warmup + 1) :], dtype=np.float64) for name in one.inputs}
        try:
            made = one.compute(tails)
            values = [float(made[name][-1]) for name in one.names]
            self._episodes.well(f"{one.names[0]}: derived")
        except Exception as error:  # noqa: BLE001  a signal of the user's own may raise anything
            told = f"{', '.join(one.names)}: {type(error).__name__}: {error}"
            self._episodes.trouble(f"{one.names[0]}: derived", told)
            values = [np.nan] * len(one.names)
        for name, value in zip(one.names, values, strict=True):
            self.said[name].append(value)

    def _compute(self, stop: int, again: int) -> tuple[ModelInput, bool]:
        """Compute the features of bar ``stop - 1`` and of ``again`` bars before it; NaN and no if that fails."""
        try:
            window = self._enrich(self._window.until(stop, self._features.warmup + 1 + again))
            rows = self._features.tail(window, again + 1)
            self._episodes.well("features")
        except Exception as error:  # noqa: BLE001  a feature of the user's own may raise anything
            self._episodes.trouble("features", f"features: {type(error).__name__}: {error}")
            return np.full((again + 1, len(self._features.names)), np.nan, dtype=np.float32), False
        return rows, True

    def _remember(self, rows: ModelInput, times: Sequence[int]) -> None:
        for row, time in zip(rows, times, strict=True):
            entries = [column.entry_at(time) for column in self._columns]
            self._rows.append(row[None, :])
            self._spoke.append(tuple(None if entry is None else entry.file for entry in entries))

    # -- looking back

    def _compare(self, place: int, rows: ModelInput, times: Sequence[int]) -> None:
        """Score earlier bars again and compare with what was said then."""
        again = len(times)
        for back, time in enumerate(times):
            at = place - again + back
            then, files = self._rows[len(self._rows) - again + back], self._spoke[len(self._spoke) - again + back]
            for number, column in enumerate(self._columns):
                if column.files.inputs or not column.needs_rows:
                    continue  # it follows from the columns that it reads, or looks back by itself
                self._compare_one(column, files[number], at, time, rows[back : back + 1], then)

    def _compare_one(
        self, column: Column, file: str | None, at: int, time: int, row: ModelInput, then: ModelInput
    ) -> None:
        said = self.said[column.column][at]
        entry = column.entry_at(time)
        if (None if entry is None else entry.file) != file:
            self.check.add("late model", np.nan)
            return
        if entry is None or (np.isnan(said) and not np.isfinite(row).all()):
            return
        value = column.score(time, row)
        key = f"{column.column}: self-check"
        if value == said or (np.isnan(value) and np.isnan(said)):
            self.check.add("same", 0.0)
            self._episodes.well(key)
            return
        cause = rows_cause(row, then)
        self.check.add(cause, abs(value - said))
        is_known = np.isnan(said) and not np.isfinite(then).all()  # it was told when nothing could be said
        if cause != "feature rounding" and not is_known:
            told = (
                f"{column.column}: {said!r} was said {len(self.said[column.column]) - at} bars ago, now it is {value!r}"
            )
            self._episodes.trouble(key, f"{told} (cause: {cause})")


def rows_cause(now: ModelInput, then: ModelInput) -> Cause:
    """Say why the scores of a row that was computed twice differ: its features did, by rounding or by more, or not."""
    if np.array_equal(now, then, equal_nan=True):
        return "model"
    near = np.isclose(now, then, rtol=_ROUNDING, atol=1e-7, equal_nan=True)
    return "feature rounding" if near.all() else "features"


def _row(found: Mapping[str, float], names: Sequence[str]) -> ModelInput:
    return np.array([[found[name] for name in names]], dtype=np.float32)


def _side_by_side(found: Mapping[str, FloatArray], names: Sequence[str]) -> ModelInput:
    return np.column_stack([found[name] for name in names]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class LiveScores:
    """One column of a desk, as ``MLScore`` reads it."""

    desk: ScoreDesk
    column: str
    low: float
    high: float

    def batch(self) -> FloatArray:
        """Give what was said about every bar so far."""
        return self.desk.column(self.column)

    def at(self, open_time: int) -> float:
        """Score the bar that has just closed, or give what was said about an earlier one."""
        return self.desk.at(self.column, open_time)
