"""Stored models speak about bars: which of them, about which, and what is refused."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as theirs

from itb.backtest.run import Backtest
from itb.errors import ConfigError, ModelError
from itb.mlmodels.prediction_metrics import prediction_metrics
from itb.mlmodels.speakers import find_speakers
from itb.runs.market import load_bars
from itb.runs.predict import Asked, predict
from itb.runs.score_files import read_score_file
from itb.runs.steps import walk_forward
from itb.runs.train import train
from itb.strategies.ml_threshold import MLThreshold

HOUR = 3_600_000
EARLIER = "data.to=2023-01-19"  # 432 of the 600 bars


def columns(path):
    table = pq.read_table(path)
    return {name: np.array(table[name].to_pylist(), dtype=object) for name in table.column_names}


def numbers(path, name="up_6_0bps_logistic"):
    return pq.read_table(path)[name].to_numpy()


@pytest.fixture
def written(tmp_path):
    return tmp_path / "runs" / "predict" / "BTC_USDT-1h.parquet"


def test_a_timeline_says_what_the_walk_forward_said(workspace, tmp_path, written):
    (walked,) = walk_forward(workspace()).data["walkforward"]
    predict(workspace(), [tmp_path / "runs" / walked["timeline"]])
    found = columns(written)
    assert list(found) == ["timestamp", "up_6_0bps_logistic", "up_6_0bps_logistic_model"]
    np.testing.assert_array_equal(numbers(written), numbers(tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet"))
    files = [fold["file"].removeprefix("models/") for fold in walked["folds"]]
    who = found["up_6_0bps_logistic_model"]
    assert set(who[:303]) == {None}
    assert [who[303], who[402], who[403], who[503]] == [files[0], files[0], files[1], files[2]]


def test_the_last_trained_model_speaks_after_what_it_learned_from(workspace, written):
    (model,) = train(workspace(EARLIER)).data["models"]
    said = predict(workspace())
    scores = numbers(written)
    assert np.isnan(scores[:432]).all()
    assert np.isfinite(scores[432:]).all()
    assert set(columns(written)["up_6_0bps_logistic_model"][432:]) == {model["file"].rpartition("/")[2]}
    assert "168 of 600 bars scored by 1 model from 2023-01-19 00:00 UTC on" in said.lines[0]


def test_the_refit_delay_is_waited_for(workspace, written):
    train(workspace(EARLIER))
    predict(workspace("walkforward.refit_delay_bars=5"))
    assert int(np.isfinite(numbers(written)).argmax()) == 436


def test_two_models_of_a_column_take_turns(workspace, tmp_path, written):
    (first,) = train(workspace(EARLIER)).data["models"]
    (second,) = train(workspace("data.to=2023-01-21")).data["models"]
    predict(workspace(), [tmp_path / second["file"], tmp_path / first["file"]])
    who = columns(written)["up_6_0bps_logistic_model"]
    assert [who[431], who[432], who[479], who[480]] == [
        None, *[first["file"].rpartition("/")[2]] * 2, second["file"].rpartition("/")[2]
    ]  # fmt: skip


def test_bars_that_a_model_learned_from_are_refused(workspace):
    train(workspace())
    with pytest.raises(ModelError, match=r"no bar comes after what the models learned from: .* say --in-sample"):
        predict(workspace())


def test_in_sample_scores_are_marked_and_no_backtest_takes_them(workspace, written):
    train(workspace(EARLIER))
    said = predict(workspace(), (), Asked(in_sample=True))
    found = columns(written)
    marks = found["up_6_0bps_logistic_in_sample"]
    assert np.isfinite(numbers(written)[3:]).all()
    assert (marks[3:432].all(), marks[432:].any()) == (True, False)
    assert any("in sample: the models had learned from" in line for line in said.lines)
    bars = load_bars(workspace(), "BTC/USDT")
    with pytest.raises(ModelError, match="retrospective scores"):
        Backtest(MLThreshold).run(bars, read_score_file(written))


def test_scores_out_of_sample_can_be_traded(workspace, written):
    train(workspace(EARLIER))
    predict(workspace())
    bars = load_bars(workspace(), "BTC/USDT")
    settings = {"buy_threshold": 0.5, "sell_threshold": 0.5 - 1e-9}
    assert Backtest(MLThreshold, settings).run(bars, read_score_file(written)).fills


def test_a_csv_file_is_marked_too(workspace, tmp_path):
    train(workspace(EARLIER))
    for asked, marked in ((Asked(tmp_path / "out.csv"), False), (Asked(tmp_path / "in.csv", in_sample=True), True)):
        predict(workspace(), (), asked)
        with asked.out.open() as handle:
            rows = list(csv.DictReader(handle))
        assert (rows[3]["up_6_0bps_logistic"] != "") is marked
        (source,) = read_score_file(asked.out).values()
        assert getattr(source, "is_retrospective", False) is marked


def test_only_new_bars_are_scored_and_the_file_is_as_if_all_were(workspace, written, monkeypatch):
    train(workspace(EARLIER))
    (first,) = predict(workspace("data.to=2023-01-22")).data["predictions"]
    assert (first["kept"], first["scored_now"]) == (0, 72)
    (grown,) = predict(workspace()).data["predictions"]
    assert (grown["kept"], grown["scored_now"]) == (504, 96)
    among = written.read_bytes()
    written.unlink()
    predict(workspace())
    assert written.read_bytes() == among
    (again,) = predict(workspace()).data["predictions"]
    assert (again["kept"], again["scored_now"]) == (600, 0)
    assert written.read_bytes() == among


def test_other_bars_or_another_model_score_everything_anew(workspace, tmp_path):
    train(workspace(EARLIER))
    predict(workspace())
    (other,) = predict(workspace("synthetic.information_coefficient=0.2")).data["predictions"]
    assert other["kept"] == 0
    (marked,) = predict(workspace("synthetic.information_coefficient=0.2"), (), Asked(in_sample=True)).data[
        "predictions"
    ]
    assert marked["kept"] == 0


def test_other_features_than_the_model_learned_from_are_refused(workspace):
    train(workspace(EARLIER))
    with pytest.raises(ModelError, match=r"feature 3 is .*, expected .* train again"):
        predict(workspace("features=[{family='series', inputs=['log_return'], lags=[0, 1, 9]}]"))


@pytest.mark.parametrize("name", ["nothing.json", "folder"])
def test_what_is_no_model_is_one_clear_error(workspace, tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match=name):
        predict(workspace(), [tmp_path / name])


def test_without_a_trained_model_the_next_step_is_told(workspace):
    with pytest.raises(ConfigError, match=r"no trained model in .*; run `itb train`"):
        predict(workspace())


def test_a_model_that_was_altered_is_refused(workspace, tmp_path):
    (model,) = train(workspace(EARLIER)).data["models"]
    path = tmp_path / model["file"]
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ModelError, match="altered"):
        predict(workspace())


def test_two_models_that_begin_together_are_refused(workspace, tmp_path):
    (model,) = train(workspace(EARLIER)).data["models"]
    folder = (tmp_path / model["file"]).parent
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(ModelError, match="two models would speak from 2023-01-19 00:00 UTC on"):
        find_speakers([folder, tmp_path / "copy"], HOUR)


def test_several_columns_and_symbols_are_scored_by_their_own_models(several, tmp_path):
    both = ("strategy.score=rise_linear", 'data.symbols=["BTC/USDT", "ETH/USDT"]')
    train(several(*both, EARLIER), tmp_path / "trained")
    said = predict(several(*both), [tmp_path / "trained"], Asked(tmp_path / "scores", metrics=True))
    assert [one["columns"] for one in said.data["predictions"]] == [["rise_logistic", "rise_linear", "move_linear"]] * 2
    one, other = (numbers(tmp_path / "scores" / f"{name}_USDT-1h.parquet", "rise_linear") for name in ("BTC", "ETH"))
    assert np.isfinite(one[432:]).all()
    assert not np.array_equal(one[432:], other[432:])
    assert len(said.table.rows) == 6


def test_metrics_are_written_told_and_entered_as_looks(workspace, tmp_path, written):
    train(workspace(EARLIER))
    place = workspace()
    said = predict(place, (), Asked(metrics=True))
    (graded,) = said.data["predictions"][0]["metrics"]
    kept = pq.read_table(written.with_name("BTC_USDT-1h-metrics.parquet")).to_pylist()
    assert kept[0]["column"] == graded["column"] == "up_6_0bps_logistic"
    assert kept[0]["auc"] == graded["auc"]
    bars = load_bars(place, "BTC/USDT")
    labels = (bars.close[438:] > bars.close[432:-6]).astype(float)
    assert graded["auc"] == pytest.approx(theirs.roc_auc_score(labels, numbers(written)[432:594]))
    (look,) = place.register.looks()
    assert (look.command, look.trials, look.from_ms) == ("predict", 1, int(bars.open_time[432]))
    assert len(said.table.rows) == 1


def test_a_column_that_the_config_does_not_know_is_not_graded(workspace):
    train(workspace(EARLIER))
    said = predict(workspace("label.alias=other"), (), Asked(metrics=True))
    assert said.data["predictions"][0]["metrics"] == []
    assert any("not graded, the config has no such column; it has other_logistic" in line for line in said.lines)


def test_figures_of_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    labels, scores = (rng.random(300) < 0.4).astype(float), rng.random(300).round(2)
    labels[:5], scores[-5:] = np.nan, np.nan
    found = prediction_metrics(labels, scores, is_classifier=True, horizon=3)
    y, s = labels[5:-5], scores[5:-5]
    expected = {
        "auc": theirs.roc_auc_score(y, s),
        "ap": theirs.average_precision_score(y, s),
        "f1": theirs.f1_score(y, s > 0.5),
        "precision": theirs.precision_score(y, s > 0.5),
        "recall": theirs.recall_score(y, s > 0.5),
        "brier": theirs.brier_score_loss(y, s),
        "rows": 290,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert np.isnan([found["mae"], found["mape"], found["r2"], found["ic"]]).all()


def test_stretches_of_equal_labels_count_once_between_the_first_score_and_the_last():
    rng = np.random.default_rng(4)
    labels, scores = np.repeat(rng.random(80) < 0.5, rng.integers(1, 9, 80)).astype(float), rng.random(500)
    labels, scores = labels[:300], scores[:300]
    labels[100:104], scores[:20], scores[150:160], scores[290:] = np.nan, np.nan, np.nan, np.nan
    stretches, before = [], None
    for label, score in zip(labels[20:290], scores[20:290], strict=True):
        if not np.isnan(label):
            if label != before:
                stretches.append([label, False])
            stretches[-1][1] |= bool(score > 0.5)
        before = label
    hits = [label for label, is_hit in stretches if is_hit]
    found = prediction_metrics(labels, scores, is_classifier=True, horizon=3)
    assert found["interval_precision"] == sum(hits) / len(hits)
    assert found["interval_recall"] == sum(hits) / sum(label for label, _ in stretches)
    signs = prediction_metrics(2 * labels - 1, scores - 0.5, is_classifier=False, horizon=3)
    assert (signs["interval_precision"], signs["interval_recall"]) == (
        found["interval_precision"],
        found["interval_recall"],
    )


def test_figures_of_numbers_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    labels = rng.normal(size=300)
    scores = 0.3 * labels + rng.normal(size=300)
    found = prediction_metrics(labels, scores, is_classifier=False, horizon=3)
    classes = labels > 0
    expected = {
        "mae": theirs.mean_absolute_error(labels, scores),
        "mape": theirs.mean_absolute_percentage_error(labels, scores),
        "r2": theirs.r2_score(labels, scores),
        "auc": theirs.roc_auc_score(classes, scores),
        "ap": theirs.average_precision_score(classes, scores),
        "f1": theirs.f1_score(classes, scores > 0),
        "precision": theirs.precision_score(classes, scores > 0),
        "recall": theirs.recall_score(classes, scores > 0),
        "ic": np.corrcoef(labels, scores)[0, 1],
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_scores_that_meet_no_label_have_no_figures():
    found = prediction_metrics(np.full(3, np.nan), np.ones(3), is_classifier=False, horizon=1)
    assert found.pop("rows") == 0
    assert np.isnan(list(found.values())).all()
