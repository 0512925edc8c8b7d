"""Labels at other rows: nothing of them is lost, none stays, none comes too early, and what they taught is gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.market.timeframe import Timeframe
from itb.mlmodels.labels.column import NEVER, LabelColumn
from itb.mlmodels.linear import Logistic
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.walkforward import WalkForward
from itb.optimize.null_baselines import permuted
from itb.optimize.permuted_labels import PermutedLabels, permuted_label

HOUR = Timeframe.parse("1h")


@st.composite
def labels(draw: st.DrawFn) -> tuple[LabelColumn, int, int, int]:
    """A label with gaps, known after one bar or several; a block, a stretch and a seed."""
    count = draw(st.integers(12, 120))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    values = rng.permutation(count).astype(np.float64)
    known_at = np.arange(count) + rng.integers(1, 9, count)
    known_at[(known_at >= count) | (rng.random(count) < draw(st.sampled_from([0.0, 0.3])))] = NEVER
    values[known_at == NEVER] = np.nan
    return LabelColumn(values, known_at), draw(st.integers(1, 3)), draw(st.integers(1, 60)), draw(st.integers(0, 99))


def moved(label: LabelColumn, block: int, stretch: int, seed: int) -> LabelColumn:
    return permuted_label(label, block=block, stretch=stretch, rng=np.random.default_rng(seed))


@given(labels())
def test_every_label_moves_and_none_is_lost(given_label: tuple[LabelColumn, int, int, int]) -> None:
    label, block, stretch, seed = given_label
    if (label.known_at != NEVER).sum() < 2 * block:
        with pytest.raises(ValueError, match="labels are too few to permute in blocks"):
            moved(label, block, stretch, seed)
        return
    other = moved(label, block, stretch, seed)
    known = label.known_at != NEVER
    assert sorted(other.values[known]) == sorted(label.values[known])
    assert (np.isnan(other.values) == ~known).all()
    assert not (other.values == label.values).any()  # the values are all different


@given(labels())
def test_no_label_is_known_before_its_source_or_its_row_was(given_label: tuple[LabelColumn, int, int, int]) -> None:
    label, block, stretch, seed = given_label
    if (label.known_at != NEVER).sum() < 2 * block:
        return
    other = moved(label, block, stretch, seed)
    of_value = dict(zip(label.values.tolist(), label.known_at.tolist(), strict=True))
    for row in np.flatnonzero(label.known_at != NEVER).tolist():
        assert other.known_at[row] == max(label.known_at[row], of_value[other.values[row]])


def test_blocks_keep_neighbours_together_and_stretches_keep_their_mean(rng: np.random.Generator) -> None:
    values = np.repeat(rng.normal(size=100), 10) + 10 * (np.arange(1_000) >= 500)
    label = LabelColumn(values, np.arange(1_000) + 1)
    other = moved(label, 20, 250, 1)
    assert np.count_nonzero(np.diff(other.values) == 0) >= 1_000 - 100 - 1_000 // 20
    assert other.values[:500].mean() == pytest.approx(values[:500].mean())
    assert (other.values[500:] > 5).all()


def table(rng: np.random.Generator, edge: float, rows: int = 1_500) -> TrainingTable:
    """One feature that says ``edge`` of the next hour's direction, and two that say nothing."""
    features = rng.normal(size=(rows, 3)).astype(np.float32)
    outcome = edge * features[:, 0] + rng.normal(size=rows) > 0
    label = LabelColumn.after(outcome.astype(np.float64), horizon=1)
    names = ("tells", "noise", "other")
    return TrainingTable(features, names, label, "up", True, np.arange(rows) * HOUR.ms, HOUR)


WALK = WalkForward(train_bars=600, refit_every=300, min_train_rows=100)


def hits(learned: TrainingTable, true: TrainingTable, folder: Path) -> float:
    """The mean gain of going with the score, out of sample, against the true outcome."""
    scores = WALK.run(learned, Logistic(), folder).scores
    rows = np.flatnonzero(np.isfinite(scores) & np.isfinite(true.label.values))
    return float(np.mean(np.sign(scores[rows] - 0.5) * (2 * true.label.values[rows] - 1)))


def test_a_walk_forward_on_permuted_labels_loses_a_planted_edge(rng: np.random.Generator, tmp_path: Path) -> None:
    true = table(rng, edge=1.0)
    found = permuted(
        hits(true, true, tmp_path),
        lambda source: hits(PermutedLabels(150, int(source.integers(2**32)))(true), true, tmp_path),
        times=9,
        seed=1,
    )
    assert found.claimed > 0.4
    assert np.abs(found.random).max() < 0.35
    assert abs(found.random.mean()) < 0.1  # about as often against it as with it
    assert found.p_value == 0.1


def test_a_model_on_permuted_labels_knows_none_that_came_after_it_was_fitted(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    true = table(rng, edge=1.0)
    altered = np.array(true.label.values)
    later = WALK.blocks(true)[0].fit_bar
    rows = np.flatnonzero((true.label.known_at > later) & (true.label.known_at != NEVER))
    altered[rows] = 1 - altered[rows]
    other = TrainingTable(
        true.features, true.feature_names, LabelColumn(altered, true.label.known_at), "up", True, true.open_time, HOUR
    )
    labels = PermutedLabels(150, 3)
    first, second = (WALK.run(labels(one), Logistic(), tmp_path).scores for one in (true, other))
    block = WALK.blocks(true)[0]
    assert (first[block.test_start : block.test_stop] == second[block.test_start : block.test_stop]).all()
    assert (first[block.test_stop : -1] != second[block.test_stop : -1]).any()


def test_chance_alone_has_no_small_p_value_more_often_than_chance() -> None:
    """Labels that overlap, features with a memory, a slope learned on the first half and traded on the second."""
    found = []
    for seed in range(250):
        rng = np.random.default_rng([seed, 5])
        feature, steps = (np.convolve(rng.normal(size=1_207), np.ones(8) / 8, "valid") for _ in range(2))
        label = LabelColumn.after(np.convolve(steps, np.ones(6), "valid"), horizon=6)

        def earned(values: np.ndarray, feature: np.ndarray = feature, true: LabelColumn = label) -> float:
            slope = feature[:594] @ values[:594]
            return float(slope * (feature[600:1_180] @ true.values[600:1_180]))

        def chance(source: np.random.Generator, label: LabelColumn = label) -> float:
            return earned(permuted_label(label, block=24, stretch=300, rng=source).values)

        found.append(permuted(earned(label.values), chance, times=19, seed=seed).p_value)
    for level in (0.1, 0.25, 0.5):
        assert np.mean(np.array(found) <= level + 1e-9) == pytest.approx(
            level, abs=3 * (level * (1 - level) / 250) ** 0.5
        )


def test_a_table_gets_the_same_order_each_time_and_another_by_another_seed(rng: np.random.Generator) -> None:
    given_table = table(rng, edge=0.0)
    first, again, other = (PermutedLabels(300, seed)(given_table) for seed in (4, 4, 5))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    assert first.features is given_table.features
