"""Linear models by scikit-learn: a scaler and coefficients, both fitted on the training rows alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels import skops_file
from itb.mlmodels.algorithm import FloatMatrix

_PARTS = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "numpy.float64",
        "numpy.ndarray",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
    }
)


@dataclass(frozen=True, eq=False)
class ScaledLinear:
    """A fitted ``Pipeline(StandardScaler, linear model)``; scores are computed from its numbers, row by row.

    scikit-learn's own ``predict`` multiplies matrices, whose last bit depends on how many rows come together; here a
    row scores the same alone (live) and among a million (backtest).
    """

    pipeline: Any = field(repr=False)
    is_classifier: bool
    note: str = ""

    @cached_property
    def _numbers(self) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        scaler, linear = self.pipeline.steps[0][1], self.pipeline.steps[1][1]
        weights = np.ravel(linear.coef_).astype(np.float64)
        return scaler.mean_, scaler.scale_, weights, float(np.ravel(linear.intercept_)[0])

    @property
    def importance(self) -> FloatArray:
        """Absolute coefficients of the scaled features."""
        return np.asarray(np.abs(self._numbers[2]), dtype=np.float64)

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows."""
        mean, scale, weights, intercept = self._numbers
        estimate: FloatArray = np.sum((features - mean) / scale * weights, axis=1) + intercept
        return np.asarray(_sigmoid(estimate) if self.is_classifier else estimate, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Give the pipeline as a skops file."""
        return skops_file.dump(self.pipeline)


def _sigmoid(x: FloatArray) -> FloatArray:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _fit(linear: Any, features: FloatMatrix, labels: FloatArray, *, is_classifier: bool) -> ScaledLinear:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    pipeline = Pipeline([("scaler", StandardScaler(copy=False)), ("model", linear)])  # scales our own float64 copy
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:  # one thread: the same bits every time
        warnings.simplefilter("always", ConvergenceWarning)
        pipeline.fit(features.astype(np.float64), labels)
    note = "did not converge; raise max_iter" if any(w.category is ConvergenceWarning for w in caught) else ""
    return ScaledLinear(pipeline, is_classifier, note)


def _load(content: bytes, allowed: frozenset[str], *, is_classifier: bool) -> ScaledLinear:
    model = ScaledLinear(skops_file.load(content, allowed), is_classifier)
    try:
        mean, scale, weights, _ = model._numbers
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ModelError(f"the skops file holds no scaler and linear model ({error}). Train it again.") from None
    if not mean.shape == scale.shape == weights.shape:
        raise ModelError(
            f"scaler and model disagree: {mean.shape[0]} means, {weights.shape[0]} weights. Train it again."
        )
    return model


@dataclass(frozen=True)
class Logistic:
    """Probability that the label is 1, by logistic regression on scaled features (scikit-learn, L2 penalty).

    ``c`` is the inverse strength of the penalty.

    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(500, 2)).astype(np.float32)
    >>> model = Logistic().fit(features, (features[:, 1] > 0).astype(float), seed=1)
    >>> model.predict(np.array([[0, -3], [0, 3]], dtype=np.float32)).round(2).tolist()
    [0.0, 1.0]
    """

    c: float = 1.0
    max_iter: int = 200

    name: ClassVar[str] = "logistic"
    is_classifier: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    suffix: ClassVar[str] = ".skops"
    types: ClassVar[frozenset[str]] = _PARTS | {"sklearn.linear_model._logistic.LogisticRegression"}

    def __post_init__(self) -> None:
        if self.c <= 0:
            raise ValueError(f"c must be above 0, was {self.c}")
        if self.max_iter < 1:
            raise ValueError(f"max_iter must be at least 1, was {self.max_iter}")

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int) -> ScaledLinear:
        """Fit scaler and coefficients; ``seed`` is not needed, the solver draws nothing."""
        from sklearn.linear_model import LogisticRegression

        linear = LogisticRegression(C=self.c, max_iter=self.max_iter, random_state=seed)
        return _fit(linear, features, labels, is_classifier=True)

    def load(self, content: bytes) -> ScaledLinear:
        """Read a skops file that holds a scaler and a logistic regression."""
        return _load(content, self.types, is_classifier=True)


@dataclass(frozen=True)
class Linear:
    """Estimate of the label by ridge regression on scaled features (scikit-learn); ``alpha`` is the penalty."""

    alpha: float = 1.0

    name: ClassVar[str] = "linear"
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    suffix: ClassVar[str] = ".skops"
    types: ClassVar[frozenset[str]] = _PARTS | {"sklearn.linear_model._ridge.Ridge"}

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise ValueError(f"alpha must be above 0, was {self.alpha}")

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int) -> ScaledLinear:
        """Fit scaler and coefficients; ``seed`` is not needed, the solution is exact."""
        from sklearn.linear_model import Ridge

        linear = Ridge(alpha=self.alpha, solver="cholesky", random_state=seed)
        return _fit(linear, features, labels, is_classifier=False)

    def load(self, content: bytes) -> ScaledLinear:
        """Read a skops file that holds a scaler and a ridge regression."""
        return _load(content, self.types, is_classifier=False)
