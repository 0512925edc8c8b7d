import json

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.calibrators import CALIBRATORS, load_calibrated
from itb.mlmodels.stages.calibration import Calibration
from itb.mlmodels.stages.kept import content_at
from itb.mlmodels.timeline import ModelTimeline


@pytest.mark.parametrize("method", sorted(CALIBRATORS))
@pytest.mark.parametrize("embargo", [0, 9])
def test_a_score_computed_from_files_is_that_of_the_batch_bit_for_bit(method, embargo, make_column, tmp_path):
    column = make_column(embargo=embargo)
    calibrated, _ = Calibration(method, min_rows=60).keep(column, tmp_path)
    timeline = ModelTimeline.load(tmp_path / "calibration.json")
    step = np.full(len(column.scores), np.nan)
    for row, open_time in enumerate(column.open_time):
        content = content_at(timeline, int(open_time), tmp_path)
        if content is not None:
            step[row : row + 1] = load_calibrated(content)(column.scores[row : row + 1])
    assert step.tobytes() == calibrated.scores.tobytes()
    assert np.isfinite(calibrated.scores).sum() > 150
    assert calibrated.scores.tobytes() == Calibration(method, min_rows=60)(column).scores.tobytes()


def test_the_timeline_says_what_each_calibrator_knew(make_column, tmp_path):
    column = make_column(embargo=3)
    _, timeline = Calibration(min_rows=60).keep(column, tmp_path)
    first, *_, last = timeline.entries
    assert (first.promoted, first.reason) == (False, "only 0 earlier scores met a known label, 60 are needed")
    block = column.blocks[-1]
    known = (column.label.known_at >= 0) & (column.label.known_at <= block.fit_bar - 3) & np.isfinite(column.scores)
    assert last.rows == known.sum()
    assert last.trained_until == column.open_time[np.flatnonzero(known)[-1]]
    assert (last.known_at, last.speaks_from) == tuple(column.open_time[[block.fit_bar, block.test_start]])
    manifest = json.loads((tmp_path / last.file).read_text())
    assert (manifest["algorithm"], manifest["settings"]) == ("platt", {"method": "platt", "min_rows": 60})


def test_an_altered_calibrator_is_refused(column, tmp_path):
    _, timeline = Calibration(min_rows=60).keep(column, tmp_path)
    for path in (tmp_path / "calibration").iterdir():
        if '"slope"' in path.read_text():
            path.write_text(path.read_text().replace('"slope": ', '"slope": 1'))
    with pytest.raises(ModelError, match="the model was altered"):
        content_at(timeline, int(column.open_time[-1]), tmp_path)


def test_a_repeated_run_changes_no_file_and_a_continued_timeline_stays(column, tmp_path):
    Calibration(min_rows=60).keep(column, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    Calibration(min_rows=60).keep(column, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_estimates_of_a_number_are_not_calibrated(make_column):
    with pytest.raises(ValueError, match="up_logistic estimates a number; only probabilities can be calibrated"):
        Calibration()(make_column(is_probability=False))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, 'method must be "platt", "isotonic" or "beta", was \'magic\''),
        ({"min_rows": 1}, "min_rows must be at least 2, was 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Calibration(**settings)
