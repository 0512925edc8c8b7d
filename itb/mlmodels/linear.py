"""Linear models by scikit-learn: a scaler and coefficients, both fitted on the training rows alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels import scaling as scalers
from itb.mlmodels import skops_file
from itb.mlmodels.algorithm import FloatMatrix
from itb.mlmodels.by_class import CLASS_NAMES, ClassModel
from itb.mlmodels.row_weights import ClassWeight, check_class_weight, row_weights
from itb.mlmodels.scaling import Scaling, check_scaling

_PARTS = scalers.TYPES | {
    "builtins.dict",
    "builtins.list",
    "builtins.str",
    "builtins.tuple",
    "numpy.float64",
    "numpy.ndarray",
    "sklearn.pipeline.Pipeline",
}


@dataclass(frozen=True, eq=False)
class ScaledLinear:
    """A fitted ``Pipeline(scaler, linear model)``, perhaps without scaler; its numbers give the scores, row by row.

    scikit-learn's own ``predict`` multiplies matrices, whose last bit depends on how many rows come together; here a
    row scores the same alone (live) and among a million (backtest).
    """

    pipeline: Any = field(repr=False)
    is_classifier: bool
    note: str = ""

    @cached_property
    def _numbers(self) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        *scaler, linear = (step for _, step in self.pipeline.steps)
        (weights,) = np.atleast_2d(linear.coef_).astype(np.float64)  # ValueError where there is a row for each class
        mean, scale = scalers.scale_numbers(scaler[0] if scaler else None, len(weights))
        return mean, scale, weights, float(np.ravel(linear.intercept_)[0])

    @property
    def importance(self) -> FloatArray:
        """Absolute coefficients of the scaled features."""
        return np.asarray(np.abs(self._numbers[2]), dtype=np.float64)

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows."""
        mean, scale, weights, intercept = self._numbers
        estimate: FloatArray = np.sum((features - mean) / scale * weights, axis=1) + intercept
        return np.asarray(sigmoid(estimate) if self.is_classifier else estimate, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Give the pipeline as a skops file."""
        return skops_file.dump(self.pipeline)


def sigmoid(x: FloatArray) -> FloatArray:
    """Give 1 / (1 + exp(-x)) without overflow.

    >>> sigmoid(np.array([-1e9, 0.0, 1e9])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def softmax(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give what each column of a row is worth among all: exp(x) / sum(exp(x)), without overflow.

    >>> softmax(np.array([[0.0, 0.0], [1e9, 0.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ScaledClasses:
    """A fitted ``Pipeline(scaler, logistic regression)`` of three classes; a row scores the same alone."""

    pipeline: Any = field(repr=False)
    note: str = ""

    @cached_property
    def _numbers(self) -> tuple[FloatArray, FloatArray, npt.NDArray[np.float64], FloatArray]:
        *scaler, linear = (step for _, step in self.pipeline.steps)
        weights = np.array(linear.coef_, dtype=np.float64)
        mean, scale = scalers.scale_numbers(scaler[0] if scaler else None, weights.shape[1])
        return mean, scale, weights, np.array(linear.intercept_, dtype=np.float64)

    @property
    def importance(self) -> FloatArray:
        """Mean absolute coefficients of the scaled features."""
        return np.asarray(np.abs(self._numbers[2]).mean(axis=0), dtype=np.float64)

    def chances(self, features: FloatMatrix) -> npt.NDArray[np.float64]:
        """Give one column for each class of complete rows."""
        mean, scale, weights, intercept = self._numbers
        scaled = (features - mean) / scale
        return softmax(np.stack([np.sum(scaled * own, axis=1) for own in weights], axis=1) + intercept)

    def to_bytes(self) -> bytes:
        """Give the pipeline as a skops file."""
        return skops_file.dump(self.pipeline)


def _load_classifier(content: bytes, allowed: frozenset[str]) -> ScaledLinear | ClassModel:
    try:
        return _load(content, allowed, is_classifier=True)
    except ModelError:
        found = ScaledClasses(skops_file.load(content, allowed))
        try:
            mean, scale, weights, intercept = found._numbers
        except (AttributeError, IndexError, TypeError, ValueError):
            raise ModelError("the skops file holds no scaler and linear model. Train it again.") from None
        width, count = len(mean), len(CLASS_NAMES)
        if weights.shape != (count, width) or scale.shape != (width,) or intercept.shape != (count,):
            raise
        return ClassModel(found)


def _fit(
    linear: Any,
    scaling: Scaling,
    features: FloatMatrix,
    labels: FloatArray,
    weights: FloatArray | None,
) -> tuple[Any, str]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import Pipeline
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    scaler = scalers.scaler(scaling)  # scales our own float64 copy
    pipeline = Pipeline([*([("scaler", scaler)] if scaler else []), ("model", linear)])
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:  # one thread: the same bits every time
        warnings.simplefilter("always", ConvergenceWarning)
        pipeline.fit(features.astype(np.float64), labels, model__sample_weight=weights)
    notes = ["did not converge; raise max_iter"] if any(w.category is ConvergenceWarning for w in caught) else []
    if not np.any(linear.coef_):
        notes.append("every coefficient is zero: all rows score the same; weaken the penalty")
    return pipeline, "; ".join(notes)


def _scored(fitted: tuple[Any, str], *, is_classifier: bool) -> ScaledLinear:
    return ScaledLinear(fitted[0], is_classifier, fitted[1])


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


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} must be above 0, was {number}")


def _check_max_iter(max_iter: int) -> None:
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, was {max_iter}")


def _check_l1_ratio(l1_ratio: float) -> None:
    if not 0 <= l1_ratio <= 1:
        raise ValueError(f"l1_ratio must be between 0 and 1, was {l1_ratio}")


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
    scaling: Scaling = "standard"
    class_weight: ClassWeight = "none"

    name: ClassVar[str] = "logistic"
    is_classifier: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    suffix: ClassVar[str] = ".skops"
    types: ClassVar[frozenset[str]] = _PARTS | {"sklearn.linear_model._logistic.LogisticRegression"}

    def __post_init__(self) -> None:
        _check_positive(c=self.c)
        _check_max_iter(self.max_iter)
        check_scaling(self.scaling)
        check_class_weight(self.class_weight)

    def fit(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ScaledLinear:
        """Fit scaler and coefficients; ``seed`` is not needed, the solver draws nothing."""
        return _scored(self._solve(features, labels, seed, weights), is_classifier=True)

    def fit_classes(
        self, features: FloatMatrix, classes: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ClassModel:
        """Fit coefficients for each class (multinomial)."""
        return ClassModel(ScaledClasses(*self._solve(features, classes, seed, weights)))

    def _solve(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None
    ) -> tuple[Any, str]:
        from sklearn.linear_model import LogisticRegression

        linear = LogisticRegression(C=self.c, max_iter=self.max_iter, random_state=seed)
        counts = row_weights(labels, weights, self.class_weight)
        return _fit(linear, self.scaling, features, labels, counts)

    def load(self, content: bytes) -> ScaledLinear | ClassModel:
        """Read a skops file that holds a scaler and a logistic regression."""
        return _load_classifier(content, self.types)


@dataclass(frozen=True)
class Linear:
    """Estimate of the label by ridge regression on scaled features (scikit-learn); ``alpha`` is the penalty."""

    alpha: float = 1.0
    scaling: Scaling = "standard"

    name: ClassVar[str] = "linear"
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    suffix: ClassVar[str] = ".skops"
    types: ClassVar[frozenset[str]] = _PARTS | {"sklearn.linear_model._ridge.Ridge"}

    def __post_init__(self) -> None:
        _check_positive(alpha=self.alpha)
        check_scaling(self.scaling)

    def fit(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ScaledLinear:
        """Fit scaler and coefficients; ``seed`` is not needed, the solution is exact."""
        from sklearn.linear_model import Ridge

        linear = Ridge(alpha=self.alpha, solver="cholesky", random_state=seed)
        return _scored(_fit(linear, self.scaling, features, labels, weights), is_classifier=False)

    def load(self, content: bytes) -> ScaledLinear:
        """Read a skops file that holds a scaler and a ridge regression."""
        return _load(content, self.types, is_classifier=False)


@dataclass(frozen=True)
class LogisticElasticNet:
    """Probability that the label is 1, by logistic regression with an L1 and L2 penalty (Zou and Hastie, 2005).

    The L1 share sets coefficients of features that say nothing to zero. ``c`` is the inverse strength of the penalty.
    The solver (SAGA) visits the rows in an order drawn from the seed.
    """

    c: float = 0.1
    l1_ratio: float = 0.5
    max_iter: int = 500
    scaling: Scaling = "standard"
    class_weight: ClassWeight = "none"

    name: ClassVar[str] = "logistic_elastic_net"
    is_classifier: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    suffix: ClassVar[str] = ".skops"
    types: ClassVar[frozenset[str]] = Logistic.types

    def __post_init__(self) -> None:
        _check_positive(c=self.c)
        _check_l1_ratio(self.l1_ratio)
        _check_max_iter(self.max_iter)
        check_scaling(self.scaling)
        check_class_weight(self.class_weight)

    def fit(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ScaledLinear:
        """Fit scaler and coefficients."""
        return _scored(self._solve(features, labels, seed, weights), is_classifier=True)

    def fit_classes(
        self, features: FloatMatrix, classes: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ClassModel:
        """Fit coefficients for each class (multinomial)."""
        return ClassModel(ScaledClasses(*self._solve(features, classes, seed, weights)))

    def _solve(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None
    ) -> tuple[Any, str]:
        from sklearn.linear_model import LogisticRegression

        linear = LogisticRegression(
            C=self.c, l1_ratio=self.l1_ratio, solver="saga", max_iter=self.max_iter, tol=1e-3, random_state=seed
        )
        counts = row_weights(labels, weights, self.class_weight)
        return _fit(linear, self.scaling, features, labels, counts)

    def load(self, content: bytes) -> ScaledLinear | ClassModel:
        """Read a skops file that holds a logistic regression, behind a scaler or not."""
        return _load_classifier(content, self.types)


@dataclass(frozen=True)
class ElasticNet:
    """Estimate of the label by regression with an L1 and L2 penalty (Zou and Hastie, 2005).

    ``alpha`` is the penalty on labels divided by their standard deviation: the same number means the same for
    returns of a minute and of a week. On standard features no coefficient is left where ``alpha * l1_ratio`` exceeds
    every correlation between a feature and the label.

    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(500, 3)).astype(np.float32)
    >>> model = ElasticNet(alpha=0.2).fit(features, features[:, 1] / 1000, seed=1)
    >>> np.flatnonzero(model.importance).tolist()
    [1]
    """

    alpha: float = 0.01
    l1_ratio: float = 0.5
    max_iter: int = 2000
    scaling: Scaling = "standard"

    name: ClassVar[str] = "elastic_net"
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    suffix: ClassVar[str] = ".skops"
    types: ClassVar[frozenset[str]] = _PARTS | {"sklearn.linear_model._coordinate_descent.ElasticNet"}

    def __post_init__(self) -> None:
        _check_positive(alpha=self.alpha)
        _check_l1_ratio(self.l1_ratio)
        _check_max_iter(self.max_iter)
        check_scaling(self.scaling)

    def fit(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ScaledLinear:
        """Fit scaler and coefficients; ``seed`` is not needed, the solver goes through the features in turn."""
        from sklearn import linear_model

        linear = linear_model.ElasticNet(
            alpha=self.alpha, l1_ratio=self.l1_ratio, max_iter=self.max_iter, random_state=seed
        )
        unit = float(labels.std()) or 1.0
        model = _scored(_fit(linear, self.scaling, features, labels / unit, weights), is_classifier=False)
        linear.coef_, linear.intercept_ = linear.coef_ * unit, linear.intercept_ * unit
        return model

    def load(self, content: bytes) -> ScaledLinear:
        """Read a skops file that holds an elastic net, behind a scaler or not."""
        return _load(content, self.types, is_classifier=False)
