"""Cross-validation from a config: what is written, what is said, and that nobody trades it."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.backtest.run import Backtest
from itb.config.columns import columns
from itb.errors import ConfigError, ModelError
from itb.mlmodels.cpcv import CombinatorialPurged
from itb.mlmodels.crossfit import cross_scores
from itb.mlmodels.kfold import PurgedKFold
from itb.mlmodels.linear import Logistic
from itb.runs.evaluate import evaluate
from itb.runs.looks import look_note
from itb.runs.market import load_bars
from itb.runs.score_files import read_score_file
from itb.runs.training_tables import training_tables
from itb.strategies.ml_threshold import MLThreshold

COLUMN = "up_6_0bps_logistic"
HOUR = 3_600_000


@pytest.fixture
def written(tmp_path):
    return tmp_path / "runs" / "evaluate" / "BTC_USDT-1h.parquet"


def own(workspace, cut):
    place = workspace()
    (table,) = training_tables(place.config, load_bars(place, "BTC/USDT"), columns(place.config))
    return table, cross_scores(table, Logistic(), cut(table.first_complete), min_train_rows=50)


def test_k_fold_scores_every_bar_once_and_is_graded(workspace, written):
    said = evaluate(workspace())
    table, expected = own(workspace, lambda first: PurgedKFold(first_bar=first))
    found = pq.read_table(written)
    np.testing.assert_array_equal(found[COLUMN].to_numpy(), expected.scores[0])
    assert np.isfinite(expected.scores[0][table.first_complete :]).all()
    (told,) = said.data["evaluated"]
    assert told["is_retrospective"] is True
    assert told["scores"][0]["paths"][0]["auc"] == expected.qualities()[0].auc
    assert any("retrospective" in line for line in said.lines)


def test_cpcv_writes_a_column_for_each_path(workspace, written):
    said = evaluate(workspace("evaluation.split=cpcv", "evaluation.folds=4", "evaluation.embargo_bars=5"))
    cut = lambda first: CombinatorialPurged(folds=4, test_folds=2, embargo_bars=5, first_bar=first)  # noqa: E731
    _, expected = own(workspace, cut)
    found = pq.read_table(written)
    assert [name for name in found.column_names if "path" in name and "in_sample" not in name] == [
        f"{COLUMN}_path{path}" for path in range(3)
    ]
    for path in range(3):
        np.testing.assert_array_equal(found[f"{COLUMN}_path{path}"].to_numpy(), expected.scores[path])
    assert said.table is not None
    assert len(said.table.rows) == 3
    assert "on average over 3 paths" in said.lines[0]


def test_a_backtest_refuses_what_was_evaluated(workspace, written):
    evaluate(workspace())
    bars = load_bars(workspace(), "BTC/USDT")
    with pytest.raises(ModelError, match="retrospective scores"):
        Backtest(MLThreshold).run(bars, read_score_file(written))


def test_a_split_file_that_looks_forward_only_is_not_retrospective(workspace, written, tmp_path):
    bars = load_bars(workspace(), "BTC/USDT")
    start = np.datetime64(int(bars.open_time[0]), "ms")
    lines = ["set_type\tstart\tend"]
    for name, first, last in (("training", 0, 399), ("test", 400, 599)):
        times = [f"{start + np.timedelta64(row * HOUR, 'ms')}+00:00".replace("T", " ") for row in (first, last)]
        lines.append("\t".join([name, *times]))
    (tmp_path / "sets.csv").write_text("\n".join(lines) + "\n")
    said = evaluate(workspace("evaluation.split=file", "evaluation.file=sets.csv"))
    (told,) = said.data["evaluated"]
    scores = pq.read_table(written)[COLUMN].to_numpy()
    assert told["is_retrospective"] is False
    assert np.flatnonzero(np.isfinite(scores)).tolist() == list(range(400, 600))
    assert not hasattr(read_score_file(written)[COLUMN], "is_retrospective")


def test_looks_are_entered_and_a_missing_file_is_named(workspace):
    first, second = (evaluate(workspace()).data["evaluated"][0]["notes"] for _ in range(2))
    assert (look_note(1)[0] in first, look_note(2)[0] in second) == (True, True)
    with pytest.raises(ConfigError, match=r"evaluation\.file: is not set"):
        evaluate(workspace("evaluation.split=file"))
    with pytest.raises(ConfigError, match=r"evaluation.*test_folds must be from 1 to 1"):
        evaluate(workspace("evaluation.split=cpcv", "evaluation.folds=2"))


def test_it_is_said_that_pooled_training_is_not_evaluated(workspace):
    alone, pooled = (
        evaluate(workspace(f"training.pooled={told}", "data.symbols=['BTC/USDT', 'ETH/USDT']"))
        for told in ("false", "true")
    )
    assert [sum("training.pooled is not" in line for line in said.lines) for said in (alone, pooled)] == [0, 2]
    assert alone.data["evaluated"][0]["scores"] == pooled.data["evaluated"][0]["scores"]
