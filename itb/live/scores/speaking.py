"""One score column live: the model that speaks now, swapped at a bar boundary, silent when it cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from itb.errors import ModelError
from itb.market.bars import FloatArray, IntArray, utc
from itb.mlmodels.by_class import CLASS_NAMES
from itb.mlmodels.coin_scales import check_coin
from itb.mlmodels.files import file_stamp
from itb.mlmodels.registry import check_model, load_model
from itb.mlmodels.stages.files import ScoreFiles, SpokenRows
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from itb.live.episodes import Episodes
    from itb.mlmodels.algorithm import Algorithm, FloatMatrix
    from itb.mlmodels.registry import StoredModel

_BESIDE = 1e-9  # how far a score may lie outside the declared range by rounding


@dataclass(frozen=True)
class ColumnFiles:
    """Where a column's models are: the folder of its timeline, that of its stages, and what its model reads.

    ``inputs`` are score columns (a stack reads them); empty reads the features. ``expires_after_ms``: a model that was
    fitted longer ago says nothing; 0: it speaks until another one does. ``coin``: whose scores these are, needed where
    a pool's models scale coin by coin. ``coins`` are the symbols whose bars a network reads in place of features.
    ``has_raw``: the model's own score is told beside the one after the stages; ``has_classes``: so are the chances to
    hold, to buy and to sell.
    """

    models: Path
    stages: Path | None = None
    inputs: tuple[str, ...] = ()
    algorithm: Algorithm | None = None
    expires_after_ms: int = 0
    coin: str = ""
    coins: tuple[str, ...] = ()
    has_raw: bool = False
    has_classes: bool = False


@dataclass(frozen=True, slots=True)
class LateModel:
    """A model that should have spoken from a bar on, but was there ``bars`` bars late: a cause of lost parity."""

    column: str
    file: str
    speaks_from: int
    bars: int


@dataclass
class SpeakingColumn:
    """A score column from files. Any trouble with them gives NaN and is told once.

    Raises :class:`itb.errors.ModelError` at the start when there is no timeline, or when the model that speaks first
    learned from other features: that must stop a start, not a running bot.
    """

    files: ColumnFiles
    feature_names: tuple[str, ...]
    episodes: Episodes
    late: list[LateModel] = field(default_factory=list)

    needs_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._beside: tuple[str, StoredModel] | None = None
        self._stamp = self._look()
        self.timeline = ModelTimeline.load(self.files.models / "timeline.json")
        self._scores = self._score_files()
        self.column = self.timeline.column
        wanted = self.files.inputs or self.feature_names
        if tuple(self.timeline.feature_names) != tuple(wanted):
            raise ModelError(
                f"{self.column}: its models learned from {len(self.timeline.feature_names)} columns "
                f"({', '.join(self.timeline.feature_names[:3])} ...), but {len(wanted)} are computed "
                f"({', '.join(wanted[:3])} ...); restore the features it was trained with, or train again"
            )
        self.low, self.high = self.timeline.low, self.timeline.high
        self.ranges: dict[str, tuple[float, float]] = {self.column: (self.low, self.high)}
        if self.files.has_raw:
            self.ranges[f"{self.column}_raw"] = self.low, self.high
        if self.files.has_classes:
            self.ranges |= {f"{self.column}_{name}": (0.0, 1.0) for name in CLASS_NAMES}
        if self.files.stages is not None and (self.files.stages / "calibration.json").exists():
            self.low, self.high = self.ranges[self.column] = 0.0, 1.0

    def check(self) -> None:
        """Read every model that may still speak; raise :class:`itb.errors.ModelError` if one is missing or altered.

        So it is if the newest of them scales coin by coin and does not know this one.
        """
        self._check(self.timeline.entries)

    def is_whole(self) -> bool:
        """Tell whether :meth:`check` finds nothing; what it finds is a trouble, and costs this column its scores."""
        try:
            self.check()
        except ModelError as error:
            self.episodes.trouble(f"{self.column}: model", f"{self.column}: {error}")
            return False
        return True

    def entry_at(self, open_time: int) -> TimelineEntry | None:
        """Give the refit that speaks at a bar."""
        return self.timeline.entry_at(open_time)

    def refresh(self, last_scored: int, bar_ms: int) -> None:
        """Take a timeline that was continued, before the bar after ``last_scored`` is scored: all of it or nothing.

        A file that is not whole, or does not continue what is known, is told once and left alone.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            timeline = ModelTimeline.load(self.files.models / "timeline.json")
            new = self._new_entries(timeline)
            if not self._is_whole(new):
                return  # its stages are still being written
            self._check(new)
            scores = self._score_files()
        except (ModelError, OSError) as error:
            self.episodes.trouble(f"{self.column}: refresh", str(error))
            return
        self._stamp = stamp
        for entry in new:
            if entry.promoted and entry.speaks_from <= last_scored:
                count = (last_scored - entry.speaks_from) // bar_ms + 1
                self.late.append(LateModel(self.column, entry.file, entry.speaks_from, count))
                self.episodes.trouble(
                    f"{self.column}: late",
                    f"{self.column}: the model that speaks from {utc(entry.speaks_from)} on came {count} bars late",
                )
            elif entry.promoted:
                self.episodes.well(f"{self.column}: late")
        self.timeline, self._scores = timeline, scores
        self.episodes.well(f"{self.column}: refresh")

    def _is_whole(self, new: Sequence[TimelineEntry]) -> bool:
        """Whether the stages have learned what belongs to the newest model."""
        newest = max((entry.known_at for entry in new if entry.promoted), default=0)
        return all(timeline.entries[-1].known_at >= newest for timeline in self._stage_timelines() if timeline.entries)

    def _new_entries(self, timeline: ModelTimeline) -> tuple[TimelineEntry, ...]:
        if not timeline.begins_with(self.timeline):
            raise ModelError(f"{self.column}: the timeline does not continue the one in use; it is left alone")
        return timeline.entries[len(self.timeline.entries) :]

    def score(self, open_time: int, row: FloatMatrix) -> float:
        """Score one bar's row (shape 1 x columns); NaN where nobody speaks or nothing can be trusted."""
        return self.say(open_time, row)[self.column]

    def say(self, open_time: int, row: FloatMatrix) -> dict[str, float]:
        """Give the score of one bar's row, and what is told beside it: every name of ``ranges``."""
        spoken = self._trusted(open_time, row)
        if spoken is None:
            return dict.fromkeys(self.ranges, np.nan)
        return {name: float(values[0]) for name, values in self._named(spoken).items()}

    def batch(self, open_time: IntArray, rows: FloatMatrix) -> FloatArray:
        """Score many bars at once, each by the model that spoke then; the bits of :meth:`score`."""
        return self.say_all(open_time, rows)[self.column]

    def say_all(self, open_time: IntArray, rows: FloatMatrix) -> dict[str, FloatArray]:
        """Give what :meth:`say` gives of many bars at once, bit for bit."""
        found = {name: np.full(len(open_time), np.nan) for name in self.ranges}
        begins = sorted({entry.speaks_from for entry in (*self.timeline.entries, *self._stage_entries())})
        cuts = [0, *np.searchsorted(open_time, begins).tolist(), len(open_time)]
        for start, stop in pairwise(cuts):
            if start >= stop or self.entry_at(int(open_time[start])) is None:
                continue
            try:
                spoken = self._scores.say(int(open_time[start]), rows[start:stop])
            except Exception as error:  # noqa: BLE001  a model file may fail in any way, and must not stop the rest
                self.episodes.trouble(f"{self.column}: model", f"{self.column}: {type(error).__name__}: {error}")
                continue
            for name, values in self._named(spoken).items():
                found[name][start:stop] = values
        return found

    def by(self, entry: TimelineEntry, _open_time: int, row: FloatMatrix) -> float:
        """Score a row by the model of another refit, without any stage; whatever is wrong with its file is raised."""
        if self._beside is None or self._beside[0] != entry.file:
            self._beside = entry.file, load_model(self.files.models / entry.file, self.files.algorithm)
        return float(self._beside[1].scores(row, self.files.coin)[0])

    def _named(self, spoken: SpokenRows) -> dict[str, FloatArray]:
        told = [spoken.score]
        if self.files.has_raw:
            told.append(spoken.raw)
        if self.files.has_classes and spoken.chances is not None:
            told.extend(spoken.chances)
        return dict(zip(self.ranges, told, strict=True))

    def _trusted(self, open_time: int, row: FloatMatrix) -> SpokenRows | None:
        """Ask the model that speaks at a bar; ``None`` where nobody does or nothing can be trusted."""
        entry = self.entry_at(open_time)
        if entry is None:
            return None
        limit = self.files.expires_after_ms
        if limit and open_time - entry.known_at > limit:
            told = f"{self.column}: the model fitted at {utc(entry.known_at)} has expired; train a new one"
            self.episodes.trouble(f"{self.column}: expired", told)
            return None
        self.episodes.well(f"{self.column}: expired")
        if not np.isfinite(row).all():
            names = [self._names[place] for place in np.flatnonzero(~np.isfinite(row[0]))]
            told = f"{self.column}: {len(names)} inputs have no number, {names[0]} first: no score"
            self.episodes.trouble(f"{self.column}: inputs", told)
            return None
        self.episodes.well(f"{self.column}: inputs")
        try:
            spoken = self._scores.say(open_time, row)
        except Exception as error:  # noqa: BLE001  as above
            self.episodes.trouble(f"{self.column}: model", f"{self.column}: {type(error).__name__}: {error}")
            return None
        score, raw = float(spoken.score[0]), float(spoken.raw[0])
        wrong = ""
        if np.isnan(raw):  # a score without a number is one that was abstained from
            wrong = "gives no number"
        elif np.isinf(score) or score < self.low - _BESIDE or score > self.high + _BESIDE:
            wrong = f"says {score:g}, declared is {self.low:g} to {self.high:g}"
        if wrong:
            self.episodes.trouble(f"{self.column}: model", f"{self.column}: the model {wrong}: no score")
            return None
        self.episodes.well(f"{self.column}: model")
        return spoken

    def _check(self, entries: Sequence[TimelineEntry]) -> None:
        manifests = [check_model(self.files.models / entry.file)[0] for entry in entries if entry.promoted]
        for manifest in manifests[-1:]:
            if manifest.scales:
                check_coin(manifest.coins, self.files.coin)

    def _score_files(self) -> ScoreFiles:
        files = self.files
        return ScoreFiles(files.models, files.stages, files.algorithm, files.coin, by_class=files.has_classes)

    @property
    def _names(self) -> tuple[str, ...]:
        return self.files.inputs or self.feature_names

    def _stage_timelines(self) -> tuple[ModelTimeline, ...]:
        folder = self.files.stages
        names = [] if folder is None else [folder / f"{name}.json" for name in ("abstention", "calibration")]
        return tuple(ModelTimeline.load(path) for path in names if path.exists())

    def _stage_entries(self) -> tuple[TimelineEntry, ...]:
        return tuple(entry for timeline in self._stage_timelines() for entry in timeline.entries)

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        """See whether a file may have changed, without reading it."""
        names = [self.files.models / "timeline.json"]
        if self.files.stages is not None:
            names += [self.files.stages / f"{name}.json" for name in ("abstention", "calibration")]
        return tuple(file_stamp(path) for path in names if path.exists())
