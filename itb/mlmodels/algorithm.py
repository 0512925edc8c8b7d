"""What a learning algorithm and a fitted model must offer."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from itb.market.bars import FloatArray

FloatMatrix = npt.NDArray[np.float32]

_CHUNK = 65_536


class Model(Protocol):
    """A fitted model: one score per row of features, each row's score independent of the rows beside it.

    It may have ``predict_one(features) -> float``, a faster way to one complete row that gives the same bits.
    """

    @property
    def note(self) -> str:
        """What a person should know about the fit (did not converge, ...), or empty."""

    @property
    def importance(self) -> FloatArray:
        """How much each feature matters: gain for trees, absolute coefficient for linear models."""

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows (no NaN, no infinity)."""

    def to_bytes(self) -> bytes:
        """Give the content of the model file; never pickle."""


class Algorithm(Protocol):
    """A way to learn: a frozen value object whose fields are the config keys."""

    @property
    def name(self) -> str:
        """Name in the config and end of the score column's name."""

    @property
    def is_classifier(self) -> bool:
        """Whether scores are probabilities of label 1; else they are estimates of the label."""

    @property
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest score it can give."""

    @property
    def suffix(self) -> str:
        """End of the model file's name."""

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None) -> Model:
        """Learn from complete rows; the same input and seed give the same model.

        ``weights`` say how much each row counts; ``None``: all the same.
        """

    def load(self, content: bytes) -> Model:
        """Read a model file back; raise :class:`itb.errors.ModelError` for anything that is not one of its own."""


def settings_of(part: object) -> dict[str, Any]:
    """Give the class and the fields of a part, and of parts in it, so that a fingerprint can tell two of them apart.

    Of a part that is not itb's own the code counts too: the file that it is written in. Raises ``TypeError`` for
    anything but a dataclass: its settings could not be seen, and stale results would be
    taken for its own.
    """
    if not is_dataclass(part) or isinstance(part, type):
        raise TypeError(f"{type(part).__qualname__} must be a frozen dataclass, so that its settings can be told apart")
    name = f"{type(part).__module__}.{type(part).__qualname__}"
    return {"class": name, **_code(type(part)), **{one.name: _plain(getattr(part, one.name)) for one in fields(part)}}


def _code(kind: type) -> dict[str, str]:
    if kind.__module__.partition(".")[0] == "itb":
        return {}
    try:
        return {"code": hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()}
    except (OSError, TypeError):  # written in no file
        return {}


def _plain(value: object) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return settings_of(value) if is_dataclass(value) and not isinstance(value, type) else value


def complete_rows(features: FloatMatrix) -> npt.NDArray[np.bool_]:
    """Mark the rows in which every feature is a finite number.

    >>> complete_rows(np.array([[1, 2], [np.nan, 2], [1, np.inf]], dtype=np.float32)).tolist()
    [True, False, False]
    """
    marks = [np.isfinite(features[i : i + _CHUNK]).all(axis=1) for i in range(0, len(features), _CHUNK)]
    return np.concatenate(marks) if marks else np.zeros(0, dtype=np.bool_)


def score_rows(model: Model, features: FloatMatrix) -> FloatArray:
    """Score every row; NaN where a feature is missing or infinite."""
    one = getattr(model, "predict_one", None)  # not isinstance: that takes as long as the score
    if one is not None and len(features) == 1:
        return np.array([one(features) if np.isfinite(features).all() else np.nan])
    scores = np.full(len(features), np.nan)
    for i in range(0, len(features), _CHUNK):
        part = np.ascontiguousarray(features[i : i + _CHUNK])
        complete = np.isfinite(part).all(axis=1)
        if complete.any():
            scores[i : i + _CHUNK][complete] = model.predict(part if complete.all() else part[complete])
    return scores
