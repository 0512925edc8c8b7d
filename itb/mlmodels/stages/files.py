"""Scores from the files that a run left behind: what live scoring asks, bar by bar, with the backtest's own bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from itb.mlmodels.calibrators import load_calibrated
from itb.mlmodels.dissimilarity import KnownGround
from itb.mlmodels.registry import check_model, load_model
from itb.mlmodels.stages import abstention, calibration
from itb.mlmodels.timeline import ModelTimeline

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.bars import FloatArray
    from itb.mlmodels.algorithm import Algorithm, FloatMatrix
    from itb.mlmodels.by_class import Chances
    from itb.mlmodels.registry import StoredModel


Part = TypeVar("Part")


@dataclass(frozen=True, eq=False)
class SpokenRows:
    """What is said about rows: the ``score`` that a strategy sees, the model's own, and the ``chances`` of classes.

    ``chances`` has a row for hold, buy and sell each; ``None`` where nobody asked.
    """

    score: FloatArray
    raw: FloatArray
    chances: Chances | None


class ScoreFiles:
    """The model that speaks at a bar, the ground it learned from and its calibrator, each loaded once.

    ``models`` is the folder of a walk-forward, ``stages`` the one that its stages were kept in (``None``: it has none).
    ``algorithm`` is needed for one of the user's own, ``coin`` where a pool's models scale coin by coin. Raises
    :class:`itb.errors.ModelError` for a file that is missing or altered. ``by_class`` tells the chances of classes too.
    """

    def __init__(
        self,
        models: Path,
        stages: Path | None = None,
        algorithm: Algorithm | None = None,
        coin: str = "",
        *,
        by_class: bool = False,
    ) -> None:
        self._models, self._stages, self._algorithm, self._coin = models, stages, algorithm, coin
        self._by_class = by_class
        self._timeline = ModelTimeline.load(models / "timeline.json")
        self._kept = {
            name: ModelTimeline.load(stages / f"{name}.json")
            for name in (abstention.NAME, calibration.NAME)
            if stages is not None and (stages / f"{name}.json").exists()
        }
        self._loaded: dict[str, tuple[str, object]] = {}

    def raw(self, open_time: int, features: FloatMatrix) -> FloatArray:
        """Score one bar's row of features (shape 1 x features) as the model does; NaN where none speaks."""
        model = self._model(open_time)
        return np.full(len(features), np.nan) if model is None else model.scores(features, self._coin)

    def score(self, open_time: int, features: FloatMatrix) -> FloatArray:
        """Score it as a strategy sees it: abstained from, and calibrated, where the run did so."""
        return self.say(open_time, features).score

    def say(self, open_time: int, features: FloatMatrix) -> SpokenRows:
        """Give all that is said about it."""
        raw = scores = self.raw(open_time, features)
        chances, model = None, self._model(open_time) if self._by_class else None
        if model is not None:
            chances = model.chances(features, self._coin)
        if abstention.NAME in self._kept:
            ground = self._spoken(abstention.NAME, open_time, KnownGround.load)
            scores = np.full(len(scores), np.nan) if ground is None else ground.abstain(scores, features)
            if chances is not None:
                chances[:, np.isfinite(raw) & np.isnan(scores)] = np.nan
        if calibration.NAME in self._kept:
            calibrated = self._spoken(calibration.NAME, open_time, load_calibrated)
            scores = np.full(len(scores), np.nan) if calibrated is None else calibrated(scores)
        return SpokenRows(scores, raw, chances)

    def _model(self, open_time: int) -> StoredModel | None:
        entry = self._timeline.entry_at(open_time)
        if entry is None:
            return None
        return self._part("model", entry.file, lambda: load_model(self._models / entry.file, self._algorithm))

    def _spoken(self, name: str, open_time: int, load: Callable[[bytes], Part]) -> Part | None:
        timeline, folder = self._kept.get(name), self._stages
        entry = None if timeline is None else timeline.entry_at(open_time)
        if entry is None or folder is None:
            return None
        return self._part(name, entry.file, lambda: load(check_model(folder / entry.file)[1]))

    def _part(self, kind: str, file: str, load: Callable[[], Part]) -> Part:
        """Load a file, unless it is the one of its kind that was loaded last."""
        if kind not in self._loaded or self._loaded[kind][0] != file:
            self._loaded[kind] = file, load()
        return cast("Part", self._loaded[kind][1])
