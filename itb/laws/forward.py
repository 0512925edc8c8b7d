"""Law 5 on what comes after the models: a stage may use of scores and labels only what was known at each row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from itb.laws.result import LawResult
from itb.mlmodels.labels.column import NEVER, LabelColumn

if TYPE_CHECKING:
    from itb.market.bars import FloatArray
    from itb.mlmodels.stages.column import ScoreColumn

World = TypeVar("World")
LAW = "no leak"


def check_forward(
    stage: Callable[[World], Mapping[str, FloatArray]],
    world: World,
    poison: Callable[[World, int, np.random.Generator], World],
    cuts: Iterable[int],
    *,
    subject: str = "stage",
    seed: int = 0,
) -> LawResult:
    """Check that noise after a row changes not one bit of what a stage says at or before it, run by run the same.

    ``poison(world, cut, rng)`` gives the same world up to the close of row ``cut`` and another one after it
    (:func:`poison_scores`). Cuts just after a refit are the sharp ones.
    """
    rng = np.random.default_rng(seed)
    whole, again = stage(world), stage(world)
    for name, values in whole.items():
        if not np.array_equal(values, again[name], equal_nan=True):
            evidence = f"{name} differs from run to run on the same input"
            return LawResult(LAW, subject, passed=False, evidence=evidence)
    compared = tried = 0
    for cut in cuts:
        tried += 1
        changed = stage(poison(world, cut, rng))
        for name, values in whole.items():
            before, after = values[: cut + 1], changed[name][: cut + 1]
            wrong = np.flatnonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))
            if len(wrong):
                row = int(wrong[-1])
                evidence = f"{name} of row {row} changes from {before[row]:.10g} to {after[row]:.10g} when what was "
                evidence += f"known only after row {cut} is noise"
                figures = {"cut": cut, "row": row, "values_wrong": len(wrong)}
                return LawResult(LAW, subject, passed=False, evidence=evidence, figures=figures)
            compared += int(np.isfinite(before).sum())
    evidence = f"noise after {tried} rows changed none of {compared} earlier values"
    return LawResult(LAW, subject, passed=True, evidence=evidence, figures={"compared": compared})


def poison_scores(column: ScoreColumn, row: int, rng: np.random.Generator) -> ScoreColumn:
    """Give the same column up to ``row``, other scores after it, and other labels where they became known after it.

    >>> label = LabelColumn.after(np.array([0.0, 1.0, 1.0, 0.0]), horizon=1)
    >>> poisoned = poison_label(label, 1, np.random.default_rng(0))
    >>> (poisoned.values == label.values).tolist()
    [True, False, False, False]
    """
    scores = np.array(column.scores)
    later = np.arange(len(scores)) > row
    told = scores[np.isfinite(scores)]
    low, high = (float(told.min()), float(told.max())) if len(told) else (0.0, 1.0)
    scores[later] = np.where(rng.random(later.sum()) < 0.1, np.nan, rng.uniform(low, high, later.sum()))
    return replace(column, scores=scores, label=poison_label(column.label, row, rng))


def poison_label(label: LabelColumn, row: int, rng: np.random.Generator) -> LabelColumn:
    """Give the same labels where they were known by the close of ``row``; the others are flipped, or moved far away."""
    known = label.known_at != NEVER
    is_binary = np.isin(label.values[known], (0.0, 1.0)).all()
    far = 1 - label.values if is_binary else label.values + rng.normal(0, 9, len(label)) * _scale(label)
    return LabelColumn(np.where(known & (label.known_at > row), far, label.values), label.known_at)


def _scale(label: LabelColumn) -> float:
    return float(np.nanstd(label.values)) or 1.0


def sharp_cuts(column: ScoreColumn, count: int = 6) -> list[int]:
    """Give the rows at which a look ahead shows most: the last before a block, its first, and one in its middle."""
    found = set()
    for block in column.blocks[1:]:
        found |= {block.test_start - 1, block.test_start, (block.test_start + block.test_stop) // 2}
    cuts = sorted(cut for cut in found if 0 <= cut < len(column.scores) - 1)
    places = np.linspace(0, max(0, len(cuts) - 1), min(count, len(cuts))).astype(np.int64)
    return [cuts[place] for place in dict.fromkeys(places.tolist())]
