"""Turn scores into probabilities that come true as often as they say: Platt, isotonic, beta.

A calibrator must be fitted on out-of-sample scores: :func:`itb.mlmodels.calibrated.calibrate_forward` does so.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels.linear import sigmoid

_EDGE = 1e-12  # how far scores are kept from 0 and 1 where their logarithm is taken
_STEPS = 100


class Calibrated(Protocol):
    """A fitted map from scores to probabilities; NaN stays NaN."""

    def __call__(self, scores: FloatArray) -> FloatArray: ...

    def to_bytes(self) -> bytes:
        """Give the content of its file, JSON; :func:`load_calibrated` reads every number back bit for bit."""


class Calibrator(Protocol):
    """A way to learn such a map: a frozen value object."""

    def fit(self, scores: FloatArray, labels: FloatArray) -> Calibrated:
        """Learn from scores and labels (0 or 1, both present), without NaN."""


@dataclass(frozen=True)
class SigmoidMap:
    """1 / (1 + exp(-(slope x score + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, scores: FloatArray) -> FloatArray:
        return sigmoid(self.slope * scores + self.intercept)

    def to_bytes(self) -> bytes:
        return _json("platt", slope=self.slope, intercept=self.intercept)


@dataclass(frozen=True)
class Platt:
    """A sigmoid of the score (Platt, 1999), with his targets that keep it from certainty.

    >>> fitted = Platt().fit(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0]))
    >>> fitted(np.array([0.1, 0.4])).round(3).tolist()
    [0.35, 0.65]
    """

    def fit(self, scores: FloatArray, labels: FloatArray) -> SigmoidMap:
        _check(scores, labels)
        middle, scale = float(scores.mean()), float(scores.std()) or 1.0
        slope, intercept = _logistic(np.column_stack([(scores - middle) / scale]), _targets(labels))
        return SigmoidMap(slope / scale, intercept - slope * middle / scale)


@dataclass(frozen=True, eq=False)
class StepMap:
    """Straight lines between ``points``; beyond the first and the last it stays level."""

    points: FloatArray
    values: FloatArray

    def __call__(self, scores: FloatArray) -> FloatArray:
        return np.where(np.isnan(scores), np.nan, np.interp(scores, self.points, self.values))

    def to_bytes(self) -> bytes:
        return _json("isotonic", points=self.points.tolist(), values=self.values.tolist())


@dataclass(frozen=True)
class Isotonic:
    """The best map that never falls (pool adjacent violators), straight between the scores it has seen.

    It can say 0 and 1, and needs more rows than the others: about a thousand.

    >>> fitted = Isotonic().fit(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0]))
    >>> fitted(np.array([0.0, 0.15, 0.25, 0.9])).round(3).tolist()
    [0.0, 0.25, 0.5, 1.0]
    """

    def fit(self, scores: FloatArray, labels: FloatArray) -> StepMap:
        from scipy.optimize import isotonic_regression

        _check(scores, labels)
        points, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
        means = np.bincount(place, weights=labels) / counts
        values = np.clip(np.asarray(isotonic_regression(means, weights=counts).x, dtype=np.float64), 0.0, 1.0)
        inner = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])  # of a level stretch its ends say all
        ends = np.concatenate([[True], ~inner, [True]])[: len(points)]
        return StepMap(points[ends], values[ends])


@dataclass(frozen=True)
class BetaMap:
    """1 / (1 + exp(-(a ln score - b ln(1 - score) + c))), for scores from 0 to 1."""

    a: float
    b: float
    c: float

    def __call__(self, scores: FloatArray) -> FloatArray:
        inner = np.clip(scores, _EDGE, 1 - _EDGE)
        return sigmoid(self.a * np.log(inner) - self.b * np.log1p(-inner) + self.c)

    def to_bytes(self) -> bytes:
        return _json("beta", a=self.a, b=self.b, c=self.c)


@dataclass(frozen=True)
class Beta:
    """Beta calibration (Kull, Silva Filho and Flach, 2017) of scores from 0 to 1; it can leave them as they are.

    ``a`` and ``b`` are never negative, so that the order of scores stays. Unlike the authors', it learns from Platt's
    targets: with plain 0 and 1 scores that separate the classes would make it endlessly certain.

    >>> fitted = Beta().fit(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0]))
    >>> fitted.a >= 0, fitted.b >= 0
    (True, True)
    """

    def fit(self, scores: FloatArray, labels: FloatArray) -> BetaMap:
        _check(scores, labels)
        if scores.min() < 0 or scores.max() > 1:
            raise ValueError(
                f"beta calibration needs scores from 0 to 1, they run from {scores.min()} to {scores.max()}"
            )
        inner = np.clip(scores, _EDGE, 1 - _EDGE)
        parts = np.column_stack([np.log(inner), -np.log1p(-inner)])
        targets = _targets(labels)
        maps = []
        for used in ((0, 1), (0,), (1,), ()):  # the best map without a negative weight is the best of one of these
            *weights, c = _logistic(parts[:, list(used)], targets)
            found = dict(zip(used, weights, strict=True))
            if min(weights, default=0.0) >= 0:
                maps.append(BetaMap(found.get(0, 0.0), found.get(1, 0.0), c))
        return min(maps, key=lambda m: _loss(parts @ np.array([m.a, m.b]) + m.c, targets))


CALIBRATORS: dict[str, type[Platt | Isotonic | Beta]] = {"platt": Platt, "isotonic": Isotonic, "beta": Beta}


def load_calibrated(content: bytes) -> Calibrated:
    """Read a fitted map back; raise :class:`itb.errors.ModelError` for anything that is none.

    >>> load_calibrated(SigmoidMap(2.0, -1.0).to_bytes())
    SigmoidMap(slope=2.0, intercept=-1.0)
    """
    try:
        told = json.loads(content)
        kind = told.pop("kind")
        return _step_map(**told) if kind == "isotonic" else _formula(kind, told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"not a calibrator ({error}). Run `itb walkforward` again.") from None


def _step_map(points: list[float], values: list[float]) -> StepMap:
    xs, ys = np.array(points, dtype=np.float64), np.array(values, dtype=np.float64)
    is_map = xs.ndim == 1 and len(xs) and xs.shape == ys.shape and np.isfinite(xs + ys).all()
    if not is_map or not (np.diff(xs) > 0).all():
        raise ValueError("its points are no map")
    return StepMap(xs, ys)


def _formula(kind: str, told: dict[str, float]) -> SigmoidMap | BetaMap:
    numbers = {name: float(number) for name, number in told.items()}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError("its numbers are not finite")
    found: SigmoidMap | BetaMap = {"platt": SigmoidMap, "beta": BetaMap}[kind](**numbers)
    return found


def _json(kind: str, **numbers: object) -> bytes:
    return json.dumps({"kind": kind, **numbers}).encode()


def _check(scores: FloatArray, labels: FloatArray) -> None:
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores)} scores have {len(labels)} labels")
    if not np.isfinite(scores).all():
        raise ValueError("scores to calibrate by must be finite")
    if not np.array_equal(np.unique(labels), [0.0, 1.0]):
        raise ValueError(f"labels to calibrate by must be 0 and 1, both present, were {np.unique(labels).tolist()}")


def _targets(labels: FloatArray) -> FloatArray:
    ones = float(labels.sum())
    return np.where(labels > 0, (ones + 1) / (ones + 2), 1 / (len(labels) - ones + 2))


def _loss(logits: FloatArray, targets: FloatArray) -> float:
    return float(np.sum(np.logaddexp(0, logits) - targets * logits))


def _logistic(parts: npt.NDArray[np.float64], targets: FloatArray) -> list[float]:
    """Fit weights and an intercept to targets inside (0, 1) by Newton's method with halved steps."""
    design = np.column_stack([parts, np.ones(len(targets))])
    weights = np.zeros(design.shape[1])
    weights[-1] = np.log(targets.mean() / (1 - targets.mean()))
    loss = _loss(design @ weights, targets)
    for _ in range(_STEPS):
        chance = sigmoid(design @ weights)
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.lstsq(curvature, design.T @ (targets - chance), rcond=None)[0]
        size, before = 1.0, loss
        while size > 1e-6 and (loss := _loss(design @ (weights + size * step), targets)) > before:
            size /= 2
        if loss >= before:
            break
        weights = weights + size * step
        if before - loss <= 1e-13 * before:
            break
    return [float(weight) for weight in weights]
