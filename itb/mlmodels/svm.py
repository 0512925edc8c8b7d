"""Support vector machines: fitted by scikit-learn (LIBSVM), kept and scored as plain arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray, IntArray
from itb.mlmodels import skops_file
from itb.mlmodels.algorithm import FloatMatrix
from itb.mlmodels.calibrators import Platt
from itb.mlmodels.linear import sigmoid
from itb.mlmodels.row_weights import ClassWeight, check_class_weight, row_weights
from itb.mlmodels.scaling import Scaling, check_scaling, scale_rows

Kernel = Literal["rbf", "linear"]

_NAMES = ("centre", "scale", "support", "dual", "gamma", "intercept", "output", "importance")
_SLOPES = 200
_PURGED = 60


@dataclass(frozen=True, eq=False)
class Machine:
    """A fitted machine: a row's value is the sum of ``dual`` times its kernel with each ``support`` row.

    ``gamma`` is empty for the linear kernel, of which one support row is left, the weights. ``output`` is slope and
    offset of what turns values into scores: of a probability's logit, or of the label. A row scores the same alone
    and among others: no product of matrices is asked for.
    """

    kind: str
    is_classifier: bool
    centre: FloatArray = field(repr=False)
    scale: FloatArray = field(repr=False)
    support: FloatArray = field(repr=False)
    dual: FloatArray = field(repr=False)
    gamma: FloatArray = field(repr=False)
    intercept: FloatArray = field(repr=False)
    output: FloatArray = field(repr=False)
    importance: FloatArray = field(repr=False)
    note: str = ""

    def values(self, features: FloatMatrix) -> FloatArray:
        """Give the decision values of complete rows, before they are made scores."""
        scaled = (features - self.centre) / self.scale
        if not len(self.gamma):
            return np.asarray(np.sum(scaled * self.support[0], axis=1) + self.intercept[0], dtype=np.float64)
        return np.array([self._value(row) for row in scaled]).reshape(len(scaled))

    @cached_property
    def _lengths(self) -> FloatArray:
        return np.asarray(np.sum(self.support**2, axis=1), dtype=np.float64)

    def _value(self, row: FloatArray) -> float:
        distance = self._lengths + np.sum(row**2) - 2 * np.einsum("ij,j->i", self.support, row)
        kernel = np.exp(-self.gamma[0] * np.maximum(distance, 0))
        return float(np.sum(self.dual * kernel) + self.intercept[0])

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows."""
        estimate = self.output[0] * self.values(features) + self.output[1]
        return np.asarray(sigmoid(estimate) if self.is_classifier else estimate, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Give the arrays as a skops file."""
        return skops_file.dump_arrays(self.kind, {name: getattr(self, name) for name in _NAMES})


@dataclass(frozen=True)
class _Machine:
    c: float = 1.0
    kernel: Kernel = "rbf"
    gamma: float | None = None
    max_iter: int = 200_000
    scaling: Scaling = "standard"

    name: ClassVar[str]
    is_classifier: ClassVar[bool]
    suffix: ClassVar[str] = ".skops"

    def __post_init__(self) -> None:
        if not self.c > 0:
            raise ValueError(f"c must be above 0, was {self.c}")
        if self.kernel not in get_args(Kernel):
            raise ValueError(f'kernel must be "rbf" or "linear", was {self.kernel!r}')
        if self.gamma is not None and not self.gamma > 0:
            raise ValueError(f"gamma must be above 0, or not set, was {self.gamma}")
        if self.max_iter < 1:
            raise ValueError(f"max_iter must be at least 1, was {self.max_iter}")
        check_scaling(self.scaling)

    def _settings(self, scaled: FloatArray) -> dict[str, Any]:
        gamma = self.gamma or 1 / (len(scaled[0]) * (float(scaled.var()) or 1.0))
        return {"C": self.c, "kernel": self.kernel, "gamma": gamma, "max_iter": self.max_iter}

    def _machine(
        self, features: FloatMatrix, fit: Any, output: FloatArray, labels: FloatArray, counts: FloatArray | None
    ) -> Machine:
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

        scaled, centre, scale = scale_rows(features, self.scaling)
        settings = self._settings(scaled)
        with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            fitted = fit(**settings).fit(scaled, labels, sample_weight=counts)
        dual, support = np.ravel(fitted.dual_coef_), np.asarray(fitted.support_vectors_)
        gamma = np.array([settings["gamma"]])
        if self.kernel == "linear":
            importance = np.abs(np.einsum("i,ij->j", dual, support))
            dual, support, gamma = np.ones(1), np.einsum("i,ij->j", dual, support)[None, :], np.zeros(0)
        else:
            importance = _mean_slope(support, dual, float(gamma[0]))
        notes = []
        if any(w.category is ConvergenceWarning for w in caught):
            notes.append("did not converge; raise max_iter or lower c")
        if not importance.any():
            notes.append("no feature counts: all rows score the same")
        return Machine(
            self.name,
            is_classifier=self.is_classifier,
            centre=np.array(centre),
            scale=np.array(scale),
            support=support,
            dual=dual,
            gamma=gamma,
            intercept=np.array(fitted.intercept_, dtype=np.float64),
            output=output,
            importance=importance,
            note="; ".join(notes),
        )

    def load(self, content: bytes) -> Machine:
        """Read a skops file of such a machine."""
        found = skops_file.load_arrays(content, self.name, _NAMES)
        _check_shapes(found)
        floats: dict[str, Any] = {name: array.astype(np.float64) for name, array in found.items()}
        return Machine(self.name, self.is_classifier, **floats)


def _mean_slope(support: FloatArray, dual: FloatArray, gamma: float) -> FloatArray:
    total = np.zeros_like(np.sum(support, axis=0))
    places = {int(i) for i in np.linspace(0, len(support) - 1, _SLOPES)} if len(support) else set()
    for i in sorted(places):
        apart = support[i] - support
        pull = dual * np.exp(-gamma * np.einsum("ij,ij->i", apart, apart))
        total += np.abs(2 * gamma * np.einsum("i,ij->j", pull, apart))
    return np.asarray(total / max(1, len(places)), dtype=np.float64)


def _check_shapes(found: Mapping[str, npt.NDArray[Any]]) -> None:
    support = found["support"]
    if found["gamma"].ndim != 1:
        raise ModelError("'gamma' is no column. Train it again.")
    if support.ndim != 2 or (not len(found["gamma"]) and len(support) != 1):
        raise ModelError("the support vectors are no matrix. Train it again.")
    rows, width = support.shape
    expected = {"centre": (width,), "scale": (width,), "importance": (width,), "dual": (rows,)}
    expected |= {"intercept": (1,), "output": (2,), "gamma": (len(found["gamma"][:1]),)}
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise ModelError(f"{name!r} has the shape {found[name].shape}, expected {shape}. Train it again.")
    if not (found["scale"] > 0).all():
        raise ModelError("'scale' holds numbers that nothing can be divided by. Train it again.")


@dataclass(frozen=True)
class Svc(_Machine):
    """Probability that the label is 1, by a support vector machine (Cortes and Vapnik, 1995) and Platt's sigmoid.

    scikit-learn's own ``probability=True`` splits the rows at random, so that neighbours in time, whose labels share
    bars, stand on both sides. Here a first machine learns from the older rows, and the sigmoid is fitted on its values
    for the newest ``calibration_fraction`` of the rows; a second machine, which scores, learns from all of them. Rows
    whose label was not known before the newest ones began are left out in between; ``purge_rows``, if set, leaves out
    that many instead, and where nothing says when labels were known (:meth:`fit`), 60 are. Where the newest rows show
    no skill, or are too few, every row scores the base rate and the note says so. Balanced classes and weights shape
    the machines; the sigmoid tells the chance among the rows as they are.

    Importance is the mean absolute slope of the decision value at up to 200 support vectors (the weight, if linear).
    Time and file grow with the square of the rows and with the rows: thin out long histories.

    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(500, 2)).astype(np.float32)
    >>> model = Svc(purge_rows=5).fit(features, (features[:, 1] > 0).astype(float), seed=1)
    >>> (model.predict(np.array([[0, -2], [0, 2]], dtype=np.float32)) > 0.9).tolist()
    [False, True]
    """

    class_weight: ClassWeight = "none"
    calibration_fraction: float = 0.25
    purge_rows: int | None = None

    name: ClassVar[str] = "svc"
    is_classifier: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_weight(self.class_weight)
        if not 0 < self.calibration_fraction < 1:
            raise ValueError(f"calibration_fraction must be between 0 and 1, was {self.calibration_fraction}")
        if self.purge_rows is not None and self.purge_rows < 0:
            raise ValueError(f"purge_rows must be at least 0, was {self.purge_rows}")

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None) -> Machine:
        """Fit two machines and the sigmoid; ``seed`` is not needed, nothing is drawn. Rows are in order of time."""
        rows = np.arange(len(labels)) + 1 + (_PURGED if self.purge_rows is None else self.purge_rows)
        return self.fit_timed(features, labels, seed, weights, rows)

    def fit_timed(
        self,
        features: FloatMatrix,
        labels: FloatArray,
        seed: int,  # noqa: ARG002 -- what every algorithm is given
        weights: FloatArray | None,
        settled: IntArray,
    ) -> Machine:
        """Fit; ``settled`` gives for each row the place of the first row after all that its label looks at."""
        from sklearn.svm import SVC

        if self.purge_rows is not None:
            settled = np.arange(len(labels)) + 1 + self.purge_rows
        counts = row_weights(labels, weights, self.class_weight)
        output, note = self._sigmoid(features, labels, weights, settled)
        machine = self._machine(features, SVC, output, labels, counts)
        return replace(machine, note="; ".join(part for part in (machine.note, note) if part))

    def _sigmoid(
        self, features: FloatMatrix, labels: FloatArray, weights: FloatArray | None, settled: IntArray
    ) -> tuple[FloatArray, str]:
        from sklearn.svm import SVC
        from threadpoolctl import threadpool_limits

        newest = len(labels) - round(len(labels) * self.calibration_fraction)
        older = np.flatnonzero(settled[:newest] <= newest)
        if len(np.unique(labels[older])) < 2 or len(np.unique(labels[newest:])) < 2:
            few = f"{len(older)} older, {len(labels) - newest} newest"
            return np.array([0.0, _base_logit(labels)]), f"too few rows to calibrate ({few}): all score the base rate"
        counts = row_weights(labels[older], None if weights is None else weights[older], self.class_weight)
        first = self._machine(features[older], SVC, np.array([1.0, 0.0]), labels[older], counts)
        values = first.values(features[newest:])
        with threadpool_limits(1):
            fitted = Platt().fit(values, labels[newest:])
        if not fitted.slope > 0:  # a machine that errs on the newest rows is not made right by turning it round
            note = "the newest rows show no skill: all score their base rate"
            return np.array([0.0, _base_logit(labels[newest:])]), note
        return np.array([fitted.slope, fitted.intercept]), ""


def _base_logit(labels: FloatArray) -> float:
    ones = float(labels.sum())
    return float(np.log((ones + 1) / (len(labels) - ones + 1)))


@dataclass(frozen=True)
class Svr(_Machine):
    """Estimate of the label by support vector regression (Drucker et al., 1997).

    ``c`` and ``epsilon`` are meant for labels of mean 0 and standard deviation 1; they are scaled so, and back.
    Importance is the mean absolute slope of the estimate at up to 200 support vectors (the weight, if linear).
    Time and file grow with the square of the rows and with the rows: thin out long histories.
    """

    epsilon: float = 0.1

    name: ClassVar[str] = "svr"
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epsilon >= 0:
            raise ValueError(f"epsilon must be at least 0, was {self.epsilon}")

    def fit(
        self,
        features: FloatMatrix,
        labels: FloatArray,
        seed: int,  # noqa: ARG002 -- what every algorithm is given
        weights: FloatArray | None = None,
    ) -> Machine:
        """Fit the machine; ``seed`` is not needed, nothing is drawn."""
        from sklearn.svm import SVR

        mean, unit = float(labels.mean()), float(labels.std()) or 1.0
        fit = partial(SVR, epsilon=self.epsilon)
        return self._machine(features, fit, np.array([unit, mean]), (labels - mean) / unit, weights)
