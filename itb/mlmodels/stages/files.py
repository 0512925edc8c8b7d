"""Scores from the files that a run left behind: what live scoring asks, bar by bar, with the backtest's own bits."""

from __future__ import annotations

from collections.abc import Callable
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


Part = TypeVar("Part")


class ScoreFiles:
    """The model that speaks at a bar, the ground it learned from and its calibrator, each loaded once.

    ``models`` is the folder of a walk-forward, ``stages`` the one that its stages were kept in (``None``: it has none).
    ``algorithm`` is needed for one of the user's own, ``coin`` where a pool's models scale coin by coin. Raises
    :class:`itb.errors.ModelError` for a file that is missing or altered.
    """

    def __init__(
        self, models: Path, stages: Path | None = None, algorithm: Algorithm | None = None, coin: str = ""
    ) -> None:
        self._models, self._stages, self._algorithm, self._coin = models, stages, algorithm, coin
        self._timeline = ModelTimeline.load(models / "timeline.json")
        self._kept = {
            name: ModelTimeline.load(stages / f"{name}.json")
            for name in (abstention.NAME, calibration.NAME)
            if stages is not None and (stages / f"{name}.json").exists()
        }
        self._loaded: dict[str, tuple[str, object]] = {}

    def raw(self, open_time: int, features: FloatMatrix) -> FloatArray:
        """Score one bar's row of features (shape 1 x features) as the model does; NaN where none speaks."""
        entry = self._timeline.entry_at(open_time)
        if entry is None:
            return np.full(len(features), np.nan)
        model = self._part("model", entry.file, lambda: load_model(self._models / entry.file, self._algorithm))
        return model.scores(features, self._coin)

    def score(self, open_time: int, features: FloatMatrix) -> FloatArray:
        """Score it as a strategy sees it: abstained from, and calibrated, where the run did so."""
        scores = self.raw(open_time, features)
        if abstention.NAME in self._kept:
            ground = self._spoken(abstention.NAME, open_time, KnownGround.load)
            scores = np.full(len(scores), np.nan) if ground is None else ground.abstain(scores, features)
        if calibration.NAME not in self._kept:
            return scores
        calibrated = self._spoken(calibration.NAME, open_time, load_calibrated)
        return np.full(len(scores), np.nan) if calibrated is None else calibrated(scores)

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
