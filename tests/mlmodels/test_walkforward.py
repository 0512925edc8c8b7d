from dataclasses import dataclass, replace

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.algorithm import score_rows
from itb.mlmodels.boosting import LightGbm, LightGbmRegression
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.linear import Linear, Logistic
from itb.mlmodels.promotion import SkillGate, Verdict
from itb.mlmodels.quality import grade_result
from itb.mlmodels.timeline import ModelTimeline
from itb.mlmodels.walkforward import WalkForward

WALK = WalkForward(train_bars=200, refit_every=60, min_train_rows=50)
TREES = LightGbm(rounds=5, num_leaves=7, min_data_in_leaf=20)


def plain_loop(table, walk, algorithm):
    """Walk forward as one would write it on a napkin."""
    n, horizon, warmup = len(table), 4, 10
    scores = np.full(n, np.nan)
    for fit in range(warmup + walk.train_bars - 1, n, walk.refit_every):
        rows = []
        for t in range(max(0, fit - walk.train_bars + 1) if walk.mode == "sliding" else 0, fit + 1):
            known = t + horizon < n and t + horizon <= fit - walk.embargo_bars
            kept = (table.open_time[t] // table.timeframe.ms) % walk.every_nth_row == 0
            if known and kept and np.isfinite(table.features[t]).all():
                rows.append(t)
        model = algorithm.fit(table.features[rows], table.label.values[rows], 0)
        block = range(fit + walk.refit_delay_bars, min(n, fit + walk.refit_delay_bars + walk.refit_every))
        if block:
            scores[block.start : block.stop] = score_rows(model, table.features[block.start : block.stop])
    return scores


@pytest.mark.parametrize(
    "walk",
    [
        WALK,
        replace(WALK, mode="expanding"),
        replace(WALK, embargo_bars=7, refit_delay_bars=3),
        replace(WALK, every_nth_row=2, mode="expanding"),
        replace(WALK, refit_every=1000),
    ],
    ids=["sliding", "expanding", "embargo", "thinned", "once"],
)
@pytest.mark.parametrize("algorithm", [TREES, Linear()], ids=lambda part: part.name)
def test_scores_equal_those_of_a_plain_loop(walk, algorithm, table, tmp_path):
    result = walk.run(table, algorithm, tmp_path)
    np.testing.assert_array_equal(result.scores, plain_loop(table, walk, algorithm))


def test_the_first_score_comes_as_soon_as_the_window_is_complete(table, tmp_path):
    scores = WALK.run(table, Logistic(), tmp_path).scores
    assert np.flatnonzero(np.isfinite(scores))[0] == 210  # 10 bars of warm-up, 200 to learn from
    assert np.isfinite(scores[210:]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_changes_nothing(workers, table, tmp_path):
    alone = WALK.run(table, TREES, tmp_path / "alone")
    shared = WALK.run(table, TREES, tmp_path / "shared", workers=workers)
    np.testing.assert_array_equal(shared.scores, alone.scores)
    assert shared.timeline == alone.timeline
    assert not list(tmp_path.rglob("*.draft"))


def test_the_timeline_scores_each_bar_like_the_batch(table, tmp_path):
    result = WALK.run(table, TREES, tmp_path)
    timeline = ModelTimeline.load(result.folder / "timeline.json")
    assert timeline == result.timeline
    for row in (210, 269, 270, 271, 400, 599):
        model = timeline.model_at(int(table.open_time[row]), result.folder)
        assert model is not None
        assert model.scores(table.features[row : row + 1])[0] == result.scores[row]
    assert timeline.model_at(int(table.open_time[209]), result.folder) is None


def test_the_timeline_says_what_was_known_when(table, tmp_path):
    result = replace(WALK, refit_delay_bars=2, embargo_bars=3).run(table, Logistic(), tmp_path)
    hour = table.timeframe.ms
    first = result.timeline.entries[0]
    assert (first.trained_until, first.known_at, first.speaks_from) == (202 * hour, 209 * hour, 211 * hour)


def test_each_refit_remembers_the_rows_it_learned_from(table, tmp_path):
    found = WALK.run(table, Logistic(), tmp_path)
    usable = np.isfinite(table.features).all(axis=1)
    for fold in found.folds:
        rows = fold.block.training_rows(table.label.known_at)
        assert fold.learned_rows.tolist() == rows[usable[rows]].tolist()
        assert len(fold.learned_rows) == fold.rows


def test_a_second_run_fits_nothing_again(table, tmp_path):
    first = WALK.run(table, TREES, tmp_path)
    told = []
    second = WALK.run(table, TREES, tmp_path, progress=lambda *step: told.append(step))
    assert (first.fitted, second.fitted) == (7, 0)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert told == [(7, 7, "training up_lightgbm")]


@pytest.mark.parametrize("damage", ["missing", "torn", "model", "manifest"])
def test_only_damaged_refits_are_done_again(damage, table, tmp_path):
    first = WALK.run(table, Logistic(), tmp_path)
    kept = sorted((first.folder / "folds").iterdir())[2]
    manifest = first.folder / first.timeline.entries[2].file
    if damage == "missing":
        kept.unlink()
    elif damage == "torn":
        kept.write_bytes(kept.read_bytes()[:-20])
    elif damage == "model":
        for file in manifest.parent.glob("*.skops"):
            file.unlink()
    else:
        manifest.write_text("{}")
    second = WALK.run(table, Logistic(), tmp_path)
    assert second.fitted == (7 if damage == "model" else 1)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert first.timeline == second.timeline


def test_other_inputs_are_trained_in_another_folder_and_nothing_is_overwritten(table, tmp_path):
    first = WALK.run(table, Logistic(), tmp_path)
    before = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    features = table.features.copy()
    features[300, 0] += 1e-6
    others = [
        WALK.run(replace(table, features=features), Logistic(), tmp_path),
        WALK.run(table, Logistic(c=0.5), tmp_path),
        WALK.run(table, Logistic(), tmp_path, seed=1),
        replace(WALK, train_bars=201).run(table, Logistic(), tmp_path),
    ]
    assert len({first.folder, *(other.folder for other in others)}) == 5
    assert all(other.fitted for other in others)
    assert {path: path.read_bytes() for path in before} == before


def test_live_retraining_survives_a_repeated_backtest(table, tmp_path):
    result = WALK.run(table, Logistic(), tmp_path)
    last = result.timeline.entries[-1]
    later = replace(last, known_at=last.known_at + 10**9, speaks_from=last.speaks_from + 10**9)
    result.timeline.appended(later).save(result.folder / "timeline.json")
    WALK.run(table, Logistic(), tmp_path)
    assert ModelTimeline.load(result.folder / "timeline.json").entries[-1] == later


def one_sided(table, start, stop):
    values = np.array(table.label.values)
    values[start:stop] = 1.0
    return replace(table, label=LabelColumn(values, table.label.known_at))


def test_a_window_of_one_class_trains_nothing_and_the_earlier_model_goes_on(table, tmp_path):
    result = WALK.run(one_sided(table, 230, 600 - 4), Logistic(), tmp_path)
    entries = result.timeline.entries
    assert [entry.promoted for entry in entries] == [True, True, True, True, False, False, False]
    assert entries[4].reason == "all 196 labels are 1: nothing to tell apart"
    speaking = result.timeline.model_at(int(table.open_time[599]), result.folder)
    assert speaking is not None
    np.testing.assert_array_equal(result.scores[440:], speaking.scores(table.features[440:]))
    assert result.notes[0] == f"refit 4: not promoted, {entries[4].reason}"


def test_nobody_speaks_before_there_are_enough_rows(table, tmp_path):
    result = replace(WALK, mode="expanding", min_train_rows=250).run(table, Logistic(), tmp_path)
    assert result.timeline.entries[0].reason == ("only 195 rows with known label and all features, 250 are needed")
    assert np.isnan(result.scores[:270]).all()
    assert np.isfinite(result.scores[270:]).all()


@dataclass(frozen=True)
class Nobody:
    holdback_bars: int = 0

    def decide(self, evidence):
        return Verdict(promoted=False, reason=f"refused on {len(evidence.recent)} rows")


def test_a_refused_model_never_speaks(table, tmp_path):
    result = replace(WALK, promotion=Nobody()).run(table, Logistic(), tmp_path)
    assert np.isnan(result.scores).all()
    assert result.notes[0] == "refit 0: not promoted, refused on 199 rows"


def test_the_skill_gate_keeps_held_back_rows_out_of_training(table, tmp_path):
    gated = replace(WALK, promotion=SkillGate(bars=40))
    result = gated.run(table, Logistic(), tmp_path)
    assert all(fold.last_known <= fold.block.fit_bar - 40 for fold in result.folds)
    assert all("rows that neither learned from" in entry.reason for entry in result.timeline.entries[1:])
    plain = WALK.run(table, Logistic(), tmp_path)
    assert result.folds[0].rows == plain.folds[0].rows - 40


def test_a_gate_that_could_grade_nothing_is_refused(table, tmp_path):
    with pytest.raises(ValueError, match="holds back 4 bars, but a label of 'up' is known only 4 bars later"):
        replace(WALK, promotion=SkillGate(bars=4)).run(table, Logistic(), tmp_path)


def test_estimates_have_an_infinite_range_and_probabilities_do_not(table, tmp_path):
    estimates = WALK.run(table, LightGbmRegression(rounds=3, min_data_in_leaf=20), tmp_path).source
    chances = WALK.run(table, TREES, tmp_path).source
    assert (estimates.column, estimates.low, estimates.high) == ("up_lightgbm_regression", -np.inf, np.inf)
    assert (chances.column, chances.low, chances.high) == ("up_lightgbm", 0.0, 1.0)


def test_importance_is_a_share_over_all_models(table, tmp_path):
    importance = WALK.run(table, TREES, tmp_path).importance
    assert importance.sum() == pytest.approx(1)
    assert importance.argmax() == 0


def test_quality_is_graded_pooled_and_refit_by_refit(make_table, tmp_path):
    table = make_table(3000)
    result = replace(WALK, refit_every=400).run(table, Logistic(), tmp_path)
    quality = grade_result(result)
    assert len(quality.folds) == len(result.folds)
    assert sum(fold.rows for fold in quality.folds) == quality.pooled.rows == 3000 - 210 - 4
    assert quality.calibration is not None
    assert quality.calibration.counts.sum() == quality.pooled.rows
    assert "so much better than guessing that a leak" in quality.pooled.sentence


def test_too_few_bars_are_refused_with_a_way_out(make_table, tmp_path):
    with pytest.raises(
        ModelError, match="150 bars are too few: features warm up for 10, the first refit needs 200 more"
    ):
        WALK.run(make_table(150), Logistic(), tmp_path)


def test_a_feature_that_is_never_there_is_named(table, tmp_path):
    features = table.features.copy()
    features[:, 2] = np.nan
    with pytest.raises(ModelError, match="no bar has all 6 features: 'c' is a number on 0 % of 600 bars"):
        WALK.run(replace(table, features=features), Logistic(), tmp_path)


def test_a_label_that_is_never_known_is_named(table, tmp_path):
    unknown = LabelColumn.after(np.zeros(600), horizon=700)
    with pytest.raises(ModelError, match="label 'up' is unknown on all 600 bars"):
        WALK.run(replace(table, label=unknown), Logistic(), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "random"}, "mode must be"),
        ({"train_bars": 1}, "train_bars must be at least 2"),
        ({"refit_delay_bars": 0}, "refit_delay_bars must be at least 1, was 0"),
        ({"train_bars": 50, "embargo_bars": 50}, "train_bars must exceed embargo_bars"),
    ],
)
def test_wrong_settings_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        WalkForward(**settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((600, 6))}, "features must be a float32 matrix"),
        ({"features": np.zeros((599, 6), dtype=np.float32)}, "as long as each other"),
        ({"feature_names": ("a", "b")}, "6 columns of features have 2 names"),
        ({"feature_names": tuple("abcdea")}, "'a' is there twice"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(table, change, message):
    with pytest.raises(ValueError, match=message):
        replace(table, **change)
