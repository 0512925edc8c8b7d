"""Stages on one coin of a pool: one that was listed late, that has ended, that has a long hole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.bar_features import BarSeries
from itb.indicators.feature_set import FeatureSet
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.linear import Logistic
from itb.mlmodels.pooled import Pool
from itb.mlmodels.stages.abstention import Abstention
from itb.mlmodels.stages.calibration import Calibration
from itb.mlmodels.stages.column import ScoreColumn
from itb.mlmodels.stages.files import ScoreFiles
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.walkforward import WalkForward

FEATURES = FeatureSet((BarSeries(inputs=("log_return", "range"), lags=(0, 1)),))
WALK = WalkForward(train_bars=120, refit_every=40, min_train_rows=30)
STRETCHES = {"late": np.r_[230:420], "ended": np.r_[0:200], "holed": np.r_[0:190, 295:420]}


@pytest.fixture(params=STRETCHES)
def walked(request, tmp_path):
    """The coin's part of a pool with one that has every bar."""
    whole, part = SyntheticMarket(symbols=("BTC/USDT", "ETH/USDT"), bars=420, seed=5).bars().values()
    rows = STRETCHES[request.param]
    columns = {name: values[rows] for name, values in part.columns.items()}
    part = dataclasses.replace(part, open_time=part.open_time[rows], columns=columns)
    tables = {
        bars.symbol: TrainingTable.of(bars, FEATURES.compute(bars), FEATURES.names, FutureReturn(4, 0.0))
        for bars in (whole, part)
    }
    pool = Pool(tables)
    return pool.apart(pool.walk(WALK).run(pool.table, Logistic(), tmp_path))[part.symbol]


def test_a_coin_that_is_not_always_there_is_scored_live_as_in_the_batch(walked, tmp_path):
    stages = tmp_path / "stages"
    raw = ScoreColumn.of(walked)
    silenced, grounds = Abstention(1.0, most_rows=100).keep(walked, raw, stages)
    calibrated, _ = Calibration("platt", min_rows=20).keep(silenced, stages)
    files = ScoreFiles(walked.folder, stages)
    times, features = walked.table.open_time, walked.table.features
    live = [files.score(int(time), features[row : row + 1])[0] for row, time in enumerate(times)]
    np.testing.assert_array_equal(live, calibrated.scores)
    known = {int(time) for fold in walked.folds for time in times[fold.learned_rows][-1:]}
    assert {entry.trained_until for entry in grounds.entries} <= known
    assert np.isfinite(calibrated.scores).any()


def test_a_coin_that_no_model_has_learned_from_has_no_score(walked):
    scores = Abstention(1.0, most_rows=100)(walked, ScoreColumn.of(walked)).scores
    first = next(fold for fold in walked.folds if fold.entry.promoted and fold.rows > 1).block.test_start
    assert np.isnan(scores[:first]).all()
