import numpy as np

from itb.mlmodels.labels import FutureReturn, HighLow2, LabelColumn, TopBot2
from itb.mlmodels.labels.dropped import Dropped


def test_a_bounded_label_loses_as_many_rows_as_its_horizon(make_bars):
    column = HighLow2("high", 2.0, 12)(make_bars(400, seed=1))
    dropped = Dropped.of(column, start=100, stop=300, known_by=299)
    assert (dropped.rows, dropped.late, dropped.share) == (200, 12, 0.06)


def test_what_a_hindsight_label_loses_is_what_its_prefix_does_not_know(make_bars):
    bars = make_bars(3000, seed=1, step=0.01)
    label = TopBot2("bot", 0.2, 0.5)
    whole, early = label(bars), label(bars.head(1500))
    dropped = Dropped.of(whole, 0, 1500, known_by=1499)
    assert dropped.late == np.isnan(early.values).sum() > 20
    assert dropped.kept[1.0] == np.nanmean(early.values)
    assert dropped.lost_mean == whole.values[:1500][np.isnan(early.values)].mean()


def test_numbers_have_a_mean_and_no_classes(make_bars):
    dropped = Dropped.of(FutureReturn(5)(make_bars(50, seed=1)), 0, 40, known_by=39)
    assert (dropped.kept, dropped.lost) == ({}, {})
    assert str(dropped).startswith("5 of 40 rows (12.5 %) not known yet; the mean of those kept is ")


def test_rows_that_are_never_known_count_nowhere():
    column = LabelColumn(np.array([np.nan, np.nan]), np.array([-1, -1]))
    assert str(Dropped.of(column, 0, 2, known_by=1)) == "0 of 0 rows (0.0 %) not known yet"
