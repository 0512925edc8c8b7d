"""One symbol's share of a panel's desk, as a score column beside those of other models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.dissimilarity import KnownGround
from itb.mlmodels.files import file_stamp
from itb.mlmodels.registry import check_model
from itb.mlmodels.stages import abstention
from itb.mlmodels.timeline import ModelTimeline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.live.episodes import Episodes
    from itb.live.scores.panel import PanelDesk
    from itb.live.scores.speaking import ColumnFiles, LateModel
    from itb.market.bars import FloatArray, IntArray
    from itb.mlmodels.algorithm import FloatMatrix
    from itb.mlmodels.timeline import TimelineEntry


class _Grounds:
    """Where a network's training rows lay, refit by refit: what it abstains by."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / f"{abstention.NAME}.json"
        self._stamp: tuple[int, int, int] | None = None
        self._loaded: tuple[str, KnownGround] | None = None

    def at(self, open_time: int, known_at: int) -> KnownGround | None:
        """Give the ground that belongs to a model at a bar; ``None`` where none was learned."""
        stamp = file_stamp(self._path)
        if stamp != self._stamp:
            self._timeline, self._stamp = ModelTimeline.load(self._path), stamp
        spoke = [
            one
            for one in self._timeline.entries
            if one.promoted and one.speaks_from <= open_time and one.known_at <= known_at
        ]
        if not spoke:
            return None
        if self._loaded is None or self._loaded[0] != spoke[-1].file:
            self._loaded = spoke[-1].file, KnownGround.load(check_model(self._folder / spoke[-1].file)[1])
        return self._loaded[1]


@dataclass(eq=False)
class PanelColumn:
    """One symbol's share of a panel's desk, as the symbol's own desk asks it beside the columns of other models."""

    desk: PanelDesk
    symbol: str
    files: ColumnFiles

    needs_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        folder = self.files.stages if self.files.has_raw else None
        self._grounds = None if folder is None else _Grounds(folder)
        if folder is not None:
            self.desk.stages[self.symbol] = folder

    @property
    def column(self) -> str:
        """Name of the score."""
        return self.desk.column

    @property
    def timeline(self) -> ModelTimeline:
        """Which model speaks when."""
        return self.desk.timeline

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """The score, and the network's own where it abstains, with the lowest and the highest that is declared."""
        own = self.desk.timeline.low, self.desk.timeline.high
        return {self.column: own} if self._grounds is None else {self.column: own, f"{self.column}_raw": own}

    @property
    def late(self) -> list[LateModel]:
        """Models that came late, told with the first symbol alone: it is one for all."""
        return self.desk.late if self.symbol == min(self.desk.windows) else []

    @property
    def episodes(self) -> Episodes:
        """Where trouble is told: once for all symbols."""
        return self.desk.episodes

    def by(self, entry: TimelineEntry, open_time: int, _row: FloatMatrix) -> float:
        """Give a bar's score by another refit than the one that speaks."""
        return self.desk.by(entry, self.symbol, open_time)

    def check(self) -> None:
        """Read every model that speaks or may; raise :class:`itb.errors.ModelError` for one that cannot."""
        self.desk.check_models()

    def is_whole(self) -> bool:
        """Tell whether :meth:`check` finds nothing; what it finds is a trouble, and costs this column its scores."""
        try:
            self.check()
        except ModelError as error:
            self.desk.episodes.trouble(f"{self.column}: model", f"{self.column}: {error}")
            return False
        return True

    def entry_at(self, open_time: int) -> TimelineEntry | None:
        """Give the refit that speaks at a bar."""
        return self.desk.timeline.entry_at(open_time)

    def refresh(self, _last_scored: int, _bar_ms: int) -> None:
        """Take nothing: the panel's desk looks for new models before a pass, once for all symbols."""

    def score(self, open_time: int, row: FloatMatrix) -> float:
        """Give the score of a bar that has just closed, or what was said about an earlier one."""
        return self.say(open_time, row)[self.column]

    def say(self, open_time: int, _row: FloatMatrix) -> Mapping[str, float]:
        """Give the same by name, with the network's own."""
        spoken = self.desk.spoken(self.symbol, open_time)
        if self._grounds is None:
            return {self.column: spoken.score}
        key, score = f"{self.column}: ground", np.nan
        try:
            ground = self._grounds.at(open_time, spoken.known_at)
            if ground is not None and spoken.row is not None:
                score = float(ground.abstain(np.array([spoken.score]), spoken.row)[0])
            self.episodes.well(key)
        except (ModelError, OSError) as error:
            self.episodes.trouble(key, f"{key}: {error}")
        return {self.column: score, f"{self.column}_raw": spoken.score}

    def say_all(self, open_time: IntArray, rows: FloatMatrix) -> Mapping[str, FloatArray]:
        """Give what is said of many bars."""
        said = [self.say(time, rows) for time in open_time.tolist()]
        return {name: np.array([one[name] for one in said], dtype=np.float64) for name in self.ranges}
