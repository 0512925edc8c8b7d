"""Gradient boosted trees by LightGBM: the only door to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels.algorithm import FloatMatrix, Model
from itb.mlmodels.bins import Bins
from itb.mlmodels.by_class import CLASS_NAMES, Chances, ClassModel
from itb.mlmodels.linear import sigmoid, softmax
from itb.mlmodels.one_row import one_row
from itb.mlmodels.row_weights import ClassWeight, check_class_weight, row_weights
from itb.mlmodels.stopping import Stage

if TYPE_CHECKING:
    import lightgbm


def _lightgbm() -> Any:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # else OpenMP spins, 3-5x slower beside any busy process
    import lightgbm

    return lightgbm


@dataclass(frozen=True, eq=False)
class Trees:
    """A fitted LightGBM model; ``text`` is LightGBM's own format and all there is to it."""

    text: str = field(repr=False)
    note: str = ""

    @cached_property
    def _booster(self) -> lightgbm.Booster:
        engine = _lightgbm()
        if not self.text.startswith("tree\n"):
            raise ModelError("not a LightGBM model: the file does not begin with 'tree'. Train it again.")
        try:
            booster: lightgbm.Booster = engine.Booster(model_str=self.text)
        except engine.basic.LightGBMError as error:
            raise ModelError(f"not a LightGBM model: {error}. Train it again.") from None
        return booster

    @cached_property
    def _threads(self) -> threading.local:
        return threading.local()

    def predict_one(self, features: FloatMatrix) -> float:
        """Score one complete row (a matrix of one row), as :meth:`predict` does but ten times as fast.

        Any thread may call it: each has buffers of its own.
        """
        try:
            fast = self._threads.one_row
        except AttributeError:
            fast = self._threads.one_row = one_row(self._booster)
        if fast is None or features.shape[1] != self._width:
            return float(self.predict(features)[0])
        return float(fast(features[0])[0])

    @cached_property
    def _width(self) -> int:
        return int(self._booster.num_feature())

    @property
    def importance(self) -> FloatArray:
        return np.asarray(self._booster.feature_importance("gain"), dtype=np.float64)

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows."""
        return np.asarray(self._booster.predict(features, num_threads=1), dtype=np.float64)

    def chances(self, features: FloatMatrix) -> Chances:
        """Give one column for each class of complete rows."""
        return np.asarray(self._booster.predict(features, num_threads=1), dtype=np.float64)

    def contributions(self, features: FloatMatrix) -> npt.NDArray[np.float64]:
        """Take the raw scores of complete rows apart: one matrix an output, a row a row, a column a feature.

        A row's contributions and a constant of the model add up to its raw score (LightGBM's own tree SHAP).
        """
        outputs = int(self._booster.num_model_per_iteration())
        told = np.asarray(self._booster.predict(features, pred_contrib=True, num_threads=1), dtype=np.float64)
        return told.reshape(len(features), outputs, -1)[:, :, :-1].transpose(1, 0, 2)

    def to_bytes(self) -> bytes:
        """Give LightGBM's text format."""
        return self.text.encode()


def _grown(booster: lightgbm.Booster, rounds: int) -> Trees:
    return Trees(booster.model_to_string(num_iteration=rounds))


@dataclass(frozen=True)
class _Boosting:
    # Few, small and blunt trees: returns carry little signal, and LightGBM's own defaults learn their noise by heart.
    rounds: int = 100
    num_leaves: int = 15
    learning_rate: float = 0.03
    min_data_in_leaf: int = 100
    feature_fraction: float = 0.5
    bagging_fraction: float = 0.8
    lambda_l2: float = 1.0
    max_bin: int = 255
    lambda_l1: float = 0.0
    max_depth: int = -1

    suffix: ClassVar[str] = ".txt"

    def __post_init__(self) -> None:
        for name, lowest in (("rounds", 1), ("num_leaves", 2), ("min_data_in_leaf", 1), ("max_bin", 2)):
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} must be at least {lowest}, was {getattr(self, name)}")
        for name in ("learning_rate", "feature_fraction", "bagging_fraction"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, was {getattr(self, name)}")
        for name in ("lambda_l1", "lambda_l2"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, was {getattr(self, name)}")
        if self.max_depth < -1:
            raise ValueError(f"max_depth must be at least 1, or -1 for any depth, was {self.max_depth}")

    def _objective(self) -> str:
        raise NotImplementedError

    def _counts(self, labels: FloatArray, weights: FloatArray | None) -> FloatArray | None:
        return row_weights(labels, weights, "none")

    def _params(self, seed: int) -> dict[str, Any]:
        return {
            "objective": self._objective(),
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": int(self.bagging_fraction < 1),
            "lambda_l1": self.lambda_l1,
            "lambda_l2": self.lambda_l2,
            "max_depth": self.max_depth,
            "max_bin": self.max_bin,
            "seed": seed,
            "num_threads": 1,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None) -> Trees:
        """Grow the trees on one thread, so that the same rows give the same bits on any machine load."""
        return self._grow(features, labels, seed, weights)

    def bins(self, features: FloatMatrix, seed: int) -> Bins:
        """Find the bins of some rows, for :meth:`fit_binned`."""
        params = self._params(seed)
        return Bins.of(_lightgbm().Dataset(features, params=params, free_raw_data=True).construct(), features)

    def fit_binned(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None, bins: Bins
    ) -> Trees:
        """Grow the trees on bins that were found in other rows."""
        return self._grow(features, labels, seed, weights, bins)

    def _grow(
        self,
        features: FloatMatrix,
        labels: FloatArray,
        seed: int,
        weights: FloatArray | None,
        bins: Bins | None = None,
    ) -> Trees:
        engine, params = _lightgbm(), self._params(seed)
        told = {"label": labels, "weight": self._counts(labels, weights), "params": params}
        rows = engine.Dataset(features, reference=bins and bins.reference, free_raw_data=True, **told)
        booster = engine.train(params, rows, num_boost_round=self.rounds)
        return Trees(booster.model_to_string())  # scores come from the text alone, now and when loaded

    @property
    def steps(self) -> int:
        """How many trees are grown at most, for each class one."""
        return self.rounds

    def with_steps(self, steps: int) -> Self:
        """Give the same algorithm with another number of rounds."""
        return replace(self, rounds=steps)

    def learn(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None, tail: FloatMatrix
    ) -> Iterator[Stage]:
        """Grow tree after tree, and score ``tail`` by all that have been grown."""
        engine, params = _lightgbm(), self._params(seed)
        counts = self._counts(labels, weights)
        booster = engine.Booster(params, engine.Dataset(features, label=labels, weight=counts, params=params))
        total: Any = 0.0
        for number in range(self.rounds):
            is_stuck = booster.update()
            if is_stuck and number:
                return
            total = total + booster.predict(
                tail, start_iteration=number, num_iteration=1, raw_score=True, num_threads=1
            )
            yield Stage(number + 1, self._scores(total), partial(_grown, booster, number + 1))

    def _scores(self, raw: FloatArray) -> FloatArray:
        return raw

    def load(self, content: bytes) -> Trees | ClassModel:
        """Read LightGBM's text format."""
        model = Trees(content.decode(errors="replace"))
        outputs = model._booster.num_model_per_iteration()
        if outputs not in (1, len(CLASS_NAMES)):
            raise ModelError(f"a LightGBM model of {outputs} classes, expected 2 or 3. Train it again.")
        return ClassModel(model) if outputs > 1 else model


@dataclass(frozen=True)
class LightGbm(_Boosting):
    """Probability that the label is 1, by boosted trees (LightGBM, objective binary). Field names are LightGBM's.

    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(500, 3)).astype(np.float32)
    >>> model = LightGbm(rounds=20).fit(features, (features[:, 1] > 0).astype(float), seed=1)
    >>> int(model.importance.argmax()), model.predict(features[:1]).shape
    (1, (1,))
    """

    class_weight: ClassWeight = "none"

    name: ClassVar[str] = "lightgbm"
    is_classifier: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_weight(self.class_weight)

    def _counts(self, labels: FloatArray, weights: FloatArray | None) -> FloatArray | None:
        return row_weights(labels, weights, self.class_weight)

    def _objective(self) -> str:
        return "binary"

    def _scores(self, raw: FloatArray) -> FloatArray:
        return sigmoid(raw)

    def fit_classes(
        self, features: FloatMatrix, classes: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ClassModel:
        """Grow a tree for each class in every round (objective multiclass)."""
        return ClassModel(self._by_class.fit(features, classes, seed, weights))

    def learn_classes(
        self, features: FloatMatrix, classes: FloatArray, seed: int, weights: FloatArray | None, tail: FloatMatrix
    ) -> Iterator[Stage]:
        """Grow round after round, and give the chances of ``tail``."""
        for stage in self._by_class.learn(features, classes, seed, weights, tail):
            yield replace(stage, model=partial(_as_classes, stage.model))

    @property
    def _by_class(self) -> _LightGbmClasses:
        return _LightGbmClasses(**{part.name: getattr(self, part.name) for part in fields(self)})


@dataclass(frozen=True)
class _LightGbmClasses(LightGbm):
    def _objective(self) -> str:
        return "multiclass"

    def _params(self, seed: int) -> dict[str, Any]:
        return super()._params(seed) | {"num_class": len(CLASS_NAMES)}

    def _scores(self, raw: FloatArray) -> FloatArray:
        return softmax(raw)


def _as_classes(model: Callable[[], Model]) -> ClassModel:
    grown = model()
    assert isinstance(grown, Trees)
    return ClassModel(grown)


@dataclass(frozen=True)
class LightGbmRegression(_Boosting):
    """Estimate of the label by boosted trees: its mean (``loss="l2"``), its median (``"l1"``), or ``"huber"``."""

    loss: Literal["l2", "l1", "huber"] = "l2"

    name: ClassVar[str] = "lightgbm_regression"
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in {"l2", "l1", "huber"}:
            raise ValueError(f'loss must be "l2", "l1" or "huber", was {self.loss!r}')

    def _objective(self) -> str:
        return {"l2": "regression", "l1": "regression_l1", "huber": "huber"}[self.loss]
