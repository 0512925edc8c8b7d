import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.conformal import Conformal, adapted_alphas, conformal_rank, half_width
from itb.mlmodels.labels.column import NEVER, LabelColumn


@pytest.mark.parametrize(("rows", "alpha", "rank"), [(99, 0.1, 90), (100, 0.1, 91), (19, 0.05, 19), (9, 0.1, 9)])
def test_ranks_are_those_of_the_formula(rows, alpha, rank):
    assert conformal_rank(rows, alpha) == rank


@given(st.integers(0, 3_000), st.integers(1, 99))
def test_a_rank_is_not_moved_by_rounding(rows, percent):
    assert conformal_rank(rows, percent / 100) == -(-(rows + 1) * (100 - percent) // 100)


@pytest.mark.parametrize(("rows", "alpha"), [(19, 0.1), (50, 0.2), (99, 0.05)])
def test_coverage_of_exchangeable_errors_is_as_promised(rows, alpha):
    rng = np.random.default_rng(rows)
    errors = np.abs(rng.normal(size=(20_000, rows + 1)))
    widths = np.sort(errors[:, :-1], axis=1)[:, conformal_rank(rows, alpha) - 1]
    covered = float((errors[:, -1] <= widths).mean())
    assert 1 - alpha - 0.007 <= covered <= 1 - alpha + 1 / (rows + 1) + 0.007


def test_alpha_adapts_as_by_gibbs_and_candes():
    misses = [False, False, True, False, True, True, False, False]
    expected = [0.105, 0.11, 0.065, 0.07, 0.025, -0.02, -0.015, -0.01]
    assert adapted_alphas(misses, target=0.1, gamma=0.05) == pytest.approx(expected)


def test_an_alpha_out_of_range_gives_everything_or_nothing():
    errors = [1.0, 2.0, 3.0]
    assert half_width(errors, -0.01) == np.inf
    assert half_width(errors, 0.0) == np.inf
    assert half_width(errors, 1.0) == -np.inf
    assert half_width(errors, 0.25) == 3.0
    assert half_width(errors, 0.2) == np.inf
    assert half_width([], 0.5) == np.inf


@st.composite
def plans(draw):
    rows = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scores, values = rng.normal(size=(2, rows)).round(2)
    scores[rng.random(rows) < 0.1] = np.nan
    known_at = np.arange(rows) + rng.integers(1, 6, rows)
    known_at[known_at >= rows] = NEVER
    label = LabelColumn(np.where(known_at == NEVER, np.nan, values), known_at)
    settings = {
        "alpha": draw(st.sampled_from([0.1, 0.3, 0.7])),
        "gamma": draw(st.sampled_from([0.0, 0.05, 0.4])),
        "window": draw(st.sampled_from([0, 4, 9])),
        "min_rows": draw(st.integers(1, 4)),
    }
    return Conformal(**settings), scores, label


@given(plans())
def test_intervals_are_those_of_a_slow_loop_that_sees_known_rows_only(plan):
    conformal, scores, label = plan
    found = conformal.intervals(scores, label)
    for row in range(len(scores)):
        known = [t for t in range(len(scores)) if 0 <= label.known_at[t] <= row and np.isfinite(scores[t])]
        known.sort(key=lambda t: (label.known_at[t], t))
        misses = [not found.low[t] <= label.values[t] <= found.high[t] for t in known if not np.isnan(found.low[t])]
        alpha = ([conformal.alpha, *adapted_alphas(misses, conformal.alpha, conformal.gamma)])[-1]
        errors = sorted(abs(label.values[t] - scores[t]) for t in known[-conformal.window :])
        if len(errors) < conformal.min_rows or np.isnan(scores[row]):
            assert np.isnan([found.low[row], found.high[row], found.alpha[row]]).all()
            continue
        assert found.alpha[row] == pytest.approx(alpha)
        width = half_width(errors, found.alpha[row])
        assert (found.low[row], found.high[row]) == (scores[row] - width, scores[row] + width)


@given(plans(), st.integers(0, 40))
def test_later_labels_and_scores_change_no_interval(plan, cut):
    conformal, scores, label = plan
    values = np.where((label.known_at <= cut) | np.isnan(label.values), label.values, 77.0)
    changed = np.where(np.arange(len(scores)) <= cut, scores, 5.0)
    again = conformal.intervals(changed, LabelColumn(values, label.known_at))
    whole = conformal.intervals(scores, label)
    for name in ("low", "high", "alpha"):
        assert np.array_equal(getattr(whole, name)[: cut + 1], getattr(again, name)[: cut + 1], equal_nan=True)


def test_adaptive_intervals_keep_their_promise_when_errors_grow_and_split_ones_do_not():
    rng = np.random.default_rng(3)
    spread = np.repeat([1.0, 2.0, 4.0, 8.0], 700)
    label = LabelColumn.after(rng.normal(0, spread), horizon=2)
    scores = np.zeros(len(spread))
    split = Conformal(alpha=0.1, window=0).intervals(scores, label).coverage(label.values)
    adaptive = Conformal(alpha=0.1, window=0, gamma=0.02).intervals(scores, label).coverage(label.values)
    assert split < 0.85
    assert adaptive == pytest.approx(0.9, abs=0.01)


def test_coverage_of_nothing_is_unknown():
    label = LabelColumn.after(np.zeros(5), horizon=1)
    assert np.isnan(Conformal().intervals(np.zeros(5), label).coverage(label.values))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, "alpha must lie between 0 and 1, was 0.0"),
        ({"gamma": -0.1}, "gamma must be at least 0, was -0.1"),
        ({"min_rows": 0}, "min_rows must be at least 1, was 0"),
        ({"window": 10}, r"window must be 0 \(all rows\) or at least min_rows, 30, was 10"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Conformal(**settings)


def test_scores_and_labels_must_be_as_long_as_each_other():
    with pytest.raises(ValueError, match="3 scores have 4 labels"):
        Conformal().intervals(np.zeros(3), LabelColumn.after(np.zeros(4), 1))


@given(plans(), st.integers(0, 40))
def test_a_state_goes_on_as_if_the_batch_had_never_stopped(plan, cut):
    conformal, scores, label = plan
    whole = conformal.intervals(scores, label)
    known = np.where(label.known_at < cut, label.known_at, NEVER)
    part = LabelColumn(np.where(known == NEVER, np.nan, label.values)[:cut], known[:cut])
    _, state = conformal.walk(scores[:cut], part)
    for row in range(cut, len(scores)):
        for told in np.flatnonzero((label.known_at == row) & np.isfinite(scores)):
            state.learn(scores[told], label.values[told], whole.low[told], whole.high[told])
        found = state.interval(scores[row])
        assert np.array_equal(found, (whole.low[row], whole.high[row], whole.alpha[row]), equal_nan=True)
