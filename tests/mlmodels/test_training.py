from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import ModelError
from itb.mlmodels.algorithm import Algorithm, settings_of
from itb.mlmodels.algorithms import ALGORITHMS
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.forests import RandomForest
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.latest import fit_latest
from itb.mlmodels.lesson import Lesson
from itb.mlmodels.linear import Linear, Logistic
from itb.mlmodels.metrics import auc
from itb.mlmodels.perceptron import Mlp
from itb.mlmodels.stopping import EarlyStopping
from itb.mlmodels.svm import Svc
from itb.mlmodels.training import Training
from itb.mlmodels.uniqueness import average_uniqueness
from itb.mlmodels.walkforward import WalkForward
from itb.mlmodels.weights import ClassBalance, TimeDecay, UniquenessWeights
from itb.strategies.loading import import_file

WALK = WalkForward(train_bars=200, refit_every=120, min_train_rows=20)
SMALL: dict[str, dict[str, object]] = {
    "lightgbm": {"rounds": 10, "min_data_in_leaf": 20},
    "lightgbm_regression": {"rounds": 10, "min_data_in_leaf": 20},
    "random_forest": {"trees": 8},
    "random_forest_regression": {"trees": 8},
    "extra_trees": {"trees": 8},
    "extra_trees_regression": {"trees": 8},
    "mlp": {"step": 0.02},
    "mlp_regression": {"step": 0.02},
}
ALL = pytest.mark.parametrize("name", ALGORITHMS)


def small(name) -> Algorithm:
    return ALGORITHMS[name](**SMALL.get(name, {}))  # type: ignore[arg-type]  # fields of that very part


def lesson_of(n=300, horizon=3, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2)).astype(np.float32)
    labels = (features[:, 0] + rng.normal(0, 1, n) > 0) + 0.0
    return Lesson(features, labels, np.arange(n), np.arange(n) + horizon)


@ALL
def test_every_algorithm_follows_the_rows_that_count_more(name):
    features = np.random.default_rng(5).normal(size=(400, 2)).astype(np.float32)
    rises = (features[:, 0] > 0) + 0.0
    labels = np.where(np.arange(400) % 2 == 0, rises, 1 - rises)  # every other row says the opposite
    for told in (0, 1):
        weights = np.where(np.arange(400) % 2 == told, 8.0, 0.5)
        model = small(name).fit(features, labels, 1, weights)
        scores = getattr(model, "values", model.predict)(features)  # an SVC's sigmoid is fitted on rows as they are
        assert auc(rises if told == 0 else 1 - rises, scores) > 0.7


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if "random" not in name])  # these draw rows by weight
def test_equal_weights_change_nothing_that_matters(name):
    lesson = lesson_of()
    plain = small(name).fit(lesson.features, lesson.labels, 1).predict(lesson.features)
    even = small(name).fit(lesson.features, lesson.labels, 1, np.ones(300)).predict(lesson.features)
    np.testing.assert_allclose(even, plain, atol=1e-6)


def test_weights_reach_lightgbm_as_it_takes_them_itself():
    import lightgbm

    lesson, algorithm = lesson_of(), LightGbm(rounds=5, min_data_in_leaf=20)
    weights = np.linspace(0.1, 2, 300)
    params = algorithm._params(3)
    rows = lightgbm.Dataset(lesson.features, label=lesson.labels, weight=weights, params=params)
    bare = lightgbm.train(params, rows, num_boost_round=5)
    model = algorithm.fit(lesson.features, lesson.labels, 3, weights)
    np.testing.assert_array_equal(model.predict(lesson.features), np.asarray(bare.predict(lesson.features)))


def test_balanced_lightgbm_counts_both_classes_the_same():
    lesson = lesson_of()
    rare = lesson.labels * (np.arange(300) % 5 == 0)
    plain, even = (
        LightGbm(rounds=20, min_data_in_leaf=20, class_weight=how)
        .fit(lesson.features, rare, 1)
        .predict(lesson.features)
        for how in ("none", "balanced")
    )
    assert plain.mean() < 0.2 < 0.4 < even.mean() < 0.6


def slow_uniqueness(rows, known_at):
    """Count, bar by bar, who else looks at it."""
    looks = [set(range(row + 1, known_at[row] + 1)) for row in rows]
    return [np.mean([1 / sum(bar in other for other in looks) for bar in own]) for own in looks]


def test_a_walk_forward_weighs_each_refit_by_its_own_rows(table, tmp_path):
    walk = replace(WALK, training=Training(weights=(UniquenessWeights(),), class_balance="weights"), every_nth_row=3)
    result = walk.run(table, Logistic(), tmp_path)
    for fold in result.folds:
        rows = fold.block.training_rows(table.label.known_at)
        rows = rows[(table.open_time[rows] // table.timeframe.ms % 3 == 0) & table.complete[rows]]
        weights = np.array(slow_uniqueness(rows, table.label.known_at))
        labels = table.label.values[rows]
        for value in (0, 1):
            weights[labels == value] /= weights[labels == value].sum()
        model = Logistic().fit(table.features[rows], labels, 0, weights * len(rows) / 2)
        part = slice(fold.block.test_start, fold.block.test_stop)
        np.testing.assert_allclose(result.scores[part], model.predict(table.features[part]), rtol=1e-6)


def test_rows_that_weigh_nothing_are_left_out():
    lesson = lesson_of(horizon=1)
    half = Training(weights=(TimeDecay(oldest=-0.5),)).teach(RandomForest(trees=5), lesson, 1).model
    kept = np.flatnonzero(TimeDecay(oldest=-0.5)(lesson.rows, lesson.labels, lesson.known_at) > 0)
    weights = TimeDecay(oldest=-0.5)(lesson.rows, lesson.labels, lesson.known_at)[kept]
    own = RandomForest(trees=5).fit(lesson.features[kept], lesson.labels[kept], 1, weights)
    assert len(kept) == 150
    np.testing.assert_array_equal(half.predict(lesson.features), own.predict(lesson.features))


@dataclass(frozen=True)
class Told:
    """Remembers what it was shown, as an algorithm that predicts nothing."""

    name: str = "told"
    is_classifier: bool = True
    score_range: tuple[float, float] = (0.0, 1.0)
    suffix: str = ".txt"

    def fit(self, features, labels, seed, weights=None):
        return features, labels, weights

    def load(self, content):
        raise NotImplementedError


def shown(training, lesson, seed=1):
    return training.teach(Told(), lesson, seed).model


def test_class_balance_by_rows_shows_each_class_as_often():
    lesson = lesson_of(600)
    lesson = replace(lesson, labels=lesson.labels * (np.arange(600) % 4 == 0))
    _, labels, weights = shown(Training(class_balance="rows"), lesson)
    assert weights is None
    assert lesson.labels.mean() < 0.2
    assert labels.mean() == pytest.approx(0.5, abs=0.06)


def test_the_sequential_bootstrap_shows_rows_that_overlap_less_than_chance_would():
    lesson = Lesson(np.arange(200, dtype=np.float32)[:, None], np.zeros(200), np.arange(200), np.arange(200) + 20)
    drawn = shown(Training(sequential_bootstrap=True), lesson)[0][:, 0].astype(int)
    chance = np.sort(np.random.default_rng(1).integers(0, 200, 200))
    assert (np.diff(drawn) >= 0).all()
    told = [average_uniqueness(rows + 1, rows + 20).mean() for rows in (drawn, chance)]
    assert told[0] > told[1]


def test_weights_belong_to_the_rows_that_were_drawn():
    lesson = Lesson(np.arange(50, dtype=np.float32)[:, None], np.arange(50) % 2.0, np.arange(50), np.arange(50) + 1)
    features, _, weights = shown(Training(weights=(TimeDecay(0.0),), sequential_bootstrap=True), lesson)
    own = TimeDecay(0.0)(lesson.rows, lesson.labels, lesson.known_at)
    np.testing.assert_array_equal(weights, own[features[:, 0].astype(int)])


def test_the_newest_rows_are_kept_when_there_are_too_many(table, tmp_path):
    result = replace(WALK, training=Training(train_rows_max=50)).run(table, Linear(), tmp_path)
    for fold in result.folds:
        assert fold.rows == 50
        assert fold.first_row == np.flatnonzero(table.complete[: fold.last_row + 1])[-50]


EVERYTHING = Training(
    weights=(UniquenessWeights(), TimeDecay(0.2), ClassBalance()),
    sequential_bootstrap=True,
    train_rows_max=150,
    early_stopping=EarlyStopping(patience=3),
)


@pytest.mark.parametrize(
    "algorithm",
    [LightGbm(rounds=12, min_data_in_leaf=10), Mlp(epochs=6, layers=(4,)), Svc()],
    ids=lambda part: part.name,
)
def test_any_training_gives_the_same_bytes_again_and_by_other_processes(algorithm, table, tmp_path):
    walk = replace(WALK, training=EVERYTHING)
    first, second = (walk.run(table, algorithm, tmp_path / str(workers), workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(first.scores, second.scores)
    files = [
        sorted((path.name, path.read_bytes()) for path in (one.folder / "models").iterdir()) for one in (first, second)
    ]
    assert files[0] == files[1]


def test_other_trainings_are_kept_apart(table, tmp_path):
    trainings = [
        Training(),
        Training(weights=(UniquenessWeights(),)),
        Training(weights=(TimeDecay(0.5),)),
        Training(weights=(TimeDecay(0.4),)),
        Training(early_stopping=EarlyStopping()),
        Training(early_stopping=EarlyStopping(patience=9)),
    ]
    folders = {replace(WALK, training=training).run(table, Linear(), tmp_path).folder for training in trainings}
    assert len(folders) == len(trainings)


@pytest.mark.parametrize("training", [EVERYTHING, Training(reuse_bins=True)])
def test_the_latest_model_is_taught_as_in_the_walk_forward(training, table, tmp_path):
    walk = replace(WALK, training=training)
    table = replace(table, features=np.clip(table.features, -1.5, 1.5))
    result = walk.run(table, LightGbm(rounds=8, min_data_in_leaf=10), tmp_path)
    last = result.folds[-1]
    cut = replace(
        table,
        features=table.features[: last.block.fit_bar + 1],
        label=type(table.label).after(table.label.values[: last.block.fit_bar + 1], 4),
        open_time=table.open_time[: last.block.fit_bar + 1],
    )
    latest = fit_latest(walk, cut, LightGbm(rounds=8, min_data_in_leaf=10), tmp_path / "latest")
    assert latest.path.name == last.entry.file.removeprefix("models/")


@given(
    st.integers(1, 12),
    st.integers(1, 3),
    st.integers(0, 80),
    st.sampled_from(["none", "weights", "rows"]),
    st.floats(0.1, 0.5),
    st.integers(0, 3),
)
def test_no_row_is_shown_whose_label_was_not_known_before_the_rows_that_judge(horizon, nth, most, balance, share, seed):
    rows = np.arange(0, 120, nth)
    labels = np.random.default_rng(seed).integers(0, 2, len(rows)) + 0.0
    known_at = np.arange(140) + horizon
    lesson = Lesson(rows[:, None].astype(np.float32), labels, rows, known_at)
    kept = lesson.take(np.searchsorted(rows, Training(train_rows_max=most).newest(rows)))
    cut = EarlyStopping(tail_fraction=share).cut(kept)
    if cut is None:
        return
    learned, tail = cut
    features, _, weights = shown(Training(class_balance=balance), learned, seed)
    assert known_at[features[:, 0].astype(int)].max() < tail.rows[0]
    assert weights is None or weights.sum() == pytest.approx(len(features))
    np.testing.assert_array_equal(tail.rows, kept.rows[-len(tail) :])


def test_reused_bins_are_those_of_the_first_window_whoever_fits(table, tmp_path):
    algorithm = LightGbm(rounds=5, min_data_in_leaf=10, max_bin=15)
    table = replace(table, features=np.clip(table.features, -2, 2))
    exact, again, shared = (
        replace(WALK, training=Training(reuse_bins=how)).run(table, algorithm, tmp_path / f"{workers}", workers=workers)
        for how, workers in ((False, 1), (True, 1), (True, 2))
    )
    first, second = (fold.block for fold in exact.folds[:2])
    part = slice(first.test_start, first.test_stop)
    np.testing.assert_array_equal(again.scores[part], exact.scores[part])
    np.testing.assert_array_equal(again.scores, shared.scores)
    part = slice(second.test_start, second.test_stop)
    assert not np.array_equal(again.scores[part], exact.scores[part])
    rows = [block.training_rows(table.label.known_at) for block in (first, second)]
    rows = [part[table.complete[part]] for part in rows]
    bins = algorithm.bins(table.features[rows[0]], 0)
    own = algorithm.fit_binned(table.features[rows[1]], table.label.values[rows[1]], 0, None, bins)
    np.testing.assert_array_equal(again.scores[part], own.predict(table.features[part]))


def test_reused_bins_are_refused_for_a_feature_that_drifts_away(table, tmp_path):
    features = table.features.copy()
    features[:, 4] += np.linspace(0, 20, len(features), dtype=np.float32)
    walk = replace(WALK, training=Training(reuse_bins=True))
    with pytest.raises(ModelError, match="of 'e' lie outside the range it had in the first training window"):
        walk.run(replace(table, features=features), LightGbm(rounds=2), tmp_path)
    assert walk.run(replace(table, features=features), Linear(), tmp_path).fitted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_balance": "even"}, 'class_balance must be "none"'),
        ({"class_balance": "rows", "sequential_bootstrap": True}, "must be false where"),
        ({"train_rows_max": -1}, "train_rows_max must be at least 0"),
    ],
)
def test_a_training_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Training(**arguments)


@pytest.mark.parametrize("algorithm", [Logistic(), Svc(), LightGbm(rounds=3, min_data_in_leaf=5)])
def test_a_refit_whose_rows_of_one_class_all_weigh_nothing_leaves_the_earlier_model(algorithm, make_table, tmp_path):
    table = make_table(600)
    values = np.where(np.arange(600) < 260, table.label.values, 0.0)  # ones in the first window, then never again
    table = replace(table, label=LabelColumn.after(values, 4))
    for number, early in enumerate((None, EarlyStopping())):
        training = Training(weights=(TimeDecay(-0.6),), early_stopping=early)
        result = replace(WALK, training=training).run(table, algorithm, tmp_path / str(number))
        lost = [fold.note for fold in result.folds if fold.note.startswith("no row of class 1 is left")]
        assert lost
        assert result.folds[0].entry.promoted
        assert np.isfinite(result.scores[result.folds[0].block.test_start :]).all()


def test_early_stopping_that_would_lose_a_class_is_left_out_and_says_so():
    lesson = lesson_of(200)
    labels = np.isin(np.arange(200), np.r_[0:30, 160:170]) + 0.0  # in the old half and in the tail
    lesson = replace(lesson, labels=labels)
    training = Training(weights=(TimeDecay(-0.5),), early_stopping=EarlyStopping())
    told = training.teach(LightGbm(rounds=3, min_data_in_leaf=5), lesson, 1)
    assert told.steps is None
    assert "trained to the last step" in told.note


def test_an_own_algorithm_is_kept_apart_when_its_code_changes(tmp_path):
    file = tmp_path / "mine.py"

    def settings(body):
        file.write_text(f"from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Mine:\n    {body}\n")
        module = import_file(file, "here")
        return settings_of(module.Mine())

    first, same, other = settings("c: int = 1"), settings("c: int = 1"), settings("c: int = 1\n    # another fit")
    assert first == same
    assert {key for key in first if first[key] != other[key]} == {"code"}
    assert "code" not in settings_of(Logistic())
