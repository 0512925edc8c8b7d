from dataclasses import replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.dissimilarity import Dissimilarity, KnownGround
from itb.mlmodels.linear import Logistic
from itb.mlmodels.promotion import SkillGate
from itb.mlmodels.stages.abstention import Abstention
from itb.mlmodels.stages.column import ScoreColumn
from itb.mlmodels.stages.kept import content_at
from itb.mlmodels.walkforward import WalkForward

WALK = WalkForward(train_bars=200, refit_every=60, min_train_rows=50)
ABSTENTION = Abstention(dissimilarity=0.45, most_rows=80, seed=4)


@pytest.mark.parametrize("walk", [WALK, replace(WALK, promotion=SkillGate(bars=50, demand="better"))])
def test_a_score_computed_from_files_is_that_of_the_batch_bit_for_bit(walk, table, tmp_path):
    walked = walk.run(table, Logistic(), tmp_path)
    column, timeline = ABSTENTION.keep(walked, ScoreColumn.of(walked), tmp_path / "stages")
    assert [entry.speaks_from for entry in timeline.entries] == [
        fold.entry.speaks_from for fold in walked.folds if fold.entry.promoted
    ]
    step = np.full(len(table), np.nan)
    for row, open_time in enumerate(table.open_time):
        content = content_at(timeline, int(open_time), tmp_path / "stages")
        stored = walked.timeline.model_at(int(open_time), walked.folder)
        if content is not None and stored is not None:
            features = table.features[row : row + 1]
            step[row : row + 1] = KnownGround.load(content).abstain(stored.scores(features), features)
    assert step.tobytes() == column.scores.tobytes()


def test_the_ground_is_that_of_the_rows_the_speaking_model_learned_from(table, tmp_path):
    walked = WALK.run(table, Logistic(), tmp_path)
    column, _ = ABSTENTION.keep(walked, ScoreColumn.of(walked), tmp_path / "stages")
    silenced = np.isnan(column.scores) & np.isfinite(walked.scores)
    assert 0.02 < silenced.sum() / np.isfinite(walked.scores).sum() < 0.9
    for fold in walked.folds:
        rows = fold.block.training_rows(table.label.known_at)
        rows = rows[np.isfinite(table.features[rows]).all(axis=1)]
        ground = Dissimilarity(0.45, most_rows=80, seed=4).fit(table.features[rows])
        part = slice(fold.block.test_start, fold.block.test_stop)
        assert silenced[part].tolist() == (ground.index(table.features[part]) >= 0.45).tolist()


def test_features_that_never_change_leave_no_ground():
    with pytest.raises(ModelError, match=r"abstain: two different complete rows .* leave abstain.dissimilarity at 0"):
        Abstention().ground(np.ones((5, 2), dtype=np.float32))


@pytest.mark.parametrize("settings", [{"dissimilarity": 0.0}, {"most_rows": 1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        Abstention(**settings)
