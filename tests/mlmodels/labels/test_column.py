import numpy as np
import pytest

from itb.mlmodels.labels import LabelColumn


def test_a_value_known_at_its_own_bar_is_refused():
    with pytest.raises(ValueError, match="later than its own bar"):
        LabelColumn(np.array([1.0, 0.0]), np.array([0, 2]))


def test_a_known_row_without_value_is_refused():
    with pytest.raises(ValueError, match="known_at must be -1 where the value is NaN"):
        LabelColumn(np.array([np.nan, 0.0]), np.array([1, 2]))


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="as long as each other"):
        LabelColumn(np.array([1.0]), np.array([1, 2]))


def test_values_cannot_be_written_to():
    column = LabelColumn.after(np.zeros(4), horizon=1)
    with pytest.raises(ValueError, match="read-only"):
        column.values[0] = 1.0


def test_no_row_is_known_when_the_horizon_is_longer_than_the_data():
    assert LabelColumn.after(np.zeros(3), horizon=5).known_at.tolist() == [-1, -1, -1]
