"""Multi-layer perceptrons: trained by scikit-learn, kept and scored as plain arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import FloatArray
from itb.mlmodels import skops_file
from itb.mlmodels.algorithm import FloatMatrix, Model
from itb.mlmodels.by_class import CLASS_NAMES, Chances, ClassModel
from itb.mlmodels.linear import sigmoid, softmax
from itb.mlmodels.row_weights import ClassWeight, check_class_weight, row_weights
from itb.mlmodels.scaling import Scaling, check_scaling, scale_rows
from itb.mlmodels.stopping import Stage

Activation = Literal["relu", "tanh"]

_NAMES = ("centre", "scale", "widths", "weights", "offsets", "bent", "output", "importance")
_CELLS = 1 << 20
_SLOPES = 200

Layers = tuple[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network: layers of weighted sums, each bent by the activation but for the last.

    ``layers`` are weights (one row per neuron) and offsets; ``output`` is slope and offset of what turns the last
    sum into a score: of a probability's logit, or of the label. A row scores the same alone and among others: no
    product of matrices is asked for.
    """

    kind: str
    is_classifier: bool
    centre: FloatArray = field(repr=False)
    scale: FloatArray = field(repr=False)
    layers: Layers = field(repr=False)
    activation: Activation
    output: FloatArray = field(repr=False)
    importance: FloatArray = field(repr=False)
    note: str = ""

    def predict(self, features: FloatMatrix) -> FloatArray:
        """Score complete rows."""
        at_once = max(1, _CELLS // max(weights.size for weights, _ in self.layers))
        parts = [self._sums(features[i : i + at_once]) for i in range(0, len(features), at_once)]
        estimate = self.output[0] * np.concatenate([np.zeros((0, 1)), *parts])[:, 0] + self.output[1]
        return np.asarray(sigmoid(estimate) if self.is_classifier else estimate, dtype=np.float64)

    def _sums(self, features: FloatMatrix) -> Chances:
        values: Chances = (features - self.centre) / self.scale
        for i, (weights, offsets) in enumerate(self.layers):
            values = np.sum(values[:, None, :] * weights, axis=2) + offsets
            if i < len(self.layers) - 1:
                values = _bend(values, self.activation)
        return values

    def chances(self, features: FloatMatrix) -> Chances:
        """Give one column for each class of complete rows, if the last layer has them."""
        at_once = max(1, _CELLS // max(weights.size for weights, _ in self.layers))
        parts = [self._sums(features[i : i + at_once]) for i in range(0, len(features), at_once)]
        return softmax(np.concatenate([np.zeros((0, len(CLASS_NAMES))), *parts]))

    def to_bytes(self) -> bytes:
        """Give the arrays as a skops file."""
        arrays = {
            "centre": self.centre,
            "scale": self.scale,
            "widths": np.array([len(offsets) for _, offsets in self.layers]),
            "weights": np.concatenate([weights.ravel() for weights, _ in self.layers]),
            "offsets": np.concatenate([offsets for _, offsets in self.layers]),
            "bent": np.array([get_args(Activation).index(self.activation)]),
            "output": self.output,
            "importance": self.importance,
        }
        return skops_file.dump_arrays(self.kind, arrays)


def _read(kind: str, content: bytes, *, is_classifier: bool) -> Network:
    found = skops_file.load_arrays(content, kind, _NAMES)
    if any(array.ndim != 1 for array in found.values()) or len(found["output"]) != 2 or len(found["bent"]) != 1:
        raise ModelError("the network's arrays are no columns of the right length. Train it again.")
    width, widths = len(found["centre"]), [int(one) for one in found["widths"]]
    inputs = [width, *widths[:-1]]
    sizes = [into * out for into, out in zip(inputs, widths, strict=False)]
    fits = sum(sizes) == len(found["weights"]) and sum(widths) == len(found["offsets"])
    if {len(found["scale"]), len(found["importance"])} != {width}:
        raise ModelError(f"scale and importance are not of {width} features. Train it again.")
    if min([width, *widths]) < 1 or widths[-1:] not in ([1], [len(CLASS_NAMES)]) or not fits:
        raise ModelError(f"layers of {widths} on {width} features do not fit the network's weights. Train it again.")
    if not (found["scale"] > 0).all() or found["bent"][0] not in (0, 1):
        raise ModelError("the network's scale or activation is none. Train it again.")
    layers = []
    weights, offsets = found["weights"].astype(np.float64), found["offsets"].astype(np.float64)
    for into, out in zip(inputs, widths, strict=True):
        layers.append((weights[: into * out].reshape(out, into), offsets[:out]))
        weights, offsets = weights[into * out :], offsets[out:]
    return Network(
        kind,
        is_classifier,
        centre=found["centre"].astype(np.float64),
        scale=found["scale"].astype(np.float64),
        layers=tuple(layers),
        activation=get_args(Activation)[int(found["bent"][0])],
        output=found["output"].astype(np.float64),
        importance=found["importance"].astype(np.float64),
    )


def _bend(sums: FloatArray, activation: Activation) -> FloatArray:
    return np.maximum(sums, 0) if activation == "relu" else np.tanh(sums)


def _mean_slope(layers: Layers, activation: Activation, scaled: FloatArray) -> FloatArray:
    """Give the mean absolute slope of the last sums at up to 200 rows, by the chain rule."""
    values = scaled[:: -(-len(scaled) // _SLOPES)]
    bends = []
    for weights, offsets in layers[:-1]:
        values = _bend(np.einsum("ni,oi->no", values, weights) + offsets, activation)
        bends.append((values > 0) + 0.0 if activation == "relu" else 1 - values**2)
    found = []
    for last in layers[-1][0]:
        slopes = np.repeat(last[None, :], len(values), axis=0)
        for (weights, _), bend in zip(layers[-2::-1], reversed(bends), strict=True):
            slopes = np.einsum("no,oi->ni", slopes * bend, weights)
        found.append(np.abs(slopes).mean(axis=0))
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def _itself(model: Model) -> Model:
    return model


@dataclass(frozen=True)
class _Perceptron:
    # Few neurons and few passes: a network that is trained until its error stops falling has learned noise by heart.
    layers: tuple[int, ...] = (16,)
    activation: Activation = "relu"
    l2: float = 0.01
    step: float = 0.001
    batch_rows: int = 128
    epochs: int = 30
    scaling: Scaling = "standard"

    name: ClassVar[str]
    is_classifier: ClassVar[bool]
    trainer: ClassVar[str]
    suffix: ClassVar[str] = ".skops"

    def __post_init__(self) -> None:
        if not self.layers or min(self.layers) < 1:
            raise ValueError(f"layers must name at least one layer of at least 1 neuron, was {list(self.layers)}")
        if self.activation not in get_args(Activation):
            raise ValueError(f'activation must be "relu" or "tanh", was {self.activation!r}')
        if not self.l2 >= 0:
            raise ValueError(f"l2 must be at least 0, was {self.l2}")
        if not self.step > 0:
            raise ValueError(f"step must be above 0, was {self.step}")
        for name in ("batch_rows", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, was {getattr(self, name)}")
        check_scaling(self.scaling)

    def fit(self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None = None) -> Network:
        """Train the network."""
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

        scaled, centre, scale = scale_rows(features, self.scaling)
        targets, output = self._targets(labels)
        trainer = self._trainer(len(labels), seed)
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the passes are counted on purpose
            trainer.fit(scaled, targets, sample_weight=self._counts(labels, weights))
        return self._network(trainer, scaled, (centre, scale, output))

    @property
    def steps(self) -> int:
        """How many passes over the rows are made at most."""
        return self.epochs

    def with_steps(self, steps: int) -> Self:
        """Give the same algorithm with another number of passes."""
        return replace(self, epochs=steps)

    def learn(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None, tail: FloatMatrix
    ) -> Iterator[Stage]:
        """Train pass by pass, and score ``tail`` after each; rows come in another order than in :meth:`fit`."""
        for number, network in enumerate(self._passes(features, labels, seed, weights)):
            yield Stage(number + 1, network.predict(tail), partial(_itself, network))

    def _passes(
        self, features: FloatMatrix, labels: FloatArray, seed: int, weights: FloatArray | None
    ) -> Iterator[Network]:
        from threadpoolctl import threadpool_limits

        scaled, centre, scale = scale_rows(features, self.scaling)
        targets, output = self._targets(labels)
        trainer = self._trainer(len(labels), np.random.RandomState(seed))
        told = {"sample_weight": self._counts(labels, weights)}
        if self.is_classifier:
            told["classes"] = np.unique(targets)
        for _ in range(self.epochs):
            with threadpool_limits(1):
                trainer.partial_fit(scaled, targets, **told)
            yield self._network(trainer, scaled, (centre, scale, output))

    def _counts(self, labels: FloatArray, weights: FloatArray | None) -> FloatArray | None:
        return row_weights(labels, weights, "none")

    def _targets(self, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give what the network is taught, and slope and offset from its last sum to a score."""
        return labels, np.array([1.0, 0.0])

    def _trainer(self, rows: int, random: int | np.random.RandomState) -> Any:
        from sklearn import neural_network

        return getattr(neural_network, self.trainer)(
            hidden_layer_sizes=self.layers,
            activation=self.activation,
            solver="adam",
            alpha=self.l2,
            learning_rate_init=self.step,
            batch_size=min(self.batch_rows, rows),
            max_iter=self.epochs,
            n_iter_no_change=self.epochs,
            early_stopping=False,
            random_state=random,
        )

    def _network(self, trainer: Any, scaled: FloatArray, numbers: tuple[FloatArray, FloatArray, FloatArray]) -> Network:
        layers = tuple(
            (np.array(weights.T, order="C"), np.array(offsets))  # copies: the trainer may go on
            for weights, offsets in zip(trainer.coefs_, trainer.intercepts_, strict=True)
        )
        centre, scale, output = numbers
        return Network(
            self.name,
            is_classifier=self.is_classifier,
            centre=np.array(centre),
            scale=np.array(scale),
            layers=layers,
            activation=self.activation,
            output=output,
            importance=_mean_slope(layers, self.activation, scaled),
        )

    def load(self, content: bytes) -> Network | ClassModel:
        """Read a skops file of such a network."""
        network = _read(self.name, content, is_classifier=self.is_classifier)
        if len(network.layers[-1][1]) == 1:
            return network
        if not self.is_classifier:
            raise ModelError("the network tells classes, expected an estimate. Train it again.")
        return ClassModel(network)


@dataclass(frozen=True)
class Mlp(_Perceptron):
    """Probability that the label is 1, by a multi-layer perceptron (scikit-learn, Adam, log loss).

    It is trained for ``epochs`` passes over all rows: scikit-learn's early stopping would split them at random, so
    that neighbours in time, whose labels share bars, stand on both sides. The seed gives the first weights and the
    order of the rows. Importance is the mean absolute slope of the logit at up to 200 of the rows.

    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(500, 2)).astype(np.float32)
    >>> model = Mlp(layers=(4,), step=0.02).fit(features, (features[:, 1] > 0).astype(float), seed=1)
    >>> (model.predict(np.array([[0, -2], [0, 2]], dtype=np.float32)) > 0.9).tolist()
    [False, True]
    """

    class_weight: ClassWeight = "none"

    name: ClassVar[str] = "mlp"
    trainer: ClassVar[str] = "MLPClassifier"
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
        """Train a network with one output for each class (softmax, cross-entropy)."""
        return ClassModel(self.fit(features, classes, seed, weights))

    def learn_classes(
        self, features: FloatMatrix, classes: FloatArray, seed: int, weights: FloatArray | None, tail: FloatMatrix
    ) -> Iterator[Stage]:
        """Train pass by pass, and give the chances of ``tail`` after each."""
        for number, network in enumerate(self._passes(features, classes, seed, weights)):
            model = ClassModel(network)
            yield Stage(number + 1, model.chances(tail), partial(_itself, model))


@dataclass(frozen=True)
class MlpRegression(_Perceptron):
    """Estimate of the label by a multi-layer perceptron (scikit-learn, Adam, squared error).

    Labels are scaled to mean 0 and standard deviation 1, and scores back. Trained as :class:`Mlp` is.
    """

    name: ClassVar[str] = "mlp_regression"
    trainer: ClassVar[str] = "MLPRegressor"
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def _targets(self, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean, unit = float(labels.mean()), float(labels.std()) or 1.0
        return (labels - mean) / unit, np.array([unit, mean])
