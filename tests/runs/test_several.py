"""Several score columns in one run: features once, a strategy that reads one of them, a report of all."""

from __future__ import annotations

import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.errors import ConfigError
from itb.indicators.feature_set import FeatureSet
from itb.indicators.score import ArrayScores
from itb.runs import model, stages
from itb.runs.backtest import backtest
from itb.runs.history import reproduce
from itb.runs.laws import check
from itb.runs.project import check_config
from itb.runs.stages import Stage
from itb.runs.steps import walk_forward, write_labels
from itb.runs.train import train

COLUMNS = ["rise_logistic", "rise_linear", "move_linear"]
READS = "strategy.score='rise_logistic'"


@pytest.fixture
def staged(monkeypatch):
    """A stage that adds the mean of two columns."""

    def declared(_config, ranges):
        return {**ranges, "mean": (0.0, 0.9)}

    def run(_workspace, scored):
        both = np.mean([scored.scores[name].batch() for name in ("rise_logistic", "rise_linear")], axis=0)
        times = scored.market.bars.open_time
        mean = ArrayScores("mean", times, np.clip(both, 0, 0.9), 0.0, 0.9)
        return scored.with_scores({"mean": mean}, "The mean of two was taken.")

    for module in (stages, model):
        monkeypatch.setattr(module, "STAGES", (Stage("mean", declared, run),))


def test_all_columns_are_written_and_graded_each_by_its_label(several, tmp_path):
    place = several(READS)
    said = walk_forward(place)
    told = said.data["walkforward"]
    table = pq.read_table(tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet")
    assert table.column_names == ["timestamp", *COLUMNS]
    assert [one["column"] for one in told] == COLUMNS
    assert [min(one["pooled"]) for one in told] == ["auc", "base_mae", "base_mae"]
    assert [one["pooled"]["rows"] for one in told] == [600 - 303 - 6, 600 - 303 - 6, 600 - 303 - 4]
    assert [row[0] for row in said.table.rows[::3]] == [f"BTC/USDT {name}" for name in COLUMNS]
    assert sum(COLUMNS[0] in line for line in said.lines if ": AUC" in line) == 1


def test_a_column_is_the_same_whether_alone_or_among_others(several, workspace, tmp_path):
    walk_forward(several(READS))
    among = pq.read_table(tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet")["rise_logistic"].to_numpy()
    walk_forward(workspace("label.alias=rise"))
    alone = pq.read_table(tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet")["rise_logistic"].to_numpy()
    np.testing.assert_array_equal(among, alone)


def test_each_column_is_a_trial_in_the_register(several):
    place = several(READS)
    said = walk_forward(place)
    (look,) = place.register.looks()
    assert look.trials == 3
    assert {"rise_logistic.auc", "move_linear.ic"} <= set(look.metrics)
    assert "Look number 3" in " ".join(said.lines)
    assert "Look number 6" in " ".join(walk_forward(several(READS)).lines)


def test_features_are_computed_once_for_all_columns(several, monkeypatch):
    counted = []
    compute = FeatureSet.compute
    monkeypatch.setattr(FeatureSet, "compute", lambda self, bars: counted.append(1) or compute(self, bars))
    walk_forward(several(READS))
    train(several(READS))
    assert len(counted) == 2


def test_progress_says_which_column_is_trained(several):
    heard = []
    walk_forward(several(READS, progress=lambda done, total, what: heard.append(what)))
    assert {f"training {name}" for name in COLUMNS} <= set(heard)


def test_a_model_of_each_column_is_trained(several):
    told = train(several(READS)).data["models"]
    assert [one["column"] for one in told] == COLUMNS
    assert len({one["file"] for one in told}) == 3


def test_all_labels_go_to_one_file_each_with_its_known_at(several, tmp_path):
    said = write_labels(several(READS))
    table = pq.read_table(tmp_path / "runs" / "labels" / "BTC_USDT-1h.parquet")
    assert table.column_names == ["timestamp", "rise", "rise_known_at", "move", "move_known_at"]
    assert [table[name].null_count for name in table.column_names] == [0, 6, 6, 4, 4]
    assert [one["label"] for one in said.data["labels"][0]["labels"]] == ["rise", "move"]


def test_a_strategy_is_given_all_columns_and_trades_by_the_one_it_names(several, workspace):
    (among,) = backtest(several(READS))
    assert list(among.outcome.scores) == COLUMNS
    assert among.capsule.table("scores").column_names == ["timestamp", *COLUMNS]
    (alone,) = backtest(workspace("label.alias=rise"))
    assert among.outcome.result.fills == alone.outcome.result.fills
    assert among.outcome.result.fills


def test_the_report_shows_every_column(several):
    (done,) = backtest(several(READS))
    assert [row[0] for row in done.report.quality.rows] == COLUMNS
    assert [fold.column for fold in done.report.folds] == COLUMNS
    assert [curve.column for curve in done.report.calibrations] == ["rise_logistic"]
    assert [one["column"] for one in done.capsule.manifest["models"]] == COLUMNS
    page = done.capsule.report.read_text()
    assert set(re.findall(r"walk-forward block · (\w+)", page)) == set(COLUMNS)
    assert sum(note.text.startswith("rise_linear: IC ") for note in done.report.notes) == 1


def test_the_report_of_one_column_is_as_it_was(workspace):
    (done,) = backtest(workspace())
    assert done.report.quality is None
    assert [fold.column for fold in done.report.folds] == [""]
    assert "walk-forward block ·" not in done.capsule.report.read_text()


def test_a_run_of_several_columns_is_reproduced(several):
    place = several(READS)
    (done,) = backtest(place)
    assert reproduce(place, done.capsule.run_id).data["same"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), f"strategy.score: is empty, and there are 3 score columns; name one of {', '.join(COLUMNS)}"),
        (("strategy.score=rise_logstic",), 'strategy.score: unknown score column "rise_logstic"; did you mean'),
        ((READS, "strategy.buy_threshold=1.5"), "buy_threshold: must lie in the score's range [0, 1], was 1.5"),
    ],
)
@pytest.mark.parametrize("run", [backtest, walk_forward, check_config])
def test_the_strategys_column_is_checked_before_anything_is_trained(several, settings, expected, run):
    place = several(*settings)
    with pytest.raises(ConfigError) as caught:
        run(place)
    assert expected in str(caught.value)
    assert not place.cache.exists()


def test_thresholds_are_checked_against_the_column_that_is_read(several):
    place = several("strategy.score=move_linear", "strategy.buy_threshold=1.5", "strategy.sell_threshold=-1.5")
    assert check_config(place).data["columns"] == COLUMNS


def test_a_stage_adds_a_column_that_a_strategy_can_read(several, staged):
    with pytest.raises(ConfigError, match=r"must lie in the score's range \[0, 0\.9\], was 0\.95"):
        backtest(several("strategy.score=mean", "strategy.buy_threshold=0.95"))
    (done,) = backtest(several("strategy.score=mean"))
    assert list(done.outcome.scores) == [*COLUMNS, "mean"]
    assert "The mean of two was taken." in [note.text for note in done.report.notes]
    assert done.capsule.manifest["score_columns"] == [*COLUMNS, "mean"]


def test_the_laws_are_checked_on_every_column_and_every_symbol(several):
    said = check(several(READS, "synthetic.bars=900", 'data.symbols=["BTC/USDT", "ETH/USDT"]'))
    found = {(one["symbol"], one["law"], one["subject"]) for one in said.data["checks"]}
    for symbol in ("BTC/USDT", "ETH/USDT"):
        assert {(symbol, "reproducible", name) for name in COLUMNS} <= found
        assert {(symbol, "no leak", f"walk-forward of {name}") for name in ("rise", "move")} <= found
    assert len(said.lines) == 2
    assert said.table.columns[0] == "symbol"
