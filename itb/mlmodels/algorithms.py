"""The table of learning algorithms, and which labels each of them can learn."""

from __future__ import annotations

from itb.mlmodels.algorithm import Algorithm
from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.by_class import ClassAlgorithm
from itb.mlmodels.forests import ExtraTrees, ExtraTreesRegression, RandomForest, RandomForestRegression
from itb.mlmodels.linear import ElasticNet, Linear, Logistic, LogisticElasticNet
from itb.mlmodels.perceptron import Mlp, MlpRegression
from itb.mlmodels.svm import Svc, Svr

AnyAlgorithm = (
    LightGbm
    | LightGbmRegression
    | Logistic
    | LogisticElasticNet
    | Linear
    | ElasticNet
    | RandomForest
    | RandomForestRegression
    | ExtraTrees
    | ExtraTreesRegression
    | Svc
    | Svr
    | Mlp
    | MlpRegression
)

ALGORITHMS: dict[str, type[AnyAlgorithm]] = {
    "lightgbm": LightGbm,
    "lightgbm_regression": LightGbmRegression,
    "logistic": Logistic,
    "logistic_elastic_net": LogisticElasticNet,
    "linear": Linear,
    "elastic_net": ElasticNet,
    "random_forest": RandomForest,
    "random_forest_regression": RandomForestRegression,
    "extra_trees": ExtraTrees,
    "extra_trees_regression": ExtraTreesRegression,
    "svc": Svc,
    "svr": Svr,
    "mlp": Mlp,
    "mlp_regression": MlpRegression,
}


SIBLINGS = {"logistic": "linear", "logistic_elastic_net": "elastic_net", "svc": "svr"}
"""Classifier -> what learns numbers the same way; of the others it is called <name>_regression."""


def column_name(label_name: str, algorithm: Algorithm) -> str:
    """Name the score column of a label and an algorithm.

    >>> column_name("high_20", LightGbm())
    'high_20_lightgbm'
    """
    return f"{label_name}_{algorithm.name}"


def check_can_learn(algorithm: Algorithm, label_name: str, *, is_binary: bool, has_classes: bool = False) -> None:
    """Refuse a classifier for a label that is not 0 or 1, nor one of classes that it can learn, with ``ValueError``.

    >>> check_can_learn(LightGbm(), "first_hit", is_binary=False, has_classes=True)
    """
    if not algorithm.is_classifier or is_binary or (has_classes and isinstance(algorithm, ClassAlgorithm)):
        return
    if has_classes:
        able = [name for name, part in ALGORITHMS.items() if issubclass(part, ClassAlgorithm)]
        others = ", ".join(f'"{name}"' for name in able)
        raise ValueError(
            f"algorithm {algorithm.name!r} tells two classes apart, but {label_name!r} is hold, buy or sell; give the "
            f'label view = "buy" or "sell", or use one of {others}'
        )
    sibling = SIBLINGS.get(algorithm.name, f"{algorithm.name}_regression")
    sibling = sibling if sibling in ALGORITHMS else "lightgbm_regression"
    raise ValueError(
        f"algorithm {algorithm.name!r} needs a label of 0 and 1, but {label_name!r} is a number; set the label's "
        f'threshold, such as threshold = 0.0, or learn the number itself with algorithm = "{sibling}"'
    )
