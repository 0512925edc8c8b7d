import numpy as np
import pytest

from itb.mlmodels.stages.intervals import ConformalIntervals, cover

STAGE = ConformalIntervals(coverage=0.8, rate=0.05, window=100, min_rows=30)


def test_coverage_is_counted_over_known_labels_and_given_a_margin(make_column):
    column = make_column(rows=3_000, is_probability=False)
    found = STAGE.around(column)
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
    found = STAGE.around(column)
    assert cover(STAGE, found, column).sentence == "no interval has met a known label yet"


def test_probabilities_get_no_intervals(column):
    with pytest.raises(ValueError, match="up_logistic is a probability; intervals are for scores that estimate"):
        STAGE.around(column)


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
