"""The score desk of all symbols that one network reads: one forward pass for each bar, whoever asks first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.errors import ModelError
from itb.market.bars import utc
from itb.mlmodels.deep.model import PanelModel, load_panel_model
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.onnx import OnnxModel
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.registry import check_model
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry

if TYPE_CHECKING:
    from pathlib import Path

    from itb.live.episodes import Episodes
    from itb.live.scores.desk import Window
    from itb.market.bars import FloatArray

Runtime = Literal["torch", "onnx"]


@dataclass(frozen=True, slots=True)
class Tick:
    """One forward pass: the score of each symbol for the bars that opened at a time (NaN: none), by which model."""

    column: str
    open_time: int
    scores: Mapping[str, float]
    model: str


@dataclass
class PanelDesk:
    """Scores of every symbol for one column, from the timeline in ``folder`` and bars that grow.

    ``windows`` are the growing bars of each symbol that the network learned from. A bar's scores are computed once, at
    the first question about it: whoever delivers bars must have delivered those of all symbols by then (a bar that
    comes later counts as missing, as it does in a backtest where it is). ``tell`` hears each forward pass. History is
    scored at the start, at once. A model takes over at the bar its timeline names; a file that is not whole is told
    once and left alone. ``expires_after_ms``: a model fitted longer ago says nothing (0: it speaks on). ``runtime``
    computes; that of ONNX differs from the backtest in the last digits of single precision.

    Raises :class:`itb.errors.ModelError` at the start where a model that may speak is missing, altered, or learned from
    other symbols.
    """

    windows: Mapping[str, Window]
    folder: Path
    episodes: Episodes
    timeframe_ms: int
    tell: Callable[[Tick], None] = lambda _tick: None
    expires_after_ms: int = 0
    runtime: Runtime = "torch"
    said: dict[int, dict[str, float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._stamp = self._look()
        self._models: dict[str, PanelModel] = {}
        self.timeline = ModelTimeline.load(self.folder / "timeline.json")
        self.column = self.timeline.column
        for entry in self.timeline.entries:
            if entry.promoted:
                self._model(entry)
        self._score_history()

    def sources(self, symbol: str) -> Mapping[str, PanelScores]:
        """Give the column as a source that this symbol's feed can carry."""
        return {self.column: PanelScores(self, symbol, self.timeline.low, self.timeline.high)}

    def at(self, symbol: str, open_time: int) -> float:
        """Give a symbol's score of the bar that opened at a time; NaN where it has none."""
        if open_time not in self.said:
            self.refresh()
            self._score(open_time)
        return self.said[open_time].get(symbol, np.nan)

    def refresh(self) -> None:
        """Take a timeline that was continued: all of it or nothing."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        key = f"{self.column}: refresh"
        try:
            timeline = self._continued()
        except (ModelError, OSError) as error:
            self.episodes.trouble(key, str(error))
            return
        self._stamp, self.timeline = stamp, timeline
        self.episodes.well(key)

    def _continued(self) -> ModelTimeline:
        timeline = ModelTimeline.load(self.folder / "timeline.json")
        if not timeline.begins_with(self.timeline):
            raise ModelError(f"{self.column}: the timeline does not continue the one in use; it is left alone")
        for entry in timeline.entries[len(self.timeline.entries) :]:
            if entry.promoted:
                self._model(entry)
        return timeline

    # -- scoring

    def _score(self, open_time: int) -> None:
        self.said[open_time] = {}
        entry = self.timeline.entry_at(open_time)
        if entry is None:
            return
        if self._has_expired(entry, open_time):
            told = f"{self.column}: the model fitted at {utc(entry.known_at)} has expired; train a new one"
            self.episodes.trouble(f"{self.column}: expired", told)
            return
        self.episodes.well(f"{self.column}: expired")
        key = f"{self.column}: model"
        try:
            model = self._model(entry)
            panel = self._panel(model, open_time, open_time)
            scores = model.scores(panel, range(len(panel) - 1, len(panel)))[0]
        except Exception as error:  # noqa: BLE001  a model may fail in any way, and must not stop the rest
            self.episodes.trouble(key, f"{self.column}: {type(error).__name__}: {error}")
            return
        self.episodes.well(key)
        self.said[open_time] = dict(zip(panel.symbols, scores.tolist(), strict=True))
        self.tell(Tick(self.column, open_time, self.said[open_time], entry.file))

    def _score_history(self) -> None:
        times = sorted({int(time) for window in self.windows.values() for time in window.open_time[: len(window)]})
        if not times:
            return
        last = times[-1]
        begins = [entry.speaks_from for entry in self.timeline.entries if entry.promoted]
        cuts = sorted({times[0], *(begin for begin in begins if times[0] < begin <= last), last + self.timeframe_ms})
        for start, stop in pairwise(cuts):
            entry = self.timeline.entry_at(start)
            if entry is None:
                continue
            model = self._model(entry)
            panel = self._panel(model, start, stop - self.timeframe_ms)
            rows = range(model.part.warmup, len(panel))
            for row, scores in zip(rows, model.scores(panel, rows).tolist(), strict=True):
                time = int(panel.open_time[row])
                if not self._has_expired(entry, time):
                    self.said[time] = dict(zip(panel.symbols, scores, strict=True))
        for time in times:
            self.said.setdefault(time, {})

    def _panel(self, model: PanelModel, first: int, last: int) -> Panel:
        """Give the bars that decide the scores from ``first`` to ``last``."""
        begin = first - model.part.warmup * self.timeframe_ms
        rows = (last - begin) // self.timeframe_ms + 1
        bars = {}
        for symbol, window in self.windows.items():
            stop = int(np.searchsorted(window.open_time[: len(window)], last, side="right"))
            bars[symbol] = window.until(stop, rows)
        return Panel.of(bars, model.part.reading, span=(begin, last))

    def _model(self, entry: TimelineEntry) -> PanelModel:
        if entry.file not in self._models:
            model = load_panel_model(check_model(self.folder / entry.file)[1], DEEP)
            if model.symbols != tuple(sorted(self.windows)):
                raise ModelError(
                    f"{self.column}: its models read {', '.join(model.symbols)}, bars are there of "
                    f"{', '.join(sorted(self.windows))}; trade the symbols it was trained with, or train again"
                )
            self._models[entry.file] = OnnxModel.of(model) if self.runtime == "onnx" else model
        return self._models[entry.file]

    def _has_expired(self, entry: TimelineEntry, open_time: int) -> bool:
        return 0 < self.expires_after_ms < open_time - entry.known_at

    def _look(self) -> tuple[int, int]:
        found = (self.folder / "timeline.json").stat()
        return found.st_mtime_ns, found.st_size


@dataclass(frozen=True, eq=False)
class PanelScores:
    """One symbol's column of a desk, as ``MLScore`` reads it."""

    desk: PanelDesk
    symbol: str
    low: float
    high: float

    @property
    def column(self) -> str:
        """Name of the score."""
        return self.desk.column

    def batch(self) -> FloatArray:
        """Give what was said about every bar of this symbol so far."""
        window = self.desk.windows[self.symbol]
        return np.array([self.at(int(time)) for time in window.open_time[: len(window)]], dtype=np.float64)

    def at(self, open_time: int) -> float:
        """Score the bar that has just closed, or give what was said about an earlier one."""
        return self.desk.at(self.symbol, open_time)
