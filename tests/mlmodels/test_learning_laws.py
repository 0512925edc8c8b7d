"""Laws of learning on every algorithm, walk-forward and way of teaching, over random parameters."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.laws.leak import check_purged, check_shuffled, check_walk_forward
from itb.market.timeframe import Timeframe
from itb.mlmodels.algorithms import ALGORITHMS
from itb.mlmodels.by_class import ClassAlgorithm
from itb.mlmodels.judges import JUDGES
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.stopping import EarlyStopping
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.training import Training
from itb.mlmodels.walkforward import WalkForward
from itb.mlmodels.weights import WEIGHTS

HOUR = 3_600_000
SMALL: dict[str, dict[str, object]] = {
    "lightgbm": {"rounds": 4, "min_data_in_leaf": 5},
    "lightgbm_regression": {"rounds": 4, "min_data_in_leaf": 5},
    "random_forest": {"trees": 3},
    "random_forest_regression": {"trees": 3},
    "extra_trees": {"trees": 3},
    "extra_trees_regression": {"trees": 3},
    "mlp": {"epochs": 3, "layers": (3,)},
    "mlp_regression": {"epochs": 3, "layers": (3,)},
}
ALL = pytest.mark.parametrize("name", ALGORITHMS)
CASES = {"horizon": st.integers(1, 9), "seed": st.integers(0, 9)}


def small(name):
    return ALGORITHMS[name](**SMALL.get(name, {}))


@st.composite
def walks(draw):
    stopping = draw(st.sampled_from([None, *JUDGES]))
    training = Training(
        weights=tuple(WEIGHTS[name]() for name in draw(st.sets(st.sampled_from(sorted(WEIGHTS)), max_size=2))),
        class_balance=draw(st.sampled_from(["none", "weights", "rows"])),
        train_rows_max=draw(st.sampled_from([0, 70])),
        early_stopping=None if stopping is None else EarlyStopping(JUDGES[stopping](), 0.3, 2),
    )
    if training.class_balance == "none":
        training = replace(training, sequential_bootstrap=draw(st.booleans()))
    return WalkForward(
        mode=draw(st.sampled_from(["sliding", "expanding"])),
        train_bars=draw(st.integers(90, 120)),
        refit_every=draw(st.integers(25, 60)),
        embargo_bars=draw(st.integers(0, 6)),
        refit_delay_bars=draw(st.integers(1, 3)),
        min_train_rows=20,
        every_nth_row=draw(st.integers(1, 2)),
        training=training,
    )


def table_of(algorithm, horizon, seed, bars=200):
    """Labels are what an algorithm takes: 0 and 1, three classes, or numbers; closes wander."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(bars, 3)).astype(np.float32)
    push = features[:, 0] + rng.normal(0, 1, bars)
    has_classes = isinstance(algorithm, ClassAlgorithm) and seed % 2 == 1
    values = np.clip(np.round(push), -1, 1) if has_classes else (push > 0) + 0.0 if algorithm.is_classifier else push
    return TrainingTable(
        features,
        ("a", "b", "c"),
        LabelColumn.after(values, horizon),
        "x",
        is_binary=algorithm.is_classifier and not has_classes,
        open_time=np.arange(bars) * HOUR,
        timeframe=Timeframe(HOUR),
        close=100 * np.exp(np.cumsum(rng.normal(0, 0.01, bars))),
        has_classes=has_classes,
    )


def run(walk, table, algorithm):
    with tempfile.TemporaryDirectory() as folder:
        result = walk.run(table, algorithm, Path(folder))
        files = sorted(path.name for path in (result.folder / "models").glob("*"))
    return result, files


@ALL
@settings(max_examples=2, deadline=None)
@given(walk=walks(), **CASES)
def test_what_is_learned_was_known_and_later_bars_change_nothing(name, walk, horizon, seed):
    obeys_the_laws(name, walk, horizon, seed)


@pytest.mark.soak
@ALL
@settings(max_examples=60, deadline=None)
@given(walk=walks(), **CASES)
def test_the_laws_of_learning_hold_over_many_parameters(name, walk, horizon, seed):
    obeys_the_laws(name, walk, horizon, seed)


def obeys_the_laws(name, walk, horizon, seed):
    algorithm = small(name)
    table = table_of(algorithm, horizon, seed)
    result, files = run(walk, table, algorithm)
    assert check_walk_forward(result, walk.embargo_bars)
    splits = [(fold.learned_rows, np.arange(fold.block.test_start, fold.block.test_stop)) for fold in result.folds]
    assert check_purged(splits, table.label.known_at, embargo_bars=walk.embargo_bars)
    again, same = run(walk, table, algorithm)
    np.testing.assert_array_equal(again.scores, result.scores)
    assert same == files
    cut = result.folds[0].block.test_stop - 1
    rng = np.random.default_rng(seed)
    features, close = table.features.copy(), np.array(table.close)
    features[cut + 1 :] = rng.normal(size=features[cut + 1 :].shape)
    close[cut + 1 :] = rng.uniform(1, 9, len(close) - cut - 1)
    values = np.array(table.label.values)
    later = (table.label.known_at > cut) & ~np.isnan(values)
    values[later] = rng.permutation(values[later])
    noisy = replace(table, features=features, close=close, label=LabelColumn(values, table.label.known_at))
    np.testing.assert_array_equal(run(walk, noisy, algorithm)[0].scores[: cut + 1], result.scores[: cut + 1])


@ALL
def test_shuffled_labels_teach_nothing_whatever_the_training(name):
    algorithm = small(name)
    stopping = EarlyStopping(tail_fraction=0.3, patience=2)
    training = Training(weights=(WEIGHTS["uniqueness"](),), class_balance="weights", early_stopping=stopping)
    walk = WalkForward(train_bars=300, refit_every=300, min_train_rows=50, training=training)
    table = table_of(algorithm, 3, 2, bars=900)

    def score(label):
        return run(walk, replace(table, label=label), algorithm)[0].scores

    assert check_shuffled(score, table.label, is_classifier=algorithm.is_classifier, subject=name, seed=4)
