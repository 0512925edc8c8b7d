"""Random forests and extra trees: grown by scikit-learn, kept and scored as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray, IntArray
from itb.mlmodels import skops_file
from itb.mlmodels.algorithm import FloatMatrix
from itb.mlmodels.by_class import CLASS_NAMES, Chances, ClassModel
from itb.mlmodels.row_weights import ClassWeight, check_class_weight, row_weights

_NAMES = ("roots", "feature", "threshold", "left", "right", "value", "importance")
_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Forest:
    """Grown trees, one node after another; a score is the mean over the trees of the leaves that a row falls into.

    ``left`` and ``right`` are numbers of nodes, both a leaf's own for a leaf; at a node a row goes left if its
    ``feature`` is at most ``threshold``. ``value`` is the share of label 1 (or the mean label) of a
    leaf, or one column with the share of each class. A row
    scores the same alone and among others.
    """

    kind: str
    roots: IntArray = field(repr=False)
    feature: IntArray = field(repr=False)
    threshold: FloatArray = field(repr=False)
    left: IntArray = field(repr=False)
    right: IntArray = field(repr=False)
    value: Chances = field(repr=False)
    importance: FloatArray = field(repr=False)
    note: str = ""

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows."""
        parts = [self._mean(features[i : i + _ROWS]) for i in range(0, len(features), _ROWS)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def chances(self, features: FloatMatrix) -> Chances:
        """Give one column for each class of complete rows, if ``value`` has them."""
        parts = [self._mean(features[i : i + _ROWS]) for i in range(0, len(features), _ROWS)]
        return np.concatenate([np.zeros((0, len(CLASS_NAMES))), *parts])

    def _mean(self, features: FloatMatrix) -> Chances:
        rows = np.arange(len(features))[:, None]
        node = np.repeat(self.roots[None, :], len(features), axis=0)
        while True:
            goes_left = features[rows, self.feature[node]] <= self.threshold[node]
            below = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(below, node):
                return np.asarray(np.sum(self.value[node], axis=1) / len(self.roots), dtype=np.float64)
            node = below

    def to_bytes(self) -> bytes:
        """Give the arrays as a skops file."""
        return skops_file.dump_arrays(self.kind, {name: getattr(self, name) for name in _NAMES})


def _flatten(kind: str, estimator: Any) -> Forest:
    columns: dict[str, list[Any]] = {name: [] for name in _NAMES[:-1]}
    start = 0
    for grown in estimator.estimators_:
        tree = grown.tree_
        own = np.arange(start, start + tree.node_count)
        leaf = tree.children_left < 0
        columns["roots"].append([start])
        columns["feature"].append(np.where(leaf, 0, tree.feature))
        columns["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        columns["left"].append(np.where(leaf, own, tree.children_left + start))
        columns["right"].append(np.where(leaf, own, tree.children_right + start))
        shares = tree.value[:, 0]
        columns["value"].append(
            shares if shares.shape[1] == len(CLASS_NAMES) else shares[:, -1]
        )  # of two classes the share of the second, of one number its mean
        start += tree.node_count
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    importance = np.asarray(estimator.feature_importances_, dtype=np.float64)
    note = "" if importance.any() else "no tree has a split: all rows score the same; lower min_rows_in_leaf"
    whole["importance"] = importance
    return _forest(kind, whole, note)


def _forest(kind: str, arrays: Mapping[str, npt.NDArray[Any]], note: str = "") -> Forest:
    return Forest(
        kind,
        roots=arrays["roots"].astype(np.int64),
        feature=arrays["feature"].astype(np.int64),
        threshold=arrays["threshold"].astype(np.float64),
        left=arrays["left"].astype(np.int64),
        right=arrays["right"].astype(np.int64),
        value=arrays["value"].astype(np.float64),
        importance=arrays["importance"].astype(np.float64),
        note=note,
    )


def _check_nodes(forest: Forest, *, is_classifier: bool) -> None:
    by_class = is_classifier and forest.value.shape[1:] == (len(CLASS_NAMES),)
    if any(getattr(forest, name).ndim != 1 + (by_class and name == "value") for name in _NAMES):
        raise ModelError("the trees' columns are no columns. Train it again.")
    nodes = np.arange(len(forest.feature))
    width, count = len(forest.importance), len(nodes)
    if {len(getattr(forest, name)) for name in _NAMES[1:-1]} != {count} or not len(forest.roots):
        raise ModelError("the trees' columns differ in length. Train it again.")
    leaf = (forest.left == nodes) & (forest.right == nodes)
    onward = (forest.left > nodes) & (forest.right > nodes) & (forest.left < count) & (forest.right < count)
    if not (leaf | onward).all():  # else a score could run in circles or read outside the arrays
        raise ModelError("a node of a tree does not lead to later ones. Train it again.")
    if not ((forest.feature >= 0) & (forest.feature < width)).all():
        raise ModelError(f"a tree asks for a feature that is none of {width}. Train it again.")
    if not ((forest.roots >= 0) & (forest.roots < count)).all():
        raise ModelError("a tree has no root. Train it again.")
    if is_classifier and not ((forest.value >= 0) & (forest.value <= 1)).all():
        raise ModelError("a leaf holds no probability. Train it again.")


@dataclass(frozen=True)
class _Forest:
    # Shallow trees with large leaves: fully grown ones, scikit-learn's default, learn the noise of returns by heart.
    trees: int = 100
    max_depth: int = 8
    min_rows_in_leaf: int = 50
    split_fraction: float = 0.3
    row_fraction: float = 1.0

    name: ClassVar[str]
    is_classifier: ClassVar[bool]
    estimator: ClassVar[str]
    bootstrap: ClassVar[bool]
    suffix: ClassVar[str] = ".skops"

    def __post_init__(self) -> None:
        for name in ("trees", "max_depth", "min_rows_in_leaf"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, was {getattr(self, name)}")
        for name in ("split_fraction", "row_fraction"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, was {getattr(self, name)}")

    def _counts(self, labels: FloatArray, weights: FloatArray | None) -> FloatArray | None:
        return row_weights(labels, weights, "none")

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None) -> Forest:
        """Grow the trees on one thread; the seed says which rows and features each of them is shown."""
        from sklearn import ensemble

        grow = getattr(ensemble, self.estimator)
        is_drawn = self.bootstrap or self.row_fraction < 1
        forest = grow(
            n_estimators=self.trees,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_rows_in_leaf,
            max_features=self.split_fraction,
            bootstrap=is_drawn,
            max_samples=self.row_fraction if is_drawn else None,
            random_state=seed,
            n_jobs=1,
        )
        forest.fit(features, labels, sample_weight=self._counts(labels, weights))
        return _flatten(self.name, forest)

    def load(self, content: bytes) -> Forest | ClassModel:
        """Read a skops file of such trees."""
        forest = _forest(self.name, skops_file.load_arrays(content, self.name, _NAMES))
        _check_nodes(forest, is_classifier=self.is_classifier)
        return ClassModel(forest) if forest.value.ndim > 1 else forest


@dataclass(frozen=True)
class _ForestClassifier(_Forest):
    class_weight: ClassWeight = "none"

    is_classifier: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_weight(self.class_weight)

    def _counts(self, labels: FloatArray, weights: FloatArray | None) -> FloatArray | None:
        return row_weights(labels, weights, self.class_weight)

    def fit_classes(
        self, features: FloatMatrix, classes: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> ClassModel:
        """Grow trees whose leaves tell the share of each class."""
        return ClassModel(self.fit(features, classes, seed, weights))


@dataclass(frozen=True)
class _ForestRegression(_Forest):
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)


@dataclass(frozen=True)
class RandomForest(_ForestClassifier):
    """Probability that the label is 1: mean over trees, each grown on rows drawn with replacement (Breiman, 2001).

    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(500, 3)).astype(np.float32)
    >>> model = RandomForest(trees=20).fit(features, (features[:, 1] > 0).astype(float), seed=1)
    >>> int(model.importance.argmax()), model.predict(features[:1]).shape
    (1, (1,))
    """

    name: ClassVar[str] = "random_forest"
    estimator: ClassVar[str] = "RandomForestClassifier"
    bootstrap: ClassVar[bool] = True


@dataclass(frozen=True)
class RandomForestRegression(_ForestRegression):
    """Estimate of the label: mean over trees, each grown on rows drawn with replacement (Breiman, 2001)."""

    name: ClassVar[str] = "random_forest_regression"
    estimator: ClassVar[str] = "RandomForestRegressor"
    bootstrap: ClassVar[bool] = True


@dataclass(frozen=True)
class ExtraTrees(_ForestClassifier):
    """Probability that the label is 1: mean over trees whose thresholds are drawn at random (Geurts et al., 2006).

    Each tree is grown on all rows, unless ``row_fraction`` is below 1: then on rows drawn with replacement.
    """

    split_fraction: float = 1.0  # a threshold drawn at random often leaves too few rows on one side: try them all

    name: ClassVar[str] = "extra_trees"
    estimator: ClassVar[str] = "ExtraTreesClassifier"
    bootstrap: ClassVar[bool] = False


@dataclass(frozen=True)
class ExtraTreesRegression(_ForestRegression):
    """Estimate of the label: mean over trees whose thresholds are drawn at random (Geurts et al., 2006).

    Each tree is grown on all rows, unless ``row_fraction`` is below 1: then on rows drawn with replacement.
    """

    split_fraction: float = 1.0  # a threshold drawn at random often leaves too few rows on one side: try them all

    name: ClassVar[str] = "extra_trees_regression"
    estimator: ClassVar[str] = "ExtraTreesRegressor"
    bootstrap: ClassVar[bool] = False
