"""Refits that were not promoted, asked beside the models that speak: told and compared, never decided on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from itb.live.bars.barrier import Step
    from itb.live.scores.desk import Column, ScoreDesk, Window
    from itb.mlmodels.algorithm import FloatMatrix
    from itb.mlmodels.timeline import TimelineEntry

Told: TypeAlias = Callable[[str, str, "Challenged"], None]


@dataclass(frozen=True, slots=True)
class Challenged:
    """What the challenger of a column said of a bar, and the model that speaks; NaN where one said nothing.

    Both are the models' own scores, before calibration and abstention: those stages learn from the model that speaks.
    """

    open_time: int
    file: str
    score: float
    champion: float


@dataclass
class Challenger:
    """The challenger of one score column: the newest refit, where it is not the one that speaks.

    ``bars`` counts those that both have scored since it came, ``distance`` is the mean difference there, ``score`` the
    newest score. Any trouble with its file gives NaN, and is told once.
    """

    column: Column
    known_at: int = 0
    bars: int = 0
    score: float = np.nan
    _apart: float = 0.0

    @property
    def distance(self) -> float:
        """How far its scores are from those of the model that speaks; NaN before the first."""
        return self._apart / self.bars if self.bars else np.nan

    def entry_at(self, open_time: int) -> TimelineEntry | None:
        """Give the refit that would speak at a bar, had it been promoted; ``None`` where that is the one that does."""
        found = [one for one in self.column.timeline.entries if one.file and one.speaks_from <= open_time]
        return found[-1] if found and not found[-1].promoted else None

    def say(self, open_time: int, row: FloatMatrix, champion: float) -> Challenged | None:
        """Score a bar by its row, as the column takes it (shape 1 x n); ``None`` where there is no challenger."""
        entry = self.entry_at(open_time)
        known_at = 0 if entry is None else entry.known_at
        if known_at != self.known_at:
            self.known_at, self.bars, self._apart, self.score = known_at, 0, 0.0, np.nan
        if entry is None:
            self.column.episodes.well(self._key)
            return None
        self.score = self._ask(entry, open_time, row)
        if np.isfinite(self.score) and np.isfinite(champion):
            self.bars += 1
            self._apart += abs(self.score - champion)
        return Challenged(open_time, entry.file, self.score, champion)

    def _ask(self, entry: TimelineEntry, open_time: int, row: FloatMatrix) -> float:
        try:
            score = self.column.by(entry, open_time, row)
        except Exception as error:  # noqa: BLE001  a model file may fail in any way, and must not stop the rest
            self.column.episodes.trouble(self._key, f"{self._key}: {type(error).__name__}: {error}")
            return np.nan
        self.column.episodes.well(self._key)
        return score

    @property
    def _key(self) -> str:
        return f"{self.column.column}: challenger"


@dataclass
class Challengers:
    """The challengers of a bot's columns, by symbol and column; asked once everybody has decided on a bar.

    That of a stack reads the same scores as the stack that speaks. ``told`` hears the symbol, the column and what was
    said.
    """

    desks: Mapping[str, ScoreDesk]
    windows: Mapping[str, Window]
    told: Told
    of: dict[tuple[str, str], Challenger] = field(default_factory=dict)
    _newest: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for symbol, desk in self.desks.items():
            self.of |= {(symbol, column.column): Challenger(column) for column in desk.columns}

    async def ask(self, step: Step) -> None:
        """Let them score the newest bars, on a thread beside the network's."""
        for symbol in step.bars:
            desk, times = self.desks[symbol], self.windows[symbol].open_time
            place = len(self.windows[symbol]) - 1
            if desk.scored <= place or int(times[place]) <= self._newest.get(symbol, -1):
                continue  # nobody has asked for its scores, or they were told
            self._newest[symbol] = int(times[place])
            own = [one for (name, _), one in self.of.items() if name == symbol]
            rows = [desk.row(one.column, place) for one in own]
            champions = [desk.said[_own_score(one.column)][place] for one in own]
            found = await asyncio.to_thread(_say, own, int(times[place]), rows, champions)
            for one, said in zip(own, found, strict=True):
                if said is not None:
                    self.told(symbol, one.column.column, said)


def _say(
    challengers: Sequence[Challenger], open_time: int, rows: Sequence[FloatMatrix], champions: Sequence[float]
) -> list[Challenged | None]:
    return [one.say(open_time, row, score) for one, row, score in zip(challengers, rows, champions, strict=True)]


def _own_score(column: Column) -> str:
    """Name where the model's own score is told."""
    return f"{column.column}_raw" if column.files.has_raw else column.column
