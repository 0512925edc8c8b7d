from dataclasses import replace

import numpy as np
import pytest
from backtrader import Strategy

from itb.backtest.run import Backtest, run_scenarios
from itb.errors import ModelError
from itb.indicators.score import ScoreSource
from itb.mlmodels.cpcv import CombinatorialPurged
from itb.mlmodels.crossfit import cross_scores
from itb.mlmodels.kfold import PurgedKFold
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.linear import Logistic
from itb.mlmodels.retrospective import RetrospectiveScores, refuse_retrospective
from itb.mlmodels.training import Training
from itb.mlmodels.weights import TimeDecay


def test_a_fold_is_scored_by_a_model_of_the_other_folds(table):
    cut = PurgedKFold(folds=4, embargo_bars=3)
    found = cross_scores(table, Logistic(), cut)
    split = list(cut.splits(table.label.known_at))[2]
    rows = split.train[table.complete[split.train]]
    model = Logistic().fit(table.features[rows], table.label.values[rows], 0)
    assert found.column == "up_logistic"
    assert found.scores[0, split.test] == pytest.approx(model.predict(table.features[split.test]))


def test_every_path_has_a_score_for_every_complete_row(table):
    found = cross_scores(table, Logistic(), CombinatorialPurged(folds=4, test_folds=2))
    assert found.scores.shape == (3, len(table))
    assert (np.isfinite(found.scores) == table.complete).all()
    assert all(quality.headline[1] > 0.6 for quality in found.qualities())


def test_a_fold_that_loses_a_class_stays_unscored_and_says_so(make_table):
    table = make_table(300)
    values = np.where(np.arange(300) < 150, table.label.values, 0.0)
    table = replace(table, label=LabelColumn.after(values, 4))
    training = Training(weights=(TimeDecay(-0.4),))  # the fold that learns from the older half keeps its newest ones
    found = cross_scores(table, Logistic(), PurgedKFold(folds=4), training=training)
    assert any("no row of class 1 is left" in note for note in found.notes)
    assert np.isfinite(found.scores).any()
    assert np.isnan(found.scores[0, table.complete]).any()


def test_progress_counts_the_fits(table):
    seen = []
    cross_scores(table, Logistic(), PurgedKFold(folds=2), progress=lambda *said: seen.append(said))
    assert seen == [(1, 2, "fold 0"), (2, 2, "fold 1")]


def test_a_fold_with_too_few_rows_to_learn_from_stays_unscored(make_table):
    table = make_table(200)
    found = cross_scores(table, Logistic(), PurgedKFold(folds=2), min_train_rows=90)
    assert found.notes == ("fit 1: 85 rows to learn from, too few or all alike: not fitted",)
    assert np.isnan(found.scores[0, 100:]).all()
    assert np.isfinite(found.scores[0, 10:70]).all()


def test_no_fit_at_all_is_an_error(table):
    with pytest.raises(ModelError, match="no split could be fitted"):
        cross_scores(table, Logistic(), PurgedKFold(folds=2), min_train_rows=5_000)


def test_scores_stay_retrospective_when_aligned_to_other_bars(table):
    source = cross_scores(table, Logistic(), PurgedKFold(folds=2)).source()
    later = source.aligned(table.open_time[100:])
    assert isinstance(later, ScoreSource)
    assert isinstance(later, RetrospectiveScores)
    assert later.is_retrospective
    assert later.at(int(table.open_time[120])) == source.batch()[120]


@pytest.mark.parametrize(
    "run", [lambda *a: Backtest(Strategy).run(*a), lambda *a: run_scenarios(Backtest(Strategy), *a)]
)
def test_a_backtest_refuses_retrospective_scores(run, bars):
    scores = RetrospectiveScores("up_logistic", 0.0, 1.0, bars.open_time, np.full(len(bars), 0.5))
    with pytest.raises(ModelError, match=r"up_logistic: retrospective scores, .* cannot be used for a backtest"):
        run(bars, {"up_logistic": scores})


def test_a_retrospective_split_is_refused_by_name():
    with pytest.raises(ModelError, match=r"PurgedKFold: retrospective scores, .* cannot be used for a nested search"):
        refuse_retrospective([PurgedKFold()], "a nested search")
