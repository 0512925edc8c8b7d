from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.bar_features import BarSeries
from itb.indicators.feature_set import FeatureSet
from itb.indicators.rolling_stats import RollingStats
from itb.laws.leak import (
    check_apart,
    check_labels,
    check_no_leak,
    check_poison,
    check_purged,
    check_shuffled,
    check_walk_forward,
    sharp_cuts,
)
from itb.market.bars import Bars
from itb.mlmodels.algorithm import score_rows
from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.cpcv import CombinatorialPurged
from itb.mlmodels.kfold import PurgedKFold
from itb.mlmodels.labels import FutureReturn, HighLow2, Label, LabelColumn
from itb.mlmodels.linear import Linear, Logistic
from itb.mlmodels.splits import walk_forward_blocks
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.walkforward import WalkForward

WALK = WalkForward(train_bars=300, refit_every=100, min_train_rows=50)
FEATURES = FeatureSet((BarSeries(("log_return",), lags=(0, 1)), RollingStats(("zscore",), (10,), ("close",))))
RETURN = FutureReturn(12)
ABOVE = FutureReturn(12, threshold=0.0)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return SyntheticMarket(bars=620).bars()["BTC/USDT"]


@pytest.fixture
def scores_of(tmp_path):
    """The whole way from bars to scores, with planted columns beside the honest features."""

    def make(compute, label=RETURN, algorithm=None):
        def score(bars):
            features = compute(bars)
            names = tuple(f"f{i}" for i in range(features.shape[1]))
            table = TrainingTable.of(bars, features, names, label)
            return WALK.run(table, algorithm or Linear(), tmp_path).scores

        return score

    return make


def centred_mean(bars):
    centred = np.convolve(bars.close, np.ones(5) / 5, mode="same") / bars.close - 1
    return np.column_stack([FEATURES.compute(bars), centred]).astype(np.float32)


def scaled_with_all_data(bars):
    scaled = (bars.close - bars.close.mean()) / bars.close.std()
    return np.column_stack([FEATURES.compute(bars), scaled]).astype(np.float32)


def label_inside(bars):
    return np.column_stack([FEATURES.compute(bars), np.nan_to_num(RETURN(bars).values)]).astype(np.float32)


CUTS = [309, 310, 350, 409]


@pytest.mark.parametrize("leak", [centred_mean, scaled_with_all_data, label_inside])
def test_a_feature_that_sees_the_future_is_caught_by_poison(leak, bars, scores_of):
    found = check_poison(scores_of(leak), bars, CUTS)
    assert not found
    assert found.evidence.endswith("are noise")


def test_a_shifted_score_is_caught_by_poison(bars, scores_of):
    honest = scores_of(FEATURES.compute)
    found = check_poison(lambda bars: np.append(honest(bars)[1:], np.nan), bars, CUTS, subject="shifted")
    assert not found
    assert found.evidence.startswith("the score of row 309 changes from")


def unpurged(bars):
    """Walk forward, but learn from every bar before the block, whether its label was known or not."""
    features, values = FEATURES.compute(bars), RETURN(bars).values
    scores = np.full(len(bars), np.nan)
    for block in walk_forward_blocks(len(bars), mode="sliding", train_bars=300, refit_every=100):
        rows = np.arange(block.train_start, block.fit_bar + 1)
        rows = rows[np.isfinite(values[rows]) & np.isfinite(features[rows]).all(axis=1)]
        test = slice(block.test_start, block.test_stop)
        scores[test] = score_rows(Linear().fit(features[rows], values[rows], 0), features[test])
    return scores


def test_an_unpurged_fold_is_caught_by_poison_just_after_a_refit(bars):
    assert not check_poison(unpurged, bars, [300])
    assert not check_poison(unpurged, bars, [400])


def test_an_unpurged_fold_is_caught_by_the_audit(bars):
    blocks = walk_forward_blocks(len(bars), mode="sliding", train_bars=300, refit_every=100)
    splits = [(np.arange(b.train_start, b.fit_bar + 1), np.arange(b.test_start, b.test_stop)) for b in blocks]
    found = check_purged(splits, RETURN(bars).known_at)
    assert not found
    assert found.evidence == (
        "split 0 learns from row 288, whose label is known at row 300, but it scores from row 300 on"
    )


def test_an_embargo_that_is_not_kept_is_caught_by_the_audit(bars):
    known_at = RETURN(bars).known_at
    blocks = walk_forward_blocks(len(bars), mode="sliding", train_bars=300, refit_every=100)
    splits = [(block.training_rows(known_at), np.arange(block.test_start, block.test_stop)) for block in blocks]
    assert check_purged(splits, known_at)
    assert "with an embargo of 5" in check_purged(splits, known_at, embargo_bars=5).evidence


def test_a_row_whose_label_is_never_known_is_caught_by_the_audit():
    found = check_purged([(np.array([0]), np.array([5]))], np.array([-1, 2, 3, 4, 5, 6]))
    assert "never known" in found.evidence


def test_a_label_inside_the_features_is_caught_by_shuffling(bars, tmp_path):
    def score(labels):
        features = np.column_stack([FEATURES.compute(bars), np.nan_to_num(labels.values)]).astype(np.float32)
        table = TrainingTable(features, tuple("abcd"), labels, "up", True, bars.open_time, bars.timeframe)
        return WALK.run(table, Logistic(), tmp_path).scores

    found = check_shuffled(score, ABOVE(bars), is_classifier=True)
    assert not found
    assert found.figures["figure"] > 0.95


@dataclass(frozen=True)
class Hasty:
    """A label that claims to be known one bar too early."""

    inner: Label = RETURN
    name: str = "hasty"
    horizon: int = 11
    is_binary: bool = False

    def __call__(self, bars):
        honest = self.inner(bars)
        return LabelColumn(honest.values, np.where(honest.known_at >= 0, honest.known_at - 1, -1))


@dataclass(frozen=True)
class Revised(Hasty):
    """A label whose values change when more bars arrive."""

    name: str = "revised"
    horizon: int = 12

    def __call__(self, bars):
        honest = self.inner(bars)
        return LabelColumn(honest.values / bars.close.max(), honest.known_at)


@pytest.mark.parametrize("label", [Hasty(), Revised()], ids=lambda label: label.name)
def test_a_label_that_lies_about_when_it_is_known_is_caught(label, bars):
    assert not check_labels(label, bars)


@pytest.mark.parametrize(
    "label",
    [RETURN, ABOVE, FutureReturn(3, 0.01, direction="down"), HighLow2("high", 2.0, 24), HighLow2("low", 1.0, 7)],
    ids=lambda label: label.name,
)
def test_every_listed_label_keeps_the_law(label, bars):
    assert check_labels(label, bars)


def test_a_result_that_admits_learning_late_labels_is_caught(bars, tmp_path):
    table = TrainingTable.of(bars, FEATURES.compute(bars), FEATURES.names, RETURN)
    result = WALK.run(table, Linear(), tmp_path)
    assert check_walk_forward(result)
    assert not check_walk_forward(result, embargo_bars=1)
    late = replace(result.folds[1], last_known=result.folds[1].block.fit_bar + 1)
    found = check_walk_forward(replace(result, folds=(result.folds[0], late)))
    assert found.evidence == "refit 1 at row 408 learned a label known at row 409"
    early = replace(late.block, test_start=late.block.fit_bar)
    assert not check_walk_forward(replace(result, folds=(replace(result.folds[1], block=early),)))


def test_cuts_lie_just_after_each_refit(bars, tmp_path):
    table = TrainingTable.of(bars, FEATURES.compute(bars), FEATURES.names, RETURN)
    assert sharp_cuts(WALK.run(table, Linear(), tmp_path)) == (309, 409, 509, 609, 614)


@pytest.mark.parametrize(
    ("label", "algorithm"),
    [
        (ABOVE, LightGbm(rounds=10, min_data_in_leaf=20)),
        (RETURN, LightGbmRegression(rounds=10, min_data_in_leaf=20)),
        (HighLow2("high", 0.5, 12), Logistic()),
        (RETURN, Linear()),
    ],
    ids=["lightgbm", "lightgbm_regression", "logistic", "linear"],
)
def test_every_listed_algorithm_keeps_the_law(label, algorithm, bars):
    results = check_no_leak(bars, FEATURES.compute, FEATURES.names, label, algorithm, WALK)
    assert [str(result) for result in results if not result] == []
    assert len(results) == 4


def test_a_whole_check_fails_on_a_planted_leak(bars):
    results = check_no_leak(bars, centred_mean, (*FEATURES.names, "centred"), RETURN, Linear(), WALK)
    assert [result.passed for result in results] == [True, True, False, True]


def test_shuffled_labels_on_too_few_rows_are_not_called_innocent():
    label = LabelColumn.after(np.tile(np.array([0.0, 1.0]), 6), horizon=1)
    found = check_shuffled(lambda labels: np.linspace(0, 1, 12), label, is_classifier=True, subject="x")
    assert not found
    assert "too few to judge by" in found.evidence


def test_a_model_that_refuses_shuffled_labels_has_learned_nothing():
    label = LabelColumn.after(np.tile(np.array([0.0, 1.0]), 30), horizon=1)
    assert check_shuffled(lambda labels: np.full(60, np.nan), label, is_classifier=True, subject="x")


def slow_apart(train, test, known_at, after, before):
    looks = [set(range(row, max(row, known_at[row]) + 1)) for row in test]
    return all(
        known_at[row] >= 0 and not any(own & set(range(row - after, known_at[row] + before + 1)) for own in looks)
        for row in train
    )


@given(
    st.lists(st.integers(1, 6), min_size=14, max_size=14),
    st.sets(st.integers(0, 13), min_size=1, max_size=5),
    st.sets(st.integers(0, 13), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_apart_says_the_same_as_comparing_every_pair_of_labels(reach, train, test, after, before):
    known_at = np.arange(14) + np.array(reach)
    known_at[known_at > 15] = -1
    pair = (np.array(sorted(train - test), dtype=np.int64), np.array(sorted(test)))
    found = check_apart([pair], known_at, embargo_bars=after, embargo_before_bars=before)
    assert found.passed == slow_apart(*pair, known_at, after, before)


@pytest.mark.parametrize("cut", [PurgedKFold(folds=4), CombinatorialPurged(folds=5, test_folds=2, embargo_bars=3)])
def test_cross_validation_keeps_labels_apart_on_both_sides(cut):
    known_at = ABOVE(SyntheticMarket(bars=300).bars()["BTC/USDT"]).known_at
    splits = [(split.train, split.test) for split in cut.splits(known_at)]
    assert check_apart(splits, known_at, embargo_bars=cut.embargo_bars)
    assert not check_apart([(np.append(train, test[-1] + 1), test) for train, test in splits[:1]], known_at)
