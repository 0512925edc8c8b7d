"""Law 5, no leak: nothing that a score was made of lay in its future."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from itb.laws.causal import poison_after
from itb.laws.result import LawResult
from itb.market.bars import Bars, FloatArray, IntArray
from itb.mlmodels.labels.column import NEVER, Label, LabelColumn
from itb.mlmodels.quality import grade
from itb.mlmodels.table import TrainingTable

if TYPE_CHECKING:
    from itb.mlmodels.algorithm import Algorithm, FloatMatrix
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.walkforward import WalkForward

LAW = "no leak"
TOLERANCE = 1e-9
_WIDER = 1.6  # times the 95 % margin: an innocent model is accused about once in 500 checks


def check_labels(label: Label, bars: Bars, *, cuts: int = 6, seed: int = 0) -> LawResult:
    """Check that a label says honestly when each of its rows became known.

    On the first T bars every row known by then must have its final value, and every other must be NaN. Tried at the
    last bars that decide a row and at ``cuts`` random T.

    >>> from itb.datafeeds.waves import sinus
    >>> from itb.mlmodels.labels import FutureReturn
    >>> print(check_labels(FutureReturn(3), sinus(bars=60), cuts=2))
    no leak: return_3: ok: on 6 shorter histories every known label was final and every other unknown
    """
    whole = label(bars)
    random = np.random.default_rng(seed).integers(1, len(bars), cuts)
    lengths = sorted(
        {*map(int, random), 1, min(label.horizon, len(bars)), min(label.horizon + 1, len(bars)), len(bars)}
    )
    for length in lengths:
        known = (whole.known_at != NEVER) & (whole.known_at < length)
        expected = np.where(known, whole.values, np.nan)[:length]
        found = label(bars.head(length)).values
        wrong = np.flatnonzero(~((found == expected) | (np.isnan(found) & np.isnan(expected))))
        if len(wrong):
            row = int(wrong[0])
            evidence = (
                f"on the first {length} bars row {row} is {found[row]:g}, but {expected[row]:g} is right: its label is "
                f"{'known' if known[row] else 'not known'} by then"
            )
            return LawResult(LAW, label.name, passed=False, evidence=evidence, figures={"length": length, "row": row})
    evidence = f"on {len(lengths)} shorter histories every known label was final and every other unknown"
    return LawResult(LAW, label.name, passed=True, evidence=evidence)


def check_purged(
    splits: Iterable[tuple[IntArray, IntArray]], known_at: IntArray, *, embargo_bars: int = 0, subject: str = "splits"
) -> LawResult:
    """Check that no training label reaches into its test block, or into the embargo before it.

    ``splits`` are pairs of row numbers: learned from, scored. ``known_at`` is that of the label's column.

    >>> known_at = np.arange(9) + 2
    >>> print(check_purged([(np.arange(5), np.arange(5, 9))], known_at, subject="x"))
    no leak: x: BROKEN: split 0 learns from row 3, whose label is known at row 5, but it scores from row 5 on
    """
    count = 0
    for number, (train, test) in enumerate(splits):
        count += 1
        if not len(train) or not len(test):
            continue
        limit = int(test.min()) - embargo_bars
        late = np.flatnonzero((known_at[train] >= limit) | (known_at[train] == NEVER))
        if len(late):
            row = int(train[late[0]])
            when = "never known" if known_at[row] == NEVER else f"known at row {known_at[row]}"
            evidence = (
                f"split {number} learns from row {row}, whose label is {when}, but it scores from row {test.min()} on"
            )
            if embargo_bars:
                evidence += f" with an embargo of {embargo_bars}"
            return LawResult(
                LAW, subject, passed=False, evidence=evidence, figures={"split": number, "late": len(late)}
            )
    evidence = f"in {count} splits every label learned from was known before the first row scored"
    return LawResult(LAW, subject, passed=True, evidence=evidence, figures={"splits": count})


def check_apart(
    splits: Iterable[tuple[IntArray, IntArray]],
    known_at: IntArray,
    *,
    embargo_bars: int = 0,
    embargo_before_bars: int = 0,
    subject: str = "splits",
) -> LawResult:
    """Check that no label learned from shares a bar with a label that is scored, be it earlier or later.

    ``splits`` are as for :func:`check_purged`, but may learn from both sides of what they score, as cross-validation
    does. The label of row t lies on the bars from t to ``known_at[t]``. Rows learned from keep ``embargo_bars`` away
    behind the labels scored, and ``embargo_before_bars`` before them.

    >>> known_at = np.arange(9) + 2
    >>> print(check_apart([(np.array([0, 6, 7]), np.array([3, 4]))], known_at, subject="x"))
    no leak: x: BROKEN: split 0 learns from row 6, whose label shares bars with labels that it scores
    """
    count, bars = 0, int(max(known_at.max(initial=0), len(known_at))) + 1
    for number, (train, test) in enumerate(splits):
        count += 1
        ends = np.maximum(known_at[test], test)
        change = np.bincount(test, minlength=bars + 1) - np.bincount(ends + 1, minlength=bars + 1)
        taken = np.concatenate([[0], np.cumsum(np.cumsum(change)[:bars])])
        first = np.maximum(train - embargo_bars, 0)
        last = np.minimum(known_at[train] + embargo_before_bars, bars - 1)
        wrong = np.flatnonzero((taken[last + 1] > taken[first]) | (known_at[train] == NEVER))
        if len(wrong):
            evidence = (
                f"split {number} learns from row {train[wrong[0]]}, whose label shares bars with labels that it scores"
            )
            figures = {"split": number, "shared": len(wrong)}
            return LawResult(LAW, subject, passed=False, evidence=evidence, figures=figures)
    evidence = f"in {count} splits no label learned from shares a bar with one that is scored"
    return LawResult(LAW, subject, passed=True, evidence=evidence, figures={"compared": count})


def check_walk_forward(result: WalkForwardResult, embargo_bars: int = 0) -> LawResult:
    """Check what a finished walk-forward wrote down: who learned what, and from when on it spoke."""
    for fold in result.folds:
        block, number = fold.block, fold.block.number
        if fold.last_known > block.fit_bar - embargo_bars or fold.last_row > block.fit_bar:
            evidence = f"refit {number} at row {block.fit_bar} learned a label known at row {fold.last_known}"
            return LawResult(LAW, result.column, passed=False, evidence=evidence, figures={"refit": number})
        if block.test_start <= block.fit_bar:
            evidence = f"refit {number} at row {block.fit_bar} scores from row {block.test_start} on"
            return LawResult(LAW, result.column, passed=False, evidence=evidence, figures={"refit": number})
    evidence = f"{len(result.folds)} refits learned only labels known at their fit, and scored later bars only"
    return LawResult(LAW, result.column, passed=True, evidence=evidence, figures={"refits": len(result.folds)})


def check_poison(
    score: Callable[[Bars], FloatArray], bars: Bars, cuts: Sequence[int], *, subject: str = "", seed: int = 0
) -> LawResult:
    """Check that noise after a bar changes no score at or before it.

    ``score`` is the whole way from bars to scores: features, labels, training, prediction. At each of ``cuts`` (row
    numbers) all later bars are replaced by another price path. Cuts just after a refit are the sharp ones: there a
    label that reaches over the fit shows.

    >>> from itb.datafeeds.waves import sinus
    >>> shifted = lambda bars: np.append(bars.close[1:], 0.0)
    >>> print(check_poison(shifted, sinus(bars=50), [20], subject="shifted"))  # doctest: +ELLIPSIS
    no leak: shifted: BROKEN: the score of row 20 changes from ... when the bars after row 20 are noise
    """
    subject = subject or getattr(score, "__name__", type(score).__name__)
    whole = score(bars)
    rng = np.random.default_rng(seed)
    compared = 0
    for cut in cuts:
        again = score(poison_after(bars, cut, rng))[: cut + 1]
        before = whole[: cut + 1]
        same = (np.isnan(again) & np.isnan(before)) | (
            np.abs(again - before) <= TOLERANCE * np.maximum(1, np.abs(before))
        )
        if not same.all():
            row = int(np.flatnonzero(~same)[-1])
            evidence = f"the score of row {row} changes from {before[row]:.10g} to {again[row]:.10g} "
            evidence += f"when the bars after row {cut} are noise"
            figures = {"cut": cut, "row": row, "values_wrong": int((~same).sum())}
            return LawResult(LAW, subject, passed=False, evidence=evidence, figures=figures)
        compared += int(np.isfinite(before).sum())
    evidence = f"noise after {len(cuts)} bars changed none of {compared} earlier scores"
    return LawResult(LAW, subject, passed=True, evidence=evidence, figures={"compared": compared})


def check_shuffled(
    score: Callable[[LabelColumn], FloatArray],
    label: LabelColumn,
    *,
    is_classifier: bool,
    subject: str = "",
    seed: int = 0,
) -> LawResult:
    """Check that labels dealt out at random cannot be foretold: training on them must give no skill.

    ``score`` trains and predicts with the label column it is given. The leading figure (AUC or IC) must not lie
    further from guessing than 1.6 times its 95 % margin.
    """
    subject = subject or getattr(score, "__name__", type(score).__name__)
    values = np.array(label.values)
    known = np.flatnonzero(label.known_at != NEVER)
    values[known] = np.random.default_rng(seed).permutation(values[known])
    quality = grade(values, score(LabelColumn(values, label.known_at)), is_classifier=is_classifier, horizon=1)
    name, figure, guess = quality.headline
    figures = {"figure": figure, "margin": quality.margin, "rows": quality.rows}
    if not quality.rows or np.isnan(figure):
        return LawResult(
            LAW, subject, passed=True, evidence="shuffled labels taught it nothing at all", figures=figures
        )
    if np.isnan(quality.margin):
        evidence = f"{quality.rows} scored rows of shuffled labels are too few to judge by"
        return LawResult(LAW, subject, passed=False, evidence=evidence, figures=figures)
    evidence = f"{name} {figure:.3f} ± {quality.margin:.3f} on {quality.rows} rows of shuffled labels, "
    evidence += f"guessing gives {guess:g}"
    passed = abs(figure - guess) <= _WIDER * quality.margin
    return LawResult(LAW, subject, passed=passed, evidence=evidence, figures=figures)


def check_no_leak(
    bars: Bars,
    compute: Callable[[Bars], FloatMatrix],
    feature_names: tuple[str, ...],
    label: Label,
    algorithm: Algorithm,
    walk: WalkForward,
    *,
    refits: int = 3,
    seed: int = 0,
    subject: str = "",
) -> tuple[LawResult, ...]:
    """Check one model from bars to scores: its label, its purge, noise after chosen bars, shuffled labels.

    Only the newest bars that give ``refits`` refits are used, so that it takes seconds. Costs about six such
    walk-forwards.
    """
    warmup = TrainingTable.of(bars, compute(bars), feature_names, label).first_complete
    bars = bars.tail(warmup + walk.train_bars + refits * walk.refit_every)
    column = subject or f"{label.name}_{algorithm.name}"
    with tempfile.TemporaryDirectory() as folder:

        def train(table: TrainingTable) -> WalkForwardResult:
            return walk.run(table, algorithm, Path(folder), seed=seed)

        def score(changed: Bars) -> FloatArray:
            return train(TrainingTable.of(changed, compute(changed), feature_names, label)).scores

        def score_labels(labels: LabelColumn) -> FloatArray:
            return train(dataclasses.replace(result.table, label=labels)).scores

        result = train(TrainingTable.of(bars, compute(bars), feature_names, label))
        return (
            check_labels(label, bars, seed=seed),
            check_walk_forward(result, walk.embargo_bars),
            check_poison(score, bars, sharp_cuts(result), subject=column, seed=seed),
            check_shuffled(
                score_labels, result.table.label, is_classifier=result.is_classifier, subject=column, seed=seed
            ),
        )


def sharp_cuts(result: WalkForwardResult) -> tuple[int, ...]:
    """Give rows after which noise would show a leak: the first row scored by each refit, and one inside a block."""
    starts = [fold.block.test_start for fold in result.folds]
    inside = (result.folds[-1].block.test_start + result.folds[-1].block.test_stop) // 2
    last = len(result.scores) - 2
    return tuple(sorted({min(row, last) for row in (*starts, inside)}))
