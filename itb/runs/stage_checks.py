"""Law 5 on the configured stages after the models, tried on the scores of a small walk-forward."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from itb.config import stages as configured
from itb.laws.forward import check_forward, poison_label, poison_scores, sharp_cuts
from itb.laws.leak import check_shuffled
from itb.market.bars import FloatArray
from itb.mlmodels.table import TrainingTable
from itb.runs.law_checks import UNCHECKED, Finding, of

if TYPE_CHECKING:
    from itb.config import Config
    from itb.laws.result import LawResult
    from itb.market.bars import Bars
    from itb.mlmodels.algorithm import FloatMatrix
    from itb.mlmodels.labels.column import LabelColumn
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.stages.column import ScoreColumn
    from itb.mlmodels.stages.flags import ThresholdFlags

Columns = Mapping[str, FloatArray]
_LEAST_ROWS = 30  # of known scores, so that a stage speaks in a small walk-forward too
_STACK_ROWS = 300  # that all inputs speak on, for a stack in small
_BLOCK_ROWS = 200  # for which thresholds hold, likewise


def check_stages(config: Config, walked: WalkForwardResult, bars: Bars) -> Iterator[Finding]:
    """Check every configured stage that a learned column passes through.

    What each stage needs at least is lowered, so that it speaks on the few scores there are.
    """
    from itb.mlmodels.stages.column import ScoreColumn

    column = ScoreColumn.of(walked, config.walkforward.embargo_bars)
    cuts = sharp_cuts(column)
    for name, check in _checks(config, walked, column, bars):
        subject = f"{name} of {column.name}"
        if cuts:
            yield of(check(cuts, subject))
        else:
            yield Finding("no leak", subject, UNCHECKED, "one block of scores is too little to look back from")


def check_stack(config: Config, scores: Mapping[str, FloatArray], bars: Bars) -> Iterator[Finding]:
    """Check the configured stack on the scores of small walk-forwards: noise after a bar, shuffled labels."""
    stage = configured.stack(config)
    names = [] if stage is None else configured.stack_inputs(config)
    if stage is None:
        return
    label = configured.stack_label(config)
    subject = f"{label.name}_stack"
    first = max(int(np.isfinite(scores[name]).argmax()) for name in names)
    rows = len(bars) - first
    walk = replace(
        stage.walk, train_bars=rows // 3, refit_every=rows // 4, min_train_rows=min(50, stage.walk.min_train_rows)
    )
    small, column = replace(stage, walk=walk), label(bars)
    if rows < _STACK_ROWS:
        few = f"{rows} bars that all inputs speak on are too few for a small walk-forward"
        yield Finding("no leak", subject, UNCHECKED, few)
        return

    def score(world: tuple[FloatMatrix, LabelColumn]) -> FloatArray:
        table = TrainingTable(
            world[0], tuple(names), world[1], label.name, label.is_binary, bars.open_time, bars.timeframe
        )
        with tempfile.TemporaryDirectory() as folder:
            return small.run(table, Path(folder), seed=config.stack.seed).scores

    def poison(
        world: tuple[FloatMatrix, LabelColumn], row: int, rng: np.random.Generator
    ) -> tuple[FloatMatrix, LabelColumn]:
        inputs = np.array(world[0])
        inputs[row + 1 :] = rng.normal(0, 9, inputs[row + 1 :].shape)
        return inputs, poison_label(world[1], row, rng)

    inputs = np.column_stack([scores[name] for name in names]).astype(np.float32)
    cuts = [first + rows // 3 + shift for shift in (0, 1, rows // 4 - 1, rows // 4, rows // 4 + 1)]
    yield of(check_forward(lambda world: {subject: score(world)}, (inputs, column), poison, cuts, subject=subject))
    yield of(
        check_shuffled(
            lambda shuffled: score((inputs, shuffled)),
            column,
            is_classifier=stage.algorithm.is_classifier,
            subject=subject,
        )
    )


def _checks(
    config: Config, walked: WalkForwardResult, column: ScoreColumn, bars: Bars
) -> Iterator[tuple[str, Callable[[list[int], str], LawResult]]]:
    abstention, calibration, conformal = (
        configured.abstention(config),
        configured.calibration(config),
        configured.conformal(config),
    )
    thresholds = configured.thresholds(config)
    if abstention is not None:

        def silenced(world: WalkForwardResult) -> Columns:
            return {column.name: abstention(world, column).scores}

        yield "abstention", lambda cuts, subject: check_forward(silenced, walked, _poison_rows, cuts, subject=subject)
    if calibration is not None and column.is_probability:
        small = replace(calibration, min_rows=min(calibration.min_rows, _LEAST_ROWS))

        def calibrated(world: ScoreColumn) -> Columns:
            return {world.name: small(world).scores}

        yield (
            "calibration",
            lambda cuts, subject: check_forward(calibrated, column, poison_scores, cuts, subject=subject),
        )
    if conformal is not None and not column.is_probability:
        narrow = replace(conformal, min_rows=min(conformal.min_rows, _LEAST_ROWS))

        def bounds(world: ScoreColumn) -> Columns:
            found = narrow.around(world)
            return {f"{world.name}_low": found.low, f"{world.name}_high": found.high}

        yield "conformal", lambda cuts, subject: check_forward(bounds, column, poison_scores, cuts, subject=subject)
    if thresholds is not None and config.thresholds.column in ("", column.name):
        yield "thresholds", _flags_check(config, thresholds, column, bars)


def _flags_check(
    config: Config, stage: ThresholdFlags, column: ScoreColumn, bars: Bars
) -> Callable[[list[int], str], LawResult]:
    from itb.mlmodels.labels import FutureReturn

    flags = replace(stage, refit_every=min(stage.refit_every, _BLOCK_ROWS))
    returns = FutureReturn(configured.thresholds_horizon(config))(bars)

    def flagged(world: tuple[ScoreColumn, LabelColumn]) -> Columns:
        return flags.walk(*world).flags

    def poison(
        world: tuple[ScoreColumn, LabelColumn], row: int, rng: np.random.Generator
    ) -> tuple[ScoreColumn, LabelColumn]:
        return poison_scores(world[0], row, rng), poison_label(world[1], row, rng)

    return lambda cuts, subject: check_forward(flagged, (column, returns), poison, cuts, subject=subject)


def _poison_rows(world: WalkForwardResult, row: int, rng: np.random.Generator) -> WalkForwardResult:
    """Give the same models, and other features after a row."""
    features = np.array(world.table.features)
    features[row + 1 :] = rng.normal(0, 9, features[row + 1 :].shape)
    return replace(world, table=replace(world.table, features=features))
