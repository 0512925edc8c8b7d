import numpy as np
import pytest

from itb.indicators.score import ScoreSource
from itb.mlmodels.scores import WalkForwardScores


@pytest.fixture
def source():
    return WalkForwardScores("up_linear", -1.0, 1.0, np.array([10, 20, 40]), np.array([np.nan, 0.5, -1.0]))


def test_it_is_a_score_source(source):
    assert isinstance(source, ScoreSource)


def test_a_time_between_or_after_the_bars_has_no_score(source):
    np.testing.assert_array_equal(
        [source.at(t) for t in (5, 10, 20, 30, 40, 50)], [np.nan, np.nan, 0.5, np.nan, -1, np.nan]
    )


def test_step_equals_batch(source):
    np.testing.assert_array_equal([source.at(int(t)) for t in source.open_time], source.batch())


def test_scores_are_aligned_to_other_bars_by_open_time(source):
    aligned = source.aligned(np.array([0, 20, 30, 40, 50]))
    np.testing.assert_array_equal(aligned.batch(), [np.nan, 0.5, np.nan, -1.0, np.nan])
    assert len(source.aligned(np.array([], dtype=np.int64)).batch()) == 0


def test_a_score_outside_the_declared_range_is_refused():
    with pytest.raises(ValueError, match=r"scores run from 0\.5 to 1\.5, declared are 0\.0 to 1\.0"):
        WalkForwardScores("up", 0.0, 1.0, np.array([10, 20]), np.array([0.5, 1.5]))


def test_times_and_scores_must_match():
    with pytest.raises(ValueError, match="2 open times have 1 scores"):
        WalkForwardScores("up", 0.0, 1.0, np.array([10, 20]), np.array([0.5]))
