from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.judges import JUDGES, Loss, Rank, TradingResult
from itb.mlmodels.lesson import Lesson
from itb.mlmodels.perceptron import Mlp, MlpRegression
from itb.mlmodels.stopping import EarlyStopping, Stage
from itb.mlmodels.svm import Svc
from itb.mlmodels.training import Training
from itb.mlmodels.walkforward import WalkForward


def lesson_of(n=400, seed=0, signal=1.0, close=None):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    labels = (signal * features[:, 0] + rng.normal(0, 1, n) > 0) + 0.0
    return Lesson(features, labels, np.arange(n), np.arange(n) + 5, close)


@dataclass(frozen=True)
class Scripted:
    """Gives one score to all rows, step by step."""

    script: tuple[float, ...]
    is_classifier: bool = False

    @property
    def steps(self):
        return len(self.script)

    def with_steps(self, steps):
        return replace(self, script=self.script[:steps])

    def learn(self, features, labels, seed, weights, tail) -> Iterator[Stage]:
        for number, score in enumerate(self.script):
            yield Stage(number + 1, np.full(len(tail), score), lambda: None)  # type: ignore[arg-type, return-value]  # nobody asks for it

    def fit(self, features, labels, seed, weights=None):
        raise NotImplementedError


def slow_best(losses, patience):
    best = 0
    for number, loss in enumerate(losses):
        if loss < losses[best]:
            best = number
        if number - best >= patience:
            break
    return best + 1


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=30), st.integers(1, 8))
def test_the_earliest_of_the_best_steps_before_patience_runs_out_is_taken(script, patience):
    rows = np.arange(20)
    tail = Lesson(np.zeros((20, 1), dtype=np.float32), np.full(20, 0.0), rows, rows + 1)
    stage = EarlyStopping(patience=patience).best(Scripted(tuple(script)), tail, None, tail, 0)
    assert stage.steps == slow_best([score**2 for score in script], patience)


@dataclass(frozen=True)
class Nothing:
    """Holds every score for worth the same, as money does where no trade pays."""

    def __call__(self, scores, tail, *, is_classifier):
        return 1.0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=30), st.integers(1, 8))
def test_steps_that_are_worth_the_same_are_told_apart_by_the_loss(script, patience):
    rows = np.arange(20)
    tail = Lesson(np.zeros((20, 1), dtype=np.float32), np.full(20, 0.0), rows, rows + 1)
    stage = EarlyStopping(Nothing(), patience=patience).best(Scripted(tuple(script)), tail, None, tail, 0)
    assert stage.steps == slow_best([score**2 for score in script], patience)


@pytest.mark.parametrize("algorithm", [LightGbm(rounds=9), LightGbmRegression(rounds=9)], ids=lambda part: part.name)
def test_a_stage_of_trees_is_the_model_of_that_many_rounds(algorithm):
    lesson = lesson_of()
    weights = np.linspace(0.5, 1.5, 400)
    tail = lesson.features[300:]
    stages = list(algorithm.learn(lesson.features, lesson.labels, 3, weights, tail))
    assert [stage.steps for stage in stages] == list(range(1, 10))
    for stage in (stages[0], stages[4], stages[-1]):
        fitted = algorithm.with_steps(stage.steps).fit(lesson.features, lesson.labels, 3, weights)
        np.testing.assert_array_equal(stage.model().predict(tail), fitted.predict(tail))
        np.testing.assert_allclose(stage.scores, fitted.predict(tail), rtol=1e-12)


@pytest.mark.parametrize("algorithm", [Mlp(epochs=5), MlpRegression(epochs=5)], ids=lambda part: part.name)
def test_a_stage_of_a_network_stays_what_it_was_while_training_goes_on(algorithm):
    lesson = lesson_of()
    stages = list(algorithm.learn(lesson.features, lesson.labels, 3, None, lesson.features))
    assert len(stages) == 5
    assert len({stage.scores.tobytes() for stage in stages}) == 5
    for stage in stages:
        np.testing.assert_array_equal(stage.model().predict(lesson.features), stage.scores)


def test_passes_one_by_one_teach_like_passes_at_once():
    lesson = lesson_of(1000)
    algorithm = Mlp(epochs=20, step=0.01)
    *_, last = algorithm.learn(lesson.features, lesson.labels, 3, None, lesson.features)
    whole = algorithm.fit(lesson.features, lesson.labels, 3).predict(lesson.features)
    assert np.corrcoef(last.scores, whole)[0, 1] > 0.98


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.parametrize(
    "algorithm",
    [LightGbm(rounds=60, learning_rate=0.5, min_data_in_leaf=5), Mlp(epochs=60, step=0.05)],
    ids=["trees", "mlp"],
)
def test_training_stops_before_noise_is_learned_by_heart(algorithm, name):
    close = 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, 400)))
    lesson = lesson_of(signal=0.3, close=close)
    training = Training(early_stopping=EarlyStopping(JUDGES[name](), patience=8))
    taught = training.teach(algorithm, lesson, 1)
    assert taught.steps < 60
    fitted = algorithm.with_steps(taught.steps).fit(lesson.features, lesson.labels, 1)
    assert taught.model.to_bytes() == fitted.to_bytes()


def test_without_a_refit_the_newest_rows_are_never_learned():
    lesson = lesson_of()
    stopping = EarlyStopping(refit=False, patience=5)
    changed = lesson.labels.copy()
    changed[310:320] = 1 - changed[310:320]  # known after the tail begins at row 320
    algorithm = LightGbm(rounds=1)
    models = [
        Training(early_stopping=stopping).teach(algorithm, replace(lesson, labels=labels), 1).model
        for labels in (lesson.labels, np.where(np.arange(400) >= 315, changed, lesson.labels))
    ]
    assert models[0].to_bytes() == models[1].to_bytes()


def test_algorithms_without_steps_and_windows_without_a_tail_are_trained_in_full():
    few = lesson_of(6)
    taught = Training(early_stopping=EarlyStopping()).teach(Mlp(epochs=3), few, 1)
    assert taught.steps is None
    assert taught.note.startswith("nothing to stop early by (too few rows")
    assert EarlyStopping(TradingResult()).cut(lesson_of()) is None
    assert taught.model.to_bytes() == Mlp(epochs=3).fit(few.features, few.labels, 1).to_bytes()


def test_the_number_of_steps_is_in_the_manifest(table, tmp_path):
    from itb.mlmodels.registry import check_model

    walk = WalkForward(
        train_bars=200, refit_every=200, min_train_rows=50, training=Training(early_stopping=EarlyStopping(patience=2))
    )
    result = walk.run(table, LightGbm(rounds=40, learning_rate=0.5, min_data_in_leaf=10), tmp_path)
    for fold in result.folds:
        manifest, content = check_model(result.folder / fold.entry.file)
        assert manifest.settings["stopped_after_steps"] == content.count(b"Tree=") < 40


def tail_of(labels, close):
    rows = np.arange(len(labels))
    return Lesson(
        np.zeros((len(labels), 1), dtype=np.float32), np.array(labels, dtype=float), rows, rows + 1, np.array(close)
    )


def test_a_trading_result_is_what_the_best_thresholds_earn_after_fees():
    tail = tail_of([1, 0, 1, 0, 0], [100.0, 110.0, 100.0, 120.0, 110.0])
    good, bad = np.array([0.9, 0.1, 0.8, 0.2, 0.3]), np.array([0.1, 0.9, 0.2, 0.8, 0.3])
    earned = (110 * 0.99 - 100 * 1.01) / 101 + (120 * 0.99 - 100 * 1.01) / 101
    assert TradingResult(fee=0.01)(good, tail, is_classifier=True) == pytest.approx(earned)
    assert TradingResult(fee=0.01)(bad, tail, is_classifier=True) < 0
    assert TradingResult(fee=0.01)(1000 * good, tail, is_classifier=False) == pytest.approx(earned)


def test_a_trading_result_of_three_classes_is_followupwards_best_cell():
    tail = tail_of([1, 0, -1], [100.0, 105.0, 110.0])
    chances = np.array([[0.1, 0.8, 0.1], [0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])
    assert TradingResult(fee=0.0)(chances, tail, is_classifier=True) == pytest.approx(0.1)


def test_a_trading_result_without_closes_is_refused():
    tail = replace(tail_of([0, 1], [1, 1]), close=None)
    with pytest.raises(ValueError, match="needs the closes"):
        TradingResult()(np.zeros(2), tail, is_classifier=True)


def test_judges_of_several_classes():
    tail = tail_of([0, 1, -1, 1], [1, 1, 1, 1])
    chances = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.3, 0.5, 0.2]])
    assert Loss()(chances, tail, is_classifier=True) == pytest.approx(np.log([0.7, 0.8, 0.6, 0.5]).mean())
    assert Rank()(chances, tail, is_classifier=True) == 1


def test_the_sigmoid_of_a_machine_is_fitted_without_rows_whose_label_reaches_into_its_rows():
    lesson = lesson_of(40)
    labels = np.zeros(40)
    labels[29:] = np.arange(11) % 2  # below row 29 there is one class only
    for horizon, older in ((1, 30), (2, 29), (10, 21)):
        machine = Svc().fit_timed(lesson.features, labels, 1, None, np.arange(40) + horizon)
        said = "" if older == 30 else f"({older} older, 10 newest)"
        assert said in machine.note
        assert machine.note.startswith("too few rows to calibrate") or older == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tail_fraction": 0.0}, "tail_fraction must be"),
        ({"tail_fraction": 1.0}, "must be"),
        ({"patience": 0}, "patience must"),
    ],
)
def test_a_stopping_rule_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**arguments)


def test_steps_of_which_none_can_be_judged_are_all_taken():
    lesson = lesson_of()
    stopping = EarlyStopping(Rank(), patience=2)  # one score for all rows has no order
    told = stopping.best(Scripted((0.0,) * 9), lesson, None, lesson, 1)
    assert told.steps == 9
