import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from itb.mlmodels.uniqueness import average_uniqueness
from itb.mlmodels.weights import WEIGHTS, ClassBalance, Product, TimeDecay, balanced_rows


@st.composite
def training_rows(draw):
    bars = draw(st.integers(5, 60))
    rows = np.array(sorted(draw(st.sets(st.integers(0, bars - 1), min_size=1))))
    labels = np.array(draw(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=len(rows), max_size=len(rows))))
    reach = np.array(draw(st.lists(st.integers(1, 9), min_size=bars, max_size=bars)))
    return rows, labels, np.arange(bars) + reach


@given(training_rows(), st.sampled_from(sorted(WEIGHTS)))
def test_weights_are_never_negative_and_one_on_average(case, name):
    weights = WEIGHTS[name]()(*case)
    assert (weights >= 0).all()
    assert weights.mean() == pytest.approx(1)


@given(training_rows())
def test_every_class_gets_the_same_weight_as_by_scikit_learn(case):
    weights = ClassBalance()(*case)
    assert weights == pytest.approx(compute_sample_weight("balanced", case[1]))
    totals = [weights[case[1] == value].sum() for value in np.unique(case[1])]
    assert totals == pytest.approx([totals[0]] * len(totals))


@pytest.mark.parametrize(
    ("oldest", "weights"),
    [
        (1.0, [1, 1, 1]),
        (0.0, [1 / 3, 2 / 3, 1]),
        (0.5, [2 / 3, 5 / 6, 1]),
        (-1 / 3, [0, 0.5, 1]),
    ],
)
def test_decay_is_a_straight_line_over_gathered_uniqueness(oldest, weights):
    assert TimeDecay(oldest).line(np.ones(3)) == pytest.approx(weights)


def test_decay_counts_overlapping_labels_as_little_time():
    uniqueness = average_uniqueness(np.array([1, 3, 5]), np.array([3, 4, 6]))
    gathered = np.cumsum([5 / 6, 3 / 4, 1]) / (5 / 6 + 3 / 4 + 1)
    assert TimeDecay(0.0).line(uniqueness) == pytest.approx(gathered)


@given(training_rows(), st.floats(-0.9, 1))
def test_older_rows_never_count_more(case, oldest):
    assert (np.diff(TimeDecay(oldest)(*case)) >= -1e-12).all()


@given(training_rows())
def test_a_product_multiplies_and_scales(case):
    both = Product((ClassBalance(), TimeDecay(0.2)))(*case)
    bare = ClassBalance()(*case) * TimeDecay(0.2)(*case)
    assert both == pytest.approx(bare / bare.mean())


def test_no_rows_have_no_weights():
    none = np.zeros(0, dtype=np.int64)
    assert [len(part()(none, np.zeros(0), none)) for part in WEIGHTS.values()] == [0, 0, 0]


@pytest.mark.parametrize("oldest", [-1.0, 1.5, float("nan")])
def test_a_decay_out_of_range_is_refused(oldest):
    with pytest.raises(ValueError, match="oldest must be above -1 and at most 1"):
        TimeDecay(oldest)


def test_an_epoch_has_as_many_batches_as_followupward_and_equal_classes():
    labels = np.repeat([0.0, 1.0, 2.0], [400, 60, 20])
    rows = balanced_rows(labels, np.random.default_rng(3))
    assert len(rows) == int(np.ceil(3 * 400 / 32)) * 32
    counts = np.bincount(labels[rows].astype(int))
    assert counts == pytest.approx(len(rows) / 3, rel=0.1)


def test_a_class_repeats_no_row_before_it_has_shown_all():
    labels = np.repeat([0.0, 1.0], [50, 7])
    rows = balanced_rows(labels, np.random.default_rng(4), batch=10)
    times = np.bincount(rows, minlength=57)[50:]
    assert times.max() - times.min() <= 1


def test_a_batch_needs_a_row():
    with pytest.raises(ValueError, match="batch must be at least 1, was 0"):
        balanced_rows(np.zeros(3), np.random.default_rng(0), batch=0)
