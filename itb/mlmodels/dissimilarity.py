"""Keep silent where a row lies far from everything that was learned from (FreqAI's dissimilarity index)."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels.algorithm import FloatMatrix, complete_rows

_PAIRS = 4_000_000  # distances held at a time


@dataclass(frozen=True, eq=False)
class KnownGround:
    """Rows that were learned from, scaled to [-1, 1], and their mean distance from each other."""

    lowest: FloatArray
    width: FloatArray
    points: npt.NDArray[np.float64]
    mean_distance: float
    threshold: float

    def index(self, features: FloatMatrix) -> FloatArray:
        """Give each row's distance from the nearest row learned from, in mean distances; NaN for incomplete rows.

        0 is a row that was learned from; each row's index is independent of the rows beside it.
        """
        found = np.full(len(features), np.nan)
        complete = np.flatnonzero(complete_rows(features))
        step = max(1, _PAIRS // len(self.points))
        for start in range(0, len(complete), step):
            rows = complete[start : start + step]
            found[rows] = _distances(self._scaled(features[rows]), self.points).min(axis=1) / self.mean_distance
        return found

    def abstain(self, scores: FloatArray, features: FloatMatrix) -> FloatArray:
        """Give the scores, NaN where the index is not below the threshold."""
        return np.where(self.index(features) < self.threshold, scores, np.nan)

    def to_bytes(self) -> bytes:
        """Give the content of its file, npz; :meth:`load` reads every number back bit for bit."""
        target = io.BytesIO()
        np.savez(target, **{field.name: np.asarray(getattr(self, field.name)) for field in fields(self)})  # type: ignore[arg-type]  # its type takes the names for allow_pickle
        return target.getvalue()

    @classmethod
    def load(cls, content: bytes) -> KnownGround:
        """Read it back; raise :class:`itb.errors.ModelError` for anything else. Nothing is unpickled."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as kept:
                found = {field.name: np.asarray(kept[field.name], dtype=np.float64) for field in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise ModelError(f"not a ground that was learned from ({error}). Run `itb walkforward` again.") from None
        lowest, width, points = found["lowest"], found["width"], found["points"]
        is_whole = points.ndim == 2 and len(points) and lowest.shape == width.shape == points.shape[1:]
        if not is_whole or found["mean_distance"].shape or found["threshold"].shape:
            raise ModelError("the shapes of a ground that was learned from disagree. Run `itb walkforward` again.")
        return cls(lowest, width, points, float(found["mean_distance"]), float(found["threshold"]))

    def _scaled(self, features: FloatMatrix) -> npt.NDArray[np.float64]:
        return _scale(features, self.lowest, self.width)


@dataclass(frozen=True)
class Dissimilarity:
    """Let scores be NaN where the dissimilarity index is ``threshold`` or more.

    The index is the distance to the nearest training row, divided by the mean distance of training rows from each
    other, all features scaled to [-1, 1] by the training rows' lowest and highest values. Of more than ``most_rows``
    training rows, as many drawn by ``seed`` stand for all: evenly spaced ones could share an hour of the day.

    >>> rows = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32)
    >>> ground = Dissimilarity(threshold=0.9).fit(rows)
    >>> far = np.array([[1, 1], [0.5, 0.5], [3, 3]], dtype=np.float32)
    >>> ground.index(far).round(3).tolist()
    [0.0, 0.621, 2.485]
    >>> ground.abstain(np.array([0.6, 0.7, 0.8]), far).tolist()
    [0.6, 0.7, nan]
    """

    threshold: float = 0.9
    most_rows: int = 5_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise ValueError(f"threshold must be above 0, was {self.threshold}")
        if self.most_rows < 2:
            raise ValueError(f"most_rows must be at least 2, was {self.most_rows}")

    def fit(self, features: FloatMatrix) -> KnownGround:
        """Learn where the training rows lie; incomplete ones do not count. Two different ones are needed."""
        rows = np.asarray(features[complete_rows(features)], dtype=np.float64)
        if len(rows) < 2 or not (rows != rows[0]).any():
            raise ValueError(f"two different complete rows are needed to know the ground, there are {len(rows)} rows")
        lowest, highest = rows.min(axis=0), rows.max(axis=0)
        width = np.where(highest > lowest, highest - lowest, 1.0)
        if len(rows) > self.most_rows:
            drawn = np.random.default_rng(self.seed).choice(len(rows), self.most_rows, replace=False)
            rows = rows[np.sort(drawn)]
        points = _scale(rows, lowest, width)
        step = max(1, _PAIRS // len(points))
        total = sum(float(_distances(points[i : i + step], points).sum()) for i in range(0, len(points), step))
        return KnownGround(lowest, width, points, total / (len(points) * (len(points) - 1)), self.threshold)


def _scale(features: npt.NDArray[np.floating], lowest: FloatArray, width: FloatArray) -> npt.NDArray[np.float64]:
    return np.asarray(2 * (features.astype(np.float64) - lowest) / width - 1, dtype=np.float64)


def _distances(rows: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(rows, points), dtype=np.float64)  # pair by pair: the same bits however many rows there are
