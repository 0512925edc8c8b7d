from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.laws.forward import check_forward, poison_label, poison_scores, sharp_cuts
from itb.market.bars import FloatArray
from itb.mlmodels.calibrators import CALIBRATORS, Platt
from itb.mlmodels.labels.column import NEVER, LabelColumn
from itb.mlmodels.splits import walk_forward_blocks
from itb.mlmodels.stages.calibration import Calibration
from itb.mlmodels.stages.column import ScoreColumn
from itb.mlmodels.stages.flags import ThresholdFlags
from itb.mlmodels.stages.intervals import ConformalIntervals
from itb.mlmodels.thresholds import POLICIES

NEEDED: dict[str, dict[str, Any]] = {
    "recalibrated": {"buy": 0.1, "sell": -0.1, "least_rows": 10},
    "sweep": {"points": 50, "least_rows": 5},
}
NEEDED |= {"rolling_quantile": {"window": 20}, "gaussian_ratio": {"least_rows": 5, "ratio": 1.2}}


@st.composite
def columns(draw: st.DrawFn, *, is_probability: bool = True) -> ScoreColumn:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    rows, horizon = 260, draw(st.integers(1, 12))
    scores = rng.random(rows).round(draw(st.integers(1, 6)))
    labels = (rng.random(rows) < scores).astype(float) if is_probability else scores + rng.normal(0, 1, rows)
    scores[rng.random(rows) < draw(st.sampled_from([0, 0.2]))] = np.nan
    embargo = draw(st.sampled_from([0, 5]))
    blocks = walk_forward_blocks(
        rows, mode="expanding", train_bars=40, refit_every=draw(st.integers(15, 90)), embargo_bars=embargo
    )
    scores[: blocks[0].test_start] = np.nan
    known_at = np.arange(rows) + rng.integers(1, horizon + 1, rows)
    known_at[known_at >= rows] = NEVER
    label = LabelColumn(np.where(known_at == NEVER, np.nan, labels), known_at)
    return ScoreColumn(
        "c", scores, 0.0, 1.0, is_probability, label, "y", blocks, np.arange(rows) * 60_000, embargo_bars=embargo
    )


def prove(stage: Callable[[ScoreColumn], Mapping[str, FloatArray]], column: ScoreColumn, cuts: Iterable[int]) -> None:
    result = check_forward(stage, column, poison_scores, [*sharp_cuts(column), *cuts])
    assert result.passed, result.evidence
    silent = np.isnan(column.scores)
    for name, values in stage(column).items():
        assert np.isnan(values[silent]).all(), f"{name} speaks where no score is"


cut = st.integers(0, 258)


@given(columns(), st.sampled_from(sorted(CALIBRATORS)), cut)
@settings(max_examples=30)
def test_calibration_uses_only_what_was_known(column: ScoreColumn, method: str, row: int) -> None:
    stage = Calibration(method, min_rows=20)  # type: ignore[arg-type]  # drawn from the table
    prove(lambda one: {"c": stage(one).scores}, column, [row])


@given(columns(is_probability=False), st.sampled_from(["split", "adaptive"]), cut)
@settings(max_examples=30)
def test_intervals_use_only_what_was_known(column: ScoreColumn, method: str, row: int) -> None:
    stage = ConformalIntervals(method, rate=0.1, window=50, min_rows=10)  # type: ignore[arg-type]  # drawn from the two

    def bounds(one: ScoreColumn) -> dict[str, FloatArray]:
        found = stage.around(one)
        return {"low": found.low, "high": found.high}

    prove(bounds, column, [row])


@pytest.mark.parametrize("policy", POLICIES)
@given(
    column=columns(is_probability=False), refit_every=st.integers(10, 90), lookback=st.sampled_from([0, 60]), row=cut
)
@settings(max_examples=15)
def test_flags_use_only_what_was_known(
    policy: str, column: ScoreColumn, refit_every: int, lookback: int, row: int
) -> None:
    stage = ThresholdFlags(POLICIES[policy](**NEEDED.get(policy, {})), refit_every, lookback)
    prove(lambda one: stage.walk(one, one.label).flags, column, [row, column.first + refit_every])


def leaking(column: ScoreColumn) -> dict[str, FloatArray]:
    """Calibrate every block by one calibrator that was fitted on all of them."""
    known = np.isfinite(column.scores) & (column.label.known_at >= 0)
    return {"c": Platt().fit(column.scores[known], column.label.values[known])(column.scores)}


def hindsight(column: ScoreColumn) -> dict[str, FloatArray]:
    """Calibrate a block by labels of earlier rows, whether they were known by then or not."""
    values, known_at = column.label.values, np.arange(len(column.label)) + 1
    known_at[np.isnan(values)] = NEVER
    return {"c": Calibration(min_rows=20)(replace(column, label=LabelColumn(values, known_at))).scores}


@pytest.mark.parametrize("stage", [leaking, hindsight])
@given(column=columns())
@settings(max_examples=10)
def test_a_planted_leak_is_caught(stage: Callable[[ScoreColumn], dict[str, FloatArray]], column: ScoreColumn) -> None:
    reach = column.label.known_at - np.arange(len(column.label))
    if column.embargo_bars == 0 and reach.max() > 4:  # an embargo, or a short horizon, hides what was peeked at
        result = check_forward(stage, column, poison_scores, sharp_cuts(column, count=99))
        assert not result.passed
        assert "when what was known only after row" in result.evidence


def test_chance_is_caught() -> None:
    rng = np.random.default_rng(0)
    result = check_forward(lambda _: {"c": rng.random(5)}, None, lambda world, *_: world, [1])
    assert (result.passed, result.evidence) == (False, "c differs from run to run on the same input")


def test_noise_leaves_what_was_known() -> None:
    label = LabelColumn(np.array([1.0, 2.5, np.nan, 4.0]), np.array([3, 2, NEVER, 5]))
    poisoned = poison_label(label, 2, np.random.default_rng(0))
    assert np.array_equal(poisoned.known_at, label.known_at)
    assert poisoned.values[1] == 2.5
    assert (poisoned.values[[0, 3]] != label.values[[0, 3]]).all()
