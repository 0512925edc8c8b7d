import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from itb.errors import ModelError
from itb.mlmodels import metrics
from itb.mlmodels.calibrated import calibrate_forward, known_scores
from itb.mlmodels.calibrators import CALIBRATORS, Beta, BetaMap, Isotonic, Platt, load_calibrated
from itb.mlmodels.labels.column import LabelColumn
from itb.mlmodels.splits import walk_forward_blocks


def overconfident(rows, seed=0):
    """Scores that exaggerate: the truth lies half way to 0.5, on the scale of logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logits / 2))).astype(float)
    return 1 / (1 + np.exp(-logits)), labels


@st.composite
def scored(draw):
    rows = draw(st.integers(2, 40))
    grid = st.integers(0, 20).map(lambda step: step / 20)
    scores = np.array(draw(st.lists(grid, min_size=rows, max_size=rows)))
    labels = np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=rows, max_size=rows)))
    labels[:2] = 0.0, 1.0
    return scores, labels


@given(scored())
def test_platt_is_that_of_scikit_learn(case):
    expected = _SigmoidCalibration().fit(*case)
    grid = np.linspace(0, 1, 21)
    if np.ptp(case[0]) > 0:
        assert Platt().fit(*case)(grid) == pytest.approx(expected.predict(grid), abs=2e-3)


@given(scored())
def test_isotonic_is_that_of_scikit_learn(case):
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(*case)
    grid = np.linspace(-0.1, 1.1, 61)
    assert Isotonic().fit(*case)(grid) == pytest.approx(expected.predict(grid))


@given(scored())
def test_beta_is_the_best_of_its_kind(case):
    scores, labels = case
    found = Beta().fit(scores, labels)
    ones = labels.sum()
    targets = np.where(labels > 0, (ones + 1) / (ones + 2), 1 / (len(labels) - ones + 2))

    def loss(a, b, c):
        chance = BetaMap(a, b, c)(scores)
        return -np.mean(targets * np.log(chance) + (1 - targets) * np.log(1 - chance))

    best = loss(found.a, found.b, found.c)
    assert min(found.a, found.b) >= 0
    for step in (0.02, -0.02):
        for a, b, c in ((step, 0, 0), (0, step, 0), (0, 0, step)):
            if found.a + a >= 0 and found.b + b >= 0:
                assert loss(found.a + a, found.b + b, found.c + c) >= best - 1e-9


@given(scored(), st.sampled_from(sorted(CALIBRATORS)))
def test_a_calibrated_score_is_a_probability_and_missing_stays_missing(case, name):
    found = CALIBRATORS[name]().fit(*case)(np.array([0.0, 0.3, 0.7, 1.0, np.nan]))
    assert ((found[:4] >= 0) & (found[:4] <= 1)).all()
    assert np.isnan(found[4])


@given(scored(), st.sampled_from(["isotonic", "beta"]))
def test_the_order_of_scores_stays(case, name):
    assert (np.diff(CALIBRATORS[name]().fit(*case)(np.linspace(0, 1, 50))) >= -1e-12).all()


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_overconfident_scores_become_better_probabilities_on_new_rows(name):
    fitted = CALIBRATORS[name]().fit(*overconfident(4_000))
    scores, labels = overconfident(4_000, seed=1)
    before = metrics.calibration(labels, scores).reliability
    after = metrics.calibration(labels, fitted(scores)).reliability
    assert after < before / 5
    assert metrics.log_loss(labels, np.clip(fitted(scores), 1e-3, 1 - 1e-3)) < metrics.log_loss(labels, scores)


@given(scored(), st.sampled_from(sorted(CALIBRATORS)))
def test_a_map_read_back_from_its_file_gives_the_same_bits(case, name):
    fitted = CALIBRATORS[name]().fit(*case)
    again = load_calibrated(fitted.to_bytes())
    grid = np.append(np.linspace(-0.1, 1.1, 97), np.nan)
    assert type(again) is type(fitted)
    assert again(grid).tobytes() == fitted(grid).tobytes()
    assert again.to_bytes() == fitted.to_bytes()
    assert all(again(grid[i : i + 1]).tobytes() == fitted(grid)[i : i + 1].tobytes() for i in range(len(grid)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"kind": "pickle"}',
        b'{"kind": "platt", "slope": 1}',
        b'{"kind": "platt", "slope": NaN, "intercept": 0}',
        b'{"kind": "beta", "a": 1, "b": 1, "c": "one"}',
        b'{"kind": "isotonic", "points": [1, 0], "values": [0, 1]}',
        b'{"kind": "isotonic", "points": [], "values": []}',
        b'{"kind": "isotonic", "points": [0, 1], "values": [0]}',
    ],
)
def test_a_file_that_holds_no_calibrator_is_refused(content):
    with pytest.raises(ModelError, match="not a calibrator"):
        load_calibrated(content)


def test_an_isotonic_map_keeps_the_ends_of_level_stretches_only():
    scores, labels = overconfident(20_000)
    assert len(Isotonic().fit(scores, labels).points) < 400


def test_beta_finds_the_map_that_made_the_labels():
    found = Beta().fit(*overconfident(50_000))
    assert (found.a, found.b, found.c) == pytest.approx((0.5, 0.5, 0), abs=0.05)


def test_platt_and_beta_give_scores_of_no_use_the_base_rate():
    labels = np.array([0.0, 1.0, 0.0, 0.0] * 50)
    for calibrator in (Platt(), Beta()):
        assert calibrator.fit(np.full(200, 0.7), labels)(np.array([0.7])) == pytest.approx(0.25, abs=0.01)


def test_scores_of_any_scale_can_be_given_to_platt():
    scores, labels = overconfident(2_000)
    small = Platt().fit(1e-7 * scores, labels)(1e-7 * scores)
    assert small == pytest.approx(Platt().fit(scores, labels)(scores))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [1.0, 1.0], r"must be 0 and 1, both present, were \[1.0\]"),
        ([0.1, 0.2], [1.0], "2 scores have 1 labels"),
        ([0.1, np.nan], [0.0, 1.0], "must be finite"),
    ],
)
def test_rows_that_cannot_teach_a_calibrator_are_refused(scores, labels, message):
    for calibrator in CALIBRATORS.values():
        with pytest.raises(ValueError, match=message):
            calibrator().fit(np.array(scores), np.array(labels))


def test_beta_refuses_scores_that_are_no_probabilities():
    with pytest.raises(ValueError, match=r"needs scores from 0 to 1, they run from -1.0 to 0.5"):
        Beta().fit(np.array([-1.0, 0.5]), np.array([0.0, 1.0]))


def forward_case(seed=0, bars=400, horizon=7):
    scores, labels = overconfident(bars, seed)
    scores[:100] = np.nan
    blocks = walk_forward_blocks(bars, mode="expanding", train_bars=100, refit_every=60)
    return scores, LabelColumn.after(labels, horizon), blocks


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
@pytest.mark.parametrize("embargo", [0, 11])
def test_nothing_known_after_the_fit_changes_a_block(name, embargo):
    scores, label, blocks = forward_case()
    whole = calibrate_forward(scores, label, blocks, CALIBRATORS[name](), min_rows=20, embargo_bars=embargo)
    other_scores, other_label, _ = forward_case(seed=9)
    for block in blocks:
        known = (label.known_at >= 0) & (label.known_at <= block.fit_bar - embargo)
        values = np.where(known, label.values, other_label.values)
        mixed = np.where(known | (np.arange(len(label)) >= block.test_start), scores, other_scores)
        again = calibrate_forward(
            mixed, LabelColumn(values, label.known_at), [block], CALIBRATORS[name](), min_rows=20, embargo_bars=embargo
        )
        part = slice(block.test_start, block.test_stop)
        assert np.array_equal(whole[part], again[part], equal_nan=True)


def test_a_block_is_calibrated_by_exactly_the_rows_known_at_its_fit():
    scores, label, blocks = forward_case()
    found = calibrate_forward(scores, label, blocks, Platt(), min_rows=20)
    block = blocks[3]
    rows = np.arange(100, block.fit_bar - 7 + 1)
    assert known_scores(scores, label, block.fit_bar).tolist() == rows.tolist()
    part = slice(block.test_start, block.test_stop)
    assert np.array_equal(found[part], Platt().fit(scores[rows], label.values[rows])(scores[part]))


def test_blocks_without_enough_earlier_scores_stay_unknown():
    scores, label, blocks = forward_case()
    found = calibrate_forward(scores, label, blocks, Platt(), min_rows=54)
    assert np.isnan(found[: blocks[2].test_start]).all()
    assert np.isfinite(found[blocks[2].test_start :]).all()


def test_scores_and_labels_must_be_as_long_as_each_other():
    with pytest.raises(ValueError, match="3 scores have 4 labels"):
        calibrate_forward(np.zeros(3), LabelColumn.after(np.zeros(4), 1), [], Platt())
