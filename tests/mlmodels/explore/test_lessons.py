from __future__ import annotations

import numpy as np
import pytest

from itb.mlmodels.explore.lessons import fold_lesson
from itb.mlmodels.labels.column import LabelColumn
from itb.mlmodels.splits import Block


def test_lesson_counts_balances_and_weighs_the_rows_of_one_refit() -> None:
    values = np.array([1.0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0])
    label = LabelColumn.after(values, horizon=3)
    block = Block(0, fit_bar=5, train_start=0, known_until=5, test_start=6, test_stop=12)
    found = fold_lesson(label, block, block.training_rows(label.known_at))
    assert found.learned == 3  # rows 0, 1, 2 are known at the close of bar 5
    assert found.learned_mean == pytest.approx(2 / 3)
    assert (found.scored, found.scored_mean) == (3, 1.0)  # rows 6, 7 and 8
    assert found.dropped == pytest.approx(3 / 6)
    # Bars 1..5 are looked at by 1, 2, 3, 2, 1 of the three labels.
    expected = np.mean([(1 + 1 / 2 + 1 / 3) / 3, (1 / 2 + 1 / 3 + 1 / 2) / 3, (1 / 3 + 1 / 2 + 1) / 3])
    assert found.uniqueness == pytest.approx(expected)


def test_a_refit_without_rows_has_no_figures() -> None:
    label = LabelColumn.after(np.zeros(9), horizon=2)
    found = fold_lesson(label, Block(0, 3, 0, 3, 4, 5), np.zeros(0, dtype=np.int64))
    assert found.learned == 0
    assert np.isnan([found.learned_mean, found.uniqueness]).all()
