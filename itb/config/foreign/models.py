"""Algorithms of intelligent-trading-bot as our models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from itb.config.foreign.source import Source

# What the libraries behind the algorithms take where a config says nothing; our own defaults are others.
_LIGHTGBM = {
    "rounds": 100,
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 20,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
    "lambda_l1": 0.0,
    "lambda_l2": 0.0,
    "max_bin": 255,
    "max_depth": -1,
}
_LIGHTGBM_NAMES = {
    "num_boost_round": "rounds",
    "num_leaves": "num_leaves",
    "learning_rate": "learning_rate",
    "min_data_in_leaf": "min_data_in_leaf",
    "feature_fraction": "feature_fraction",
    "bagging_fraction": "bagging_fraction",
    "lambda_l1": "lambda_l1",
    "lambda_l2": "lambda_l2",
    "max_bin": "max_bin",
    "max_depth": "max_depth",
}
_OBJECTIVES = {"regression": "l2", "l2": "l2", "regression_l1": "l1", "l1": "l1", "mae": "l1", "huber": "huber"}


@dataclass
class Models:
    """What the algorithms became; ``every_nth_rows`` and ``lengths`` are the row steps and counts they asked for."""

    tables: list[dict[str, Any]] = field(default_factory=list)
    every_nth_rows: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


def models(config: Source) -> Models:
    """Translate ``algorithms`` and ``train_feature_sets`` into the tables of ``[[models]]``."""
    made = Models()
    known: dict[str, dict[str, Any]] = {}
    for entry in config.tables("algorithms"):
        _know(known, _algorithm(entry, made), entry)
    for name in config.texts("algorithms"):  # older configs name what the program's own code defined
        known |= _by_name(config, name)
    uses = [use for entry in config.tables("train_feature_sets") for use in _uses(entry, known, made)]
    for names, labels in uses or [(list(known), [])]:
        made.tables += [{**known[name], **({"labels": labels} if labels else {})} for name in names]
    used = {name for names, _ in uses for name in names} if uses else set(known)
    for name in sorted(set(known) - used):
        config.note("algorithms", known[name], "nothing trains it")
    return made


def _know(known: dict[str, dict[str, Any]], table: dict[str, Any] | None, entry: Source) -> None:
    if table is None:
        return
    name = table["name"]
    if name in known:
        entry.note("name", known[name], "an algorithm of the same name follows, and replaces it")
    known[name] = table


def _uses(entry: Source, known: dict[str, dict[str, Any]], made: Models) -> list[tuple[list[str], list[str]]]:
    """Say which algorithms learn which labels, by one entry of ``train_feature_sets``."""
    entry.text("generator")  # it trains, whatever it is called
    for key in ("column_prefix", "feature_prefix"):
        entry.lose(key, "models read the features as they are named")
    inner = entry.table("config")
    labels = inner.texts("labels")
    names: list[str] = []
    for key in ("functions", "algorithms"):
        for item in inner.texts_and_tables(key):
            if isinstance(item, Source):
                table = _algorithm(item, made)
                _know(known, table, item)
                names += [table["name"]] if table is not None else []
            elif item in known:
                names.append(item)
            else:
                inner.note(key, item, "no such algorithm in this config")
    for key in ("columns", "features"):
        inner.lose(key, "a model reads every feature of [[features]]")
    return [(names or list(known), labels)]


def _algorithm(entry: Source, made: Models) -> dict[str, Any] | None:
    name, kind = entry.text("name"), entry.text("algo")
    kind = kind or name or ""
    if kind not in _KINDS:
        entry.note("algo", kind, "no such algorithm; `itb config schema` lists ours")
        entry.lose_rest("its algorithm has no counterpart")
        return None
    params, train = entry.table("params"), entry.table("train")
    table = _KINDS[kind](params, train)
    _scaling(params, kind, table)
    if (every := params.count("every_nth_row")) is not None:
        made.every_nth_rows.append(every)
    if length := params.count("length"):  # 0 is all of them
        made.lengths.append(length)
    return {**table, "name": name or kind}


def _by_name(config: Source, name: str) -> dict[str, dict[str, Any]]:
    empty = Source({})
    if name not in _KINDS:
        config.note("algorithms", name, "not defined in this config")
        return {}
    return {name: {**_KINDS[name](empty, empty), "name": name}}


def _scaling(params: Source, kind: str, table: dict[str, Any]) -> None:
    scaled = params.flag("is_scale")
    if scaled is None:
        return
    if kind == "gb":
        if scaled:
            params.note("is_scale", scaled, "trees do not care about scales")
        return
    table["scaling"] = "standard" if scaled else "none"


def _gb(params: Source, train: Source) -> dict[str, Any]:
    is_regression = params.flag("is_regression")
    table: dict[str, Any] = {"algorithm": "lightgbm_regression" if is_regression else "lightgbm", **_LIGHTGBM}
    for theirs, ours in _LIGHTGBM_NAMES.items():
        table[ours] = _either(params, train, theirs, _LIGHTGBM[ours])
    objective = train.text("objective")
    if is_regression and objective in _OBJECTIVES:
        table["loss"] = _OBJECTIVES[objective]
    elif objective not in (None, "binary", "cross_entropy"):
        train.note("objective", objective, "classes are learned with the logistic loss")
    return table


def _lc(params: Source, train: Source) -> dict[str, Any]:
    if is_regression := params.flag("is_regression"):
        params.note("is_regression", is_regression, "lc is logistic regression")
    table: dict[str, Any] = {"algorithm": "logistic", "c": _either(params, train, "C", 1.0)}
    table["max_iter"] = _either(params, train, "max_iter", 100)
    if train.text("class_weight") == "balanced":
        table["class_weight"] = "balanced"
    penalty = train.text("penalty")
    if penalty not in (None, "l2"):
        train.note("penalty", penalty, "the penalty is l2; see logistic_elastic_net for the others")
    if (solver := train.text("solver")) is not None:
        train.note("solver", solver, "all solvers find the same coefficients")
    return table


def _svc(params: Source, train: Source) -> dict[str, Any]:
    is_regression = params.flag("is_regression")
    table: dict[str, Any] = {"algorithm": "svr" if is_regression else "svc", "c": _either(params, train, "C", 1.0)}
    gamma = _either(params, train, "gamma", None)
    if gamma is not None:
        table["gamma"] = gamma
    if is_regression:
        table["epsilon"] = _either(params, train, "epsilon", 0.1)
    kernel = train.text("kernel") or params.text("kernel")
    if kernel in ("rbf", "linear"):
        table["kernel"] = kernel
    elif kernel is not None:
        train.note("kernel", kernel, "kernels are rbf and linear")
    return table


def _nn(params: Source, train: Source) -> dict[str, Any]:
    is_regression = params.flag("is_regression")
    table: dict[str, Any] = {"algorithm": "mlp_regression" if is_regression else "mlp", "l2": 0.0}
    for given in (params, train):
        if layers := given.numbers("layers"):
            table["layers"] = layers
        given.lose("layers", "layers are numbers of neurons; a text is not evaluated")
    for theirs, ours in (("learning_rate", "step"), ("n_epochs", "epochs"), ("bs", "batch_rows")):
        number = _either(params, train, theirs, None)
        if number is not None:
            table[ours] = number
    for given in (params, train):
        given.lose("es", "training takes a counted number of epochs and never looks at a random split")
    return table


def _either(params: Source, train: Source, key: str, default: float | None) -> int | float | None:
    """Take a number from either table (``train`` wins); a text under that key stays, and is listed."""
    weak, strong = params.number(key), train.number(key)
    if weak is not None and strong is not None and weak != strong:
        params.note(key, weak, "train says otherwise, and train is what the library is passed")
    return strong if strong is not None else weak if weak is not None else default


_KINDS: dict[str, Callable[[Source, Source], dict[str, Any]]] = {"gb": _gb, "lc": _lc, "svc": _svc, "nn": _nn}
