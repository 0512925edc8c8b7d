from dataclasses import replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.labels.column import NEVER, LabelColumn
from itb.mlmodels.stages.intervals import ConformalIntervals, LiveIntervals, cover, keep_intervals, load_intervals

STAGE = ConformalIntervals(coverage=0.8, rate=0.05, window=100, min_rows=30)


def known_after(column, rows):
    """What the same column looked like when only its first rows had closed."""
    known = np.where(column.label.known_at < rows, column.label.known_at, NEVER)[:rows]
    label = LabelColumn(np.where(known == NEVER, np.nan, column.label.values[:rows]), known)
    return replace(column, scores=column.scores[:rows], label=label, open_time=column.open_time[:rows])


@pytest.mark.parametrize("method", ["split", "adaptive"])
def test_live_intervals_go_on_where_the_batch_ended_bit_for_bit(method, make_column):
    column = make_column(is_probability=False)
    stage = ConformalIntervals(method, coverage=0.8, rate=0.05, window=100, min_rows=30)
    whole, _ = stage.walk(column)
    _, live = stage.walk(known_after(column, 250))
    for row in range(250, len(column.scores)):
        live = LiveIntervals.load(live.to_bytes())
        told = np.flatnonzero(column.label.known_at == row)
        known = [(int(column.open_time[t]), float(column.label.values[t])) for t in told]
        found = live.step(int(column.open_time[row]), float(column.scores[row]), known)
        assert np.array_equal(found, (whole.low[row], whole.high[row]), equal_nan=True)


def test_a_state_that_went_on_live_is_not_thrown_back_by_a_batch_run(make_column, tmp_path):
    column = make_column(is_probability=False)
    early, late = known_after(column, 250), known_after(column, 300)
    for told in (early, late, early):  # the second stands for live scoring that went on
        keep_intervals(STAGE, told, STAGE.walk(told)[1], tmp_path)
    assert load_intervals(tmp_path).to_bytes() == STAGE.walk(late)[1].to_bytes()
    (tmp_path / "conformal.json").write_text("torn")
    keep_intervals(STAGE, early, STAGE.walk(early)[1], tmp_path)
    assert load_intervals(tmp_path).to_bytes() == STAGE.walk(early)[1].to_bytes()


def test_coverage_is_counted_over_known_labels_and_given_a_margin(make_column):
    column = make_column(rows=3_000, is_probability=False)
    found, _ = STAGE.walk(column)
    said = cover(STAGE, found, column)
    known = np.isfinite(found.low) & np.isfinite(column.label.values)
    inside = (found.low <= column.label.values) & (column.label.values <= found.high)
    assert (said.rows, said.share) == (known.sum(), inside[known].mean())
    assert abs(said.share - 0.8) < 0.02
    assert 0 < said.margin < 0.1
    assert said.sentence.startswith(f"intervals held {100 * said.share:.1f} ± {100 * said.margin:.1f} % of")
    assert "80 % were promised" in said.sentence


def test_nothing_known_is_said_so(make_column):
    column = make_column(rows=120, is_probability=False)
    found, _ = STAGE.walk(column)
    assert cover(STAGE, found, column).sentence == "no interval has met a known label yet"


def test_probabilities_get_no_intervals(column):
    with pytest.raises(ValueError, match="up_logistic is a probability; intervals are for scores that estimate"):
        STAGE.walk(column)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"state": 1, "waiting": []}', b'{"state": "{}", "waiting": [1]}'])
def test_a_file_that_holds_no_state_is_refused(content):
    with pytest.raises(ModelError, match="not the state of intervals"):
        LiveIntervals.load(content)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "method must be"),
        ({"coverage": 1.0}, "coverage must lie between 0 and 1, was 1.0"),
        ({"rate": 0.0}, "rate must be above 0, was 0.0"),
        ({"window": 10}, "window must be 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ConformalIntervals(**settings)
