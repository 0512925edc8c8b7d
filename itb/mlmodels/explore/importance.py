"""Which features the scores hang on, by rows that no model had learned from, each scored by the model that spoke."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itb.mlmodels.boosting import Trees
from itb.mlmodels.by_class import ClassModel
from itb.mlmodels.quality import jackknife_margin
from itb.mlmodels.registry import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from itb.market.bars import BoolArray, FloatArray, IntArray
    from itb.mlmodels.algorithm import FloatMatrix, Model
    from itb.mlmodels.result import WalkForwardResult

Shares = npt.NDArray[np.float64]

_TINY = float(np.finfo(np.float64).eps)
_CHUNK = 65_536


def _as_they_are(features: FloatMatrix) -> FloatMatrix:
    return features


@dataclass(frozen=True, eq=False)
class Spoken:
    """A model and complete rows, in time order, that it scored without having learned from them.

    ``read`` gives features as the model reads them.
    """

    model: Model
    rows: IntArray
    read: Callable[[FloatMatrix], FloatMatrix] = _as_they_are


def spoken_rows(result: WalkForwardResult, limit: int) -> Iterator[Spoken]:
    """Give each model that spoke, with its scored rows whose label is known, evenly thinned to about ``limit`` in all.

    A refit that was not promoted left its block to the model before it.
    """
    told = np.isfinite(result.scores) & np.isfinite(result.table.label.values) & result.table.complete
    each = max(1, -(-int(told.sum()) // max(limit, 1)))
    chosen = np.zeros(len(told), dtype=np.bool_)
    chosen[np.flatnonzero(told)[::each]] = True
    speaking = ""
    for fold in result.folds:
        speaking = fold.entry.file if fold.entry.promoted else speaking
        rows = np.flatnonzero(chosen[fold.block.test_start : fold.block.test_stop]) + fold.block.test_start
        if speaking and len(rows):
            stored = load_model(result.folder / speaking, result.algorithm)
            yield Spoken(stored.model, rows.astype(np.int64), partial(stored.read, coin=result.coin))


@dataclass(frozen=True, eq=False)
class PermutationImportance:
    """What it costs to shuffle one feature: share of the base loss, so the skill that is lost (0.01 = one point).

    ``margin`` is half its 95 % interval, NaN of too few rows. ``rows`` were scored ``repeats`` times for each feature.
    """

    lost: FloatArray
    margin: FloatArray
    rows: int
    repeats: int


def permutation_importance(
    spoken: Sequence[Spoken],
    features: FloatMatrix,
    labels: FloatArray,
    *,
    is_classifier: bool,
    reach: int = 1,
    repeats: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> PermutationImportance:
    """Shuffle one feature after the other over all rows, and see how much worse the models that spoke become.

    The loss is the log loss of probabilities and the squared error of estimates, set against what one pays by always
    saying the mean label. A feature that others can stand in for loses little: that is a fact about the model, not
    about the feature. Features that no model looks at (by its own importance) are not tried and cost nothing. ``reach``
    counts rows of ``features`` over which labels overlap.
    """
    rows = np.concatenate([one.rows for one in spoken]) if spoken else np.zeros(0, dtype=np.int64)
    width = features.shape[1]
    if not len(rows):
        return PermutationImportance(np.full(width, np.nan), np.full(width, np.nan), 0, repeats)
    own, y = np.ascontiguousarray(features[rows]), labels[rows]
    loss = _log_loss if is_classifier else _squared_error
    base = float(loss(y, np.full(len(y), y.mean())).mean())
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(rows)) for _ in range(repeats)]
    used = [_looked_at(one.model) for one in spoken]
    looked_at = [place for place in range(width) if any(mine[place] for mine in used)]
    worse = np.zeros((len(looked_at), len(rows)))
    start = 0
    for done, one in enumerate(spoken):
        part = slice(start, start + len(one.rows))
        plain = loss(y[part], one.model.predict(one.read(own[part])))
        for number, place in enumerate(looked_at):
            if used[done][place]:
                given = _shuffled(own, part, place, orders)
                spoiled = _predict(one, given).reshape(repeats, -1)
                worse[number, part] = np.mean([loss(y[part], each) for each in spoiled], axis=0) - plain
        start = part.stop
        if progress is not None:
            progress(done + 1, len(spoken))
    lost, margin = np.zeros(width), np.zeros(width)
    apart = max(1, round(reach * len(rows) / max(int(rows[-1] - rows[0]) + 1, 1)))
    for number, place in enumerate(looked_at):
        lost[place] = worse[number].mean() / base if base > 0 else np.nan
        margin[place] = jackknife_margin(len(rows), apart, _mean_of(worse[number])) / base if base > 0 else np.nan
    return PermutationImportance(lost, margin, len(rows), repeats)


def _looked_at(model: Model) -> BoolArray:
    """Mark the features that a model uses by its own account; all of them where it gives none."""
    shares = model.importance
    return shares > 0 if shares.any() else np.ones(len(shares), dtype=np.bool_)


def _shuffled(own: FloatMatrix, part: slice, place: int, orders: Sequence[IntArray]) -> FloatMatrix:
    """Give the rows of a part once for each order, with one feature taken from the rows that the order puts there."""
    given = np.concatenate([own[part]] * len(orders))
    given[:, place] = np.concatenate([own[order[part], place] for order in orders])
    return given


def _predict(one: Spoken, features: FloatMatrix) -> FloatArray:
    parts = [one.model.predict(one.read(features[i : i + _CHUNK])) for i in range(0, len(features), _CHUNK)]
    return np.concatenate(parts)


def _mean_of(values: FloatArray) -> Callable[[BoolArray], float]:
    return lambda kept: float(values[kept].mean())


def _log_loss(labels: FloatArray, scores: FloatArray) -> FloatArray:
    chance = np.clip(scores, _TINY, 1 - _TINY)
    return np.asarray(-np.log(np.where(labels > 0, chance, 1 - chance)))


def _squared_error(labels: FloatArray, scores: FloatArray) -> FloatArray:
    return np.asarray((scores - labels) ** 2)


@dataclass(frozen=True, eq=False)
class Contributions:
    """By how much each feature moved each row's raw score, as the model that spoke about the row accounts for it.

    ``rows`` are positions in the table, ``parts`` one row for each of them and one column a feature. Raw scores are log
    odds of a probability; of hold, buy and sell, those of buy less those of sell.
    """

    rows: IntArray
    parts: Shares

    @property
    def mean_size(self) -> FloatArray:
        """Mean absolute contribution of each feature."""
        return np.asarray(np.abs(self.parts).mean(axis=0), dtype=np.float64)


def contributions(spoken: Sequence[Spoken], features: FloatMatrix) -> Contributions | None:
    """Take the scores of trees apart (tree SHAP: Lundberg et al., 2018); ``None`` for models that are not trees."""
    found = []
    for one in spoken:
        parts = _taken_apart(one.model, one.read(np.ascontiguousarray(features[one.rows])))
        if parts is None:
            return None
        found.append(parts)
    if not found:
        return None
    return Contributions(np.concatenate([one.rows for one in spoken]), np.concatenate(found))


def _taken_apart(model: Model, features: FloatMatrix) -> Shares | None:
    if isinstance(model, ClassModel) and isinstance(model.inner, Trees):
        by_class = model.inner.contributions(features)
        return np.asarray(by_class[1] - by_class[2])
    return np.asarray(model.contributions(features)[0]) if isinstance(model, Trees) else None
