from dataclasses import replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.laws.forward import check_forward, poison_scores
from itb.laws.leak import check_shuffled, check_walk_forward
from itb.market.timeframe import Timeframe
from itb.mlmodels import metrics
from itb.mlmodels.algorithms import ALGORITHMS
from itb.mlmodels.linear import Logistic
from itb.mlmodels.stages.stack import STACKERS, NoStack, Stack
from itb.mlmodels.walkforward import WalkForward

WALK = WalkForward(mode="expanding", train_bars=200, refit_every=150, min_train_rows=50)
STACK = Stack(Logistic(), WALK)
HOUR = Timeframe(3_600_000)


@pytest.fixture
def inputs(make_column):
    """Two columns that know a different half of one label."""
    one = make_column(rows=1_200, seed=1)
    rng = np.random.default_rng(8)
    known = np.nan_to_num(one.label.values, nan=0.5)
    other = np.clip(0.5 + 0.2 * (known - 0.5) + rng.normal(0, 0.2, len(known)), 0, 1)
    other[:330] = np.nan
    return one, replace(one, name="up_svc", scores=other)


def stacked(inputs, folder, label=None):
    target = inputs[0] if label is None else replace(inputs[0], label=label)
    return STACK.run(STACK.table(inputs, target, HOUR, is_binary=True), folder)


def test_a_stack_speaks_only_after_its_inputs_and_under_its_own_name(inputs, tmp_path):
    found = stacked(inputs, tmp_path)
    assert found.column == "up_stack"
    first = np.flatnonzero(np.isfinite(found.scores))[0]
    both = np.isfinite(inputs[0].scores) & np.isfinite(inputs[1].scores)
    assert first >= np.flatnonzero(both)[0] + 200
    assert not np.isfinite(found.scores[~both]).any()
    assert check_walk_forward(found).passed
    assert {fold.entry.promoted for fold in found.folds} == {True}


def test_a_stack_knows_more_than_each_of_its_inputs(inputs, tmp_path):
    found = stacked(inputs, tmp_path)
    rows = np.isfinite(found.scores) & np.isfinite(found.table.label.values)
    labels = found.table.label.values[rows]
    alone = [metrics.auc(labels, column.scores[rows]) for column in inputs]
    assert metrics.auc(labels, found.scores[rows]) > max(alone) + 0.01


def test_a_stack_uses_only_what_was_known(inputs, tmp_path):
    def poison(columns, row, rng):
        one, other = (poison_scores(column, row, rng) for column in columns)
        return one, replace(other, label=one.label)

    cuts = [fit.block.fit_bar + shift for fit in stacked(inputs, tmp_path).folds[1:3] for shift in (0, 1, 70)]
    result = check_forward(lambda columns: {"up_stack": stacked(columns, tmp_path).scores}, inputs, poison, cuts)
    assert result.passed, result.evidence


def test_shuffled_labels_give_a_stack_no_skill(inputs, tmp_path):
    result = check_shuffled(
        lambda label: stacked(inputs, tmp_path, label).scores, inputs[0].label, is_classifier=True, subject="stack"
    )
    assert result.passed, result.evidence


def test_the_timeline_scores_each_bar_like_the_batch(inputs, tmp_path):
    found = stacked(inputs, tmp_path)
    for row in range(0, 1_200, 7):
        stored = found.timeline.model_at(int(found.table.open_time[row]), found.folder)
        score = np.nan if stored is None else stored.scores(found.table.features[row : row + 1])[0]
        assert np.array_equal(score, found.scores[row], equal_nan=True)


def test_inputs_that_never_speak_together_are_refused(inputs, tmp_path):
    with pytest.raises(ModelError, match="no bar has all 2 features: 'up_svc' is a number on 0 %"):
        stacked((inputs[0], replace(inputs[1], scores=np.full(1_200, np.nan))), tmp_path)


def test_a_stack_needs_inputs(inputs):
    with pytest.raises(ValueError, match="inputs must be one score column or more"):
        STACK.table([], inputs[0], HOUR, is_binary=True)


def test_stackers_are_the_algorithms_that_weigh_or_grow_trees_on_a_few_columns_and_no_stack():
    heavy = {
        "random_forest",
        "extra_trees",
        "svc",
        "svr",
        "mlp",
    }  # many parameters, or much time, for two or three inputs
    heavy |= {f"{name}_regression" for name in heavy}
    assert set(STACKERS) == {"none"} | {name for name in ALGORITHMS if name not in heavy}
    assert STACKERS["none"] is NoStack
    assert all(STACKERS[name] is ALGORITHMS[name] for name in STACKERS if name != "none")
