"""Columns that follow from a score and from what came of earlier ones: intervals around it, flags by thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from itb.errors import ModelError
from itb.live.bars.bar import rows_of
from itb.live.host.growing import GrowingBars
from itb.market.bars import Bars, utc
from itb.mlmodels.conformal import ConformalState
from itb.mlmodels.labels.column import NEVER
from itb.mlmodels.stages.column import ScoreColumn
from itb.mlmodels.thresholds.walk import fit_before

if TYPE_CHECKING:
    from itb.market.bars import FloatArray
    from itb.mlmodels.labels.column import LabelColumn
    from itb.mlmodels.stages.flags import ThresholdFlags
    from itb.mlmodels.stages.intervals import ConformalIntervals
    from itb.mlmodels.stages.tape import ScoreTape
    from itb.mlmodels.thresholds import SideRule

FLAG = (0.0, 1.0)
ANY = (-np.inf, np.inf)


class Follower(Protocol):
    """Columns that are told bar by bar; what it gives is what its stage gives of all bars at once, bit for bit."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Its columns with the lowest and highest value of each."""

    def begin(self, bars: Bars, found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """Give its columns of the history; ``found`` holds those that models spoke, as long as ``bars``."""

    def step(self, bar: Bars, found: Mapping[str, float]) -> Mapping[str, float]:
        """Give them of the next bar, the only one of ``bar``."""


@dataclass(frozen=True, eq=False)
class Past:
    """What lies before a bot's history: the bars, and the scores that were given on them.

    A stage that learns from its scores needs all of them. ``bars`` may reach into the history, where its own count.
    """

    tape: ScoreTape
    bars: Bars | None = None

    def bars_with(self, history: Bars) -> Bars:
        """Put the history behind the bars before it; raise :class:`itb.errors.ModelError` where some are missing."""
        before = None if self.bars is None else self.bars.between(None, int(history.open_time[0]))
        whole = history
        if before is not None and len(before):
            columns = {name: np.concatenate((before[name], history[name])) for name in history.columns}
            times = np.concatenate((before.open_time, history.open_time))
            whole = Bars(history.symbol, history.timeframe, times, columns)
        known = self.tape.times[self.tape.times <= history.open_time[-1]]
        absent = known[~np.isin(known, whole.open_time)]
        if len(absent):
            raise ModelError(
                f"{self.tape.column}: {len(absent):,} bars that it was scored on are not there any more, the first is "
                f"{utc(int(absent[0]))}; `itb data download` may bring them back"
            )
        return whole

    def scores_on(self, whole: Bars, history: FloatArray) -> FloatArray:
        """Give the score of every bar: what the tape says, else what was found for the last ``len(history)`` bars."""
        scores = np.full(len(whole), np.nan)
        scores[len(whole) - len(history) :] = history
        known = self.tape.times <= whole.open_time[-1]
        scores[np.searchsorted(whole.open_time, self.tape.times[known])] = self.tape.scores[known]
        return scores


@dataclass(frozen=True)
class Outcome:
    """What scores are held against: a label, and how many bars decide one value of it (0: any before it may)."""

    label: Callable[[Bars], LabelColumn]
    reach: int = 0

    def settled(self, bars: GrowingBars, since: int) -> list[tuple[int, float]]:
        """Give rows and values that the bars from position ``since`` on have settled, in the order that a run meets."""
        tail = min(len(bars), self.reach - 1 + len(bars) - since) if self.reach else len(bars)
        column, before = self.label(bars.tail(tail)), len(bars) - tail
        known = np.where(column.known_at == NEVER, NEVER, column.known_at + before)
        rows = np.flatnonzero(known >= since)
        rows = rows[np.argsort(known[rows], kind="stable")]
        return list(zip((rows + before).tolist(), column.values[rows].tolist(), strict=True))


@dataclass
class Memory:
    """All bars and all scores of one column, from the first that it was scored on."""

    column: str
    past: Past
    bars: GrowingBars = field(init=False)
    scores: FloatArray = field(init=False)

    def begin(self, bars: Bars, found: Mapping[str, FloatArray], outcome: Outcome) -> ScoreColumn:
        """Take the history; give the column with its label."""
        whole = self.past.bars_with(bars)
        self.bars, self.scores = GrowingBars(whole), self.past.scores_on(whole, found[self.column])
        return ScoreColumn(
            self.column, self.scores.copy(), *ANY, is_probability=False, label=outcome.label(whole), label_name="",
            blocks=(), open_time=whole.open_time,
        )  # fmt: skip

    def add(self, bar: Bars, found: Mapping[str, float]) -> int:
        """Take one bar more; give its row."""
        row = len(self.bars)
        self.bars.append(rows_of(bar)[0])
        self.scores = roomy(self.scores, row)
        self.scores[row] = found[self.column]
        return row


def roomy(values: FloatArray, row: int) -> FloatArray:
    """Give an array that has a place for a row, the same one where it has."""
    if row < len(values):
        return values
    return np.concatenate((values, np.full(max(1_024, row // 4), np.nan)))


class FollowingIntervals:
    """The lowest and highest label to expect, as wide as the errors known by then demand.

    >>> from itb.mlmodels.stages.intervals import ConformalIntervals
    >>> names = FollowingIntervals("ahead_linear", ConformalIntervals(), Outcome(print), Past(None)).ranges
    >>> list(names)
    ['ahead_linear_low', 'ahead_linear_high']
    """

    def __init__(self, column: str, stage: ConformalIntervals, outcome: Outcome, past: Past) -> None:
        self._stage, self._outcome, self._memory = stage, outcome, Memory(column, past)
        self._state = ConformalState(stage.conformal)
        self._low = self._high = np.zeros(0)
        self._settled = 0
        self.ranges: Mapping[str, tuple[float, float]] = {f"{column}_low": ANY, f"{column}_high": ANY}

    def begin(self, bars: Bars, found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """Give the intervals of the history."""
        column = self._memory.begin(bars, found, self._outcome)
        intervals, self._state = self._stage.conformal.walk(column.scores, column.label)
        self._low, self._high, self._settled = intervals.low, intervals.high, len(column.scores)
        return dict(zip(self.ranges, (self._low[-len(bars) :], self._high[-len(bars) :]), strict=True))

    def step(self, bar: Bars, found: Mapping[str, float]) -> Mapping[str, float]:
        """Give the interval of the next bar."""
        row = self._memory.add(bar, found)
        scores = self._memory.scores
        self._low, self._high = roomy(self._low, row), roomy(self._high, row)
        for known, label in self._outcome.settled(self._memory.bars, self._settled):
            if np.isfinite(scores[known]):
                self._state.learn(float(scores[known]), label, float(self._low[known]), float(self._high[known]))
        self._settled = row + 1
        self._low[row], self._high[row], _ = self._state.interval(float(scores[row]))
        return dict(zip(self.ranges, (float(self._low[row]), float(self._high[row])), strict=True))


class FollowingFlags:
    """1 or 0 to buy and to sell, by thresholds that the policy chooses anew at the first bar of each block."""

    def __init__(self, column: str, stage: ThresholdFlags, returns: Outcome, past: Past) -> None:
        self._stage, self._returns, self._memory = stage, returns, Memory(column, past)
        self._first: int | None = None
        self._block: tuple[int, SideRule] | None = None
        self.ranges: Mapping[str, tuple[float, float]] = {f"{column}_buy": FLAG, f"{column}_sell": FLAG}

    def begin(self, bars: Bars, found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """Give the flags of the history."""
        column = self._memory.begin(bars, found, self._returns)
        walk = self._stage.walk(column, column.label)
        if walk.walked.fits:
            last = walk.walked.fits[-1]
            self._first, self._block = walk.first, (walk.first + last.start, last.rule)
        return {name: values[-len(bars) :] for name, values in walk.flags.items()}

    def step(self, bar: Bars, found: Mapping[str, float]) -> Mapping[str, float]:
        """Give the flags of the next bar."""
        row = self._memory.add(bar, found)
        scores = self._memory.scores
        is_told = bool(np.isfinite(scores[row]))
        if self._first is None and is_told:
            self._first = row
        if self._first is None:
            return dict.fromkeys(self.ranges, np.nan)
        if self._block is None or row >= self._block[0] + self._stage.refit_every:
            start = row - (row - self._first) % self._stage.refit_every
            self._block = start, self._fit(self._first, start)
        start, rule = self._block
        side = int(rule.sides(scores[start : row + 1])[-1])
        told = (float(side == 1), float(side == -1)) if is_told else (np.nan, np.nan)
        return dict(zip(self.ranges, told, strict=True))

    def _fit(self, first: int, start: int) -> SideRule:
        returns = self._returns.label(self._memory.bars.tail(len(self._memory.bars)))
        known_at = np.where(returns.known_at == NEVER, NEVER, returns.known_at - first)[first:]
        scores, values = self._memory.scores[first : len(returns)], returns.values[first:]
        return fit_before(self._stage.policy, scores, values, known_at, start - first, self._stage.lookback)
