"""The score desk of all symbols that one network reads: one forward pass for each bar, whoever asks first."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.errors import ModelError
from itb.live.scores.desk import SelfCheck
from itb.live.scores.speaking import LateModel
from itb.market.bars import utc
from itb.mlmodels.deep.model import PanelModel, load_panel_model
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.onnx import OnnxModel
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.files import file_stamp
from itb.mlmodels.registry import check_model
from itb.mlmodels.stages import abstention
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry

if TYPE_CHECKING:
    from pathlib import Path

    from itb.indicators.feature_set import ModelInput
    from itb.live.episodes import Episodes
    from itb.live.scores.desk import Cause, Window

Runtime = Literal["torch", "onnx"]

_KEPT = 1_000  # newest bars whose scores are remembered; what was said before is said again by the same model
_MODELS = 3  # the one that speaks, its challenger, and the next one


@dataclass(frozen=True, slots=True)
class Tick:
    """One forward pass: the score of each symbol for the bars that opened at a time (NaN: none), by which model."""

    column: str
    open_time: int
    scores: Mapping[str, float]
    model: str


@dataclass(frozen=True, slots=True)
class _Pass:
    """What was said of one time: by which model (empty: none), of which input (its checksum), for whom.

    ``rows`` are the channels of that time as they were when each symbol was scored, if anybody wants them.
    """

    file: str
    read: int
    scores: dict[str, float]
    known_at: int = 0
    rows: dict[str, ModelInput] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A symbol's score, the model's ``known_at`` (0: none spoke), and the channels that it read last (1 x n)."""

    score: float
    known_at: int
    row: ModelInput | None


@dataclass
class PanelDesk:
    """Scores of every symbol for one column, from the timeline in ``folder`` and bars that grow.

    ``windows`` are the growing bars of each symbol that the network learned from. A bar's scores are computed once, at
    the first question about it: whoever delivers bars must have delivered those of all symbols by then. A symbol whose
    bar comes later counts as missing in the others' scores, as it does in a backtest where it is, and gets its own by
    another pass. ``tell`` hears each forward pass. History is scored at the start, at once. A model takes over at the
    bar its timeline names; a file that is not whole is told once and left alone. ``expires_after_ms``: a model fitted
    longer ago says nothing (0: it speaks on). ``runtime`` computes; that of ONNX differs from the backtest in the last
    digits of single precision. :meth:`look_back` computes the ``check`` bars before the newest again. ``keeps_rows``
    for stages that look at channels; ``stages`` are their folders by symbol, and a new model waits for what all of them
    learn with it.

    Raises :class:`itb.errors.ModelError` where there is no timeline.
    """

    windows: Mapping[str, Window]
    folder: Path
    episodes: Episodes
    timeframe_ms: int
    tell: Callable[[Tick], None] = lambda _tick: None
    expires_after_ms: int = 0
    runtime: Runtime = "torch"
    check: int = 0
    keeps_rows: bool = False
    stages: dict[str, Path] = field(default_factory=dict, init=False)
    late: list[LateModel] = field(default_factory=list, init=False)
    checked: SelfCheck = field(default_factory=SelfCheck, init=False)

    def __post_init__(self) -> None:
        self._turn = threading.RLock()
        self._models: dict[str, PanelModel] = {}
        self._said: dict[int, _Pass] = {}
        self._beside = 0, _Pass("", 0, {})
        self.timeline = ModelTimeline.load(self.folder / "timeline.json")
        self._stamp = self._look()
        self.column = self.timeline.column
        try:
            self._score_history()
        except Exception as error:  # noqa: BLE001  a model may fail in any way, and must not stop the rest
            self.episodes.trouble(f"{self.column}: model", f"{self.column}: {type(error).__name__}: {error}")

    def check_models(self) -> None:
        """Read every model that speaks or may; raise :class:`itb.errors.ModelError` for one that cannot.

        It is missing, altered, or learned from other symbols.
        """
        promoted = [entry for entry in self.timeline.entries if entry.promoted]
        for entry in promoted:
            check_model(self.folder / entry.file)
        for entry in promoted[-1:]:
            self._model(entry)

    def at(self, symbol: str, open_time: int) -> float:
        """Give a symbol's score of the bar that opened at a time, as it was said then; NaN where it has none.

        From any thread: who asks first computes, the others wait.
        """
        return self.spoken(symbol, open_time).score

    def spoken(self, symbol: str, open_time: int) -> Spoken:
        """Give the same with who said it and what it read."""
        with self._turn:
            said = self._said.get(open_time)
            if said is None:
                said = self._said[open_time] = self._score(open_time)
                while len(self._said) > _KEPT:
                    del self._said[next(iter(self._said))]
            elif symbol not in said.scores and self.windows[symbol].place(open_time) >= 0:
                late = self._score(open_time)
                said.scores[symbol] = late.scores.get(symbol, np.nan)
                said.rows.update({symbol: late.rows[symbol]} if symbol in late.rows else {})
            return Spoken(said.scores.get(symbol, np.nan), said.known_at, said.rows.get(symbol))

    def by(self, entry: TimelineEntry, symbol: str, open_time: int) -> float:
        """Give a symbol's score by another refit than the one that speaks: one pass for all symbols, for each bar.

        Whatever is wrong with its file is raised.
        """
        with self._turn:
            at, said = self._beside
            is_there = self.windows[symbol].place(open_time) >= 0
            if at != open_time or said.file != entry.file or (is_there and symbol not in said.scores):
                said = self._pass(entry, open_time)
                self._beside = open_time, said
            return said.scores.get(symbol, np.nan)

    def refresh(self) -> None:
        """Take a timeline that was continued: all of it or nothing."""
        with self._turn:
            stamp = self._look()
            if stamp == self._stamp:
                return
            key = f"{self.column}: refresh"
            try:
                timeline = self._continued()
                if not self._is_whole(timeline):
                    return  # its stages are still being written
            except (ModelError, OSError) as error:
                self.episodes.trouble(key, str(error))
                return
            self._tell_late(timeline.entries[len(self.timeline.entries) :])
            self._stamp, self.timeline = stamp, timeline
            self.episodes.well(key)

    def look_back(self) -> None:
        """Compute the scores of the bars before the newest again, and compare them with what was said."""
        with self._turn:
            for time in sorted(self._said)[-self.check - 1 : -1] if self.check else ():
                self._compare(time)

    def _continued(self) -> ModelTimeline:
        timeline = ModelTimeline.load(self.folder / "timeline.json")
        if not timeline.begins_with(self.timeline):
            raise ModelError(f"{self.column}: the timeline does not continue the one in use; it is left alone")
        for entry in timeline.entries[len(self.timeline.entries) :]:
            if entry.promoted:
                self._model(entry)
        return timeline

    def _is_whole(self, timeline: ModelTimeline) -> bool:
        """Whether every stage has learned what belongs to the newest model; a coin without a new bar has nothing to."""
        promoted = [entry.known_at for entry in timeline.entries if entry.promoted]
        spoke = max((entry.known_at for entry in self.timeline.entries if entry.promoted), default=-1)
        for symbol, folder in self.stages.items():
            times = self.windows[symbol].open_time
            last = times.searchsorted(promoted[-1], side="right") - 1 if promoted else -1
            own = int(times[last]) if last >= times.first else -1
            learned = ModelTimeline.load(folder / f"{abstention.NAME}.json").entries
            if own > spoke and (not learned or learned[-1].known_at < own):
                return False
        return True

    def _tell_late(self, new: tuple[TimelineEntry, ...]) -> None:
        newest = max(self._said, default=None)
        for entry in new:
            if entry.promoted and newest is not None and entry.speaks_from <= newest:
                count = (newest - entry.speaks_from) // self.timeframe_ms + 1
                self.late.append(LateModel(self.column, entry.file, entry.speaks_from, count))
                told = f"the model that speaks from {utc(entry.speaks_from)} on came {count} bars late"
                self.episodes.trouble(f"{self.column}: late", f"{self.column}: {told}")
            elif entry.promoted:
                self.episodes.well(f"{self.column}: late")

    # -- scoring

    def _score(self, open_time: int) -> _Pass:
        self.refresh()
        nobody = _Pass("", 0, dict.fromkeys(self.windows, np.nan))
        entry = self.timeline.entry_at(open_time)
        if entry is None:
            return nobody
        if self._has_expired(entry, open_time):
            told = f"{self.column}: the model fitted at {utc(entry.known_at)} has expired; train a new one"
            self.episodes.trouble(f"{self.column}: expired", told)
            return nobody
        self.episodes.well(f"{self.column}: expired")
        key = f"{self.column}: model"
        try:
            said = self._pass(entry, open_time)
        except Exception as error:  # noqa: BLE001  a model may fail in any way, and must not stop the rest
            self.episodes.trouble(key, f"{self.column}: {type(error).__name__}: {error}")
            return nobody
        if not np.isfinite(list(said.scores.values())).any():
            self.episodes.trouble(key, f"{self.column}: the model gives no number: no score")
        else:
            self.episodes.well(key)
        told_scores = {symbol: said.scores.get(symbol, np.nan) for symbol in self.windows}
        self.tell(Tick(self.column, open_time, told_scores, entry.file))
        return said

    def _pass(self, entry: TimelineEntry, open_time: int) -> _Pass:
        """Let the model look once: its scores of the symbols whose bar is there."""
        model = self._model(entry)
        panel = self._panel(model, open_time, open_time)
        scores = model.scores(panel, range(len(panel) - 1, len(panel)))[0].tolist()
        known = {symbol: scores[coin] for coin, symbol in enumerate(panel.symbols) if panel.there[-1, coin]}
        rows = self._rows(panel, -1, known)
        return _Pass(entry.file, zlib.crc32(panel.cells.tobytes()), known, entry.known_at, rows)

    def _rows(self, panel: Panel, place: int, known: Iterable[str]) -> dict[str, ModelInput]:
        return dict.fromkeys(known, panel.cells[:, place].copy()[np.newaxis]) if self.keeps_rows else {}

    def _score_history(self) -> None:
        times = sorted({int(time) for window in self.windows.values() for time in window.open_time.left()})
        if not times:
            return
        last = times[-1]
        begins = [entry.speaks_from for entry in self.timeline.entries if entry.promoted]
        cuts = sorted({times[0], *(begin for begin in begins if times[0] < begin <= last), last + self.timeframe_ms})
        found: dict[int, _Pass] = {}
        for start, stop in pairwise(cuts):
            entry = self.timeline.entry_at(start)
            if entry is None:
                continue
            model = self._model(entry)
            begin = max(start, times[0] + model.part.warmup * self.timeframe_ms)  # before, no window is whole
            if begin >= stop:
                continue
            panel = self._panel(model, begin, stop - self.timeframe_ms)
            rows = range(model.part.warmup, len(panel))
            for row, scores in zip(rows, model.scores(panel, rows).tolist(), strict=True):
                time = int(panel.open_time[row])
                if not self._has_expired(entry, time):
                    said = dict(zip(panel.symbols, scores, strict=True))
                    found[time] = _Pass("", 0, said, entry.known_at, self._rows(panel, row, said))
        for time in times:
            self._said[time] = found.get(time, _Pass("", 0, dict.fromkeys(self.windows, np.nan)))

    def _panel(self, model: PanelModel, first: int, last: int) -> Panel:
        """Give the bars that decide the scores from ``first`` to ``last``."""
        begin = first - model.part.warmup * self.timeframe_ms
        rows = (last - begin) // self.timeframe_ms + 1
        bars = {}
        for symbol, window in self.windows.items():
            stop = window.open_time.searchsorted(last, side="right")
            bars[symbol] = window.until(stop, rows)
        return Panel.of(bars, model.part.reading, span=(begin, last))

    def _compare(self, time: int) -> None:
        then, entry = self._said[time], self.timeline.entry_at(time)
        if entry is None or not then.file:
            return
        if entry.file != then.file:
            self.checked.add("late model", np.nan)
            return
        now = self._pass(entry, time)
        before = np.array([then.scores[symbol] for symbol in now.scores if symbol in then.scores])
        after = np.array([value for symbol, value in now.scores.items() if symbol in then.scores])
        cause: Cause = "features" if now.read != then.read else "model"
        if np.array_equal(before, after, equal_nan=True):
            cause = "same"
        self.checked.add(cause, float(np.max(np.abs(before - after), initial=0.0)))
        key = f"{self.column}: self-check"
        if cause == "model":
            self.episodes.trouble(
                key, f"{self.column}: other scores were said of {utc(time)} than are now (cause: model)"
            )
        elif cause == "same":
            self.episodes.well(key)

    def _model(self, entry: TimelineEntry) -> PanelModel:
        """Load a model once; those that were not asked for longest are forgotten."""
        if entry.file in self._models:
            self._models[entry.file] = self._models.pop(entry.file)
        else:
            model = load_panel_model(check_model(self.folder / entry.file)[1], DEEP)
            if model.symbols != tuple(sorted(self.windows)):
                raise ModelError(
                    f"{self.column}: its models read {', '.join(model.symbols)}, bars are there of "
                    f"{', '.join(sorted(self.windows))}; trade the symbols it was trained with, or train again"
                )
            self._models[entry.file] = OnnxModel.of(model) if self.runtime == "onnx" else model
            while len(self._models) > _MODELS:
                del self._models[next(iter(self._models))]
        return self._models[entry.file]

    def _has_expired(self, entry: TimelineEntry, open_time: int) -> bool:
        return 0 < self.expires_after_ms < open_time - entry.known_at

    def _look(self) -> tuple[int, int, int]:
        return file_stamp(self.folder / "timeline.json")
