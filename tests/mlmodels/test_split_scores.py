import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.linear import Logistic
from itb.mlmodels.retrospective import RetrospectiveScores
from itb.mlmodels.scores import WalkForwardScores
from itb.mlmodels.split_file import SetRange, SetsSplit
from itb.mlmodels.split_scores import split_scores

HOUR = 3_600_000


def ranges(*parts):
    return SetsSplit(tuple(SetRange(kind, first * HOUR, last * HOUR) for kind, first, last in parts))


def test_test_bars_are_scored_by_a_model_of_the_purged_training_bars(table):
    split = ranges(("training", 0, 299), ("validation", 300, 399), ("test", 400, 599))
    source = split_scores(table, Logistic(), split)
    rows = np.arange(296)[table.complete[:296]]
    model = Logistic().fit(table.features[rows], table.label.values[rows], 0)
    assert isinstance(source, WalkForwardScores)
    assert source.column == "up_logistic"
    assert source.batch()[400:] == pytest.approx(model.predict(table.features[400:]))
    assert np.isnan(source.batch()[:400]).all()


@pytest.mark.parametrize(
    ("parts", "scored", "kind"),
    [
        ([("training", 0, 299), ("test", 300, 399), ("training", 400, 599)], ("test",), RetrospectiveScores),
        ([("training", 0, 299), ("test", 300, 399)], ("training",), RetrospectiveScores),
        (
            [("training", 0, 199), ("validation", 200, 249), ("training", 250, 399), ("test", 400, 499)],
            ("validation", "test"),
            RetrospectiveScores,
        ),
        (
            [("training", 0, 199), ("validation", 200, 249), ("training", 250, 399), ("test", 400, 499)],
            ("test",),
            WalkForwardScores,
        ),
    ],
)
def test_scores_of_bars_before_the_last_label_learned_are_retrospective(table, parts, scored, kind):
    assert isinstance(split_scores(table, Logistic(), ranges(*parts), scored=scored), kind)


def test_ranges_beside_the_data_are_refused(table):
    with pytest.raises(ModelError, match="the training ranges hold 0 rows"):
        split_scores(table, Logistic(), ranges(("training", 900, 999), ("test", 0, 99)))
    with pytest.raises(ModelError, match="no bar lies in a range of type validation or test"):
        split_scores(table, Logistic(), ranges(("training", 0, 99)), scored=("validation", "test"))
