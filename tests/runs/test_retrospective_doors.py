"""Scores of models that knew the future are shut out by every door: files, stages, searches, backtests."""

from __future__ import annotations

import numpy as np
import pytest

from itb.engine.venue import Venue
from itb.errors import BarsError, ModelError
from itb.mlmodels.retrospective import RetrospectiveScores
from itb.optimize.candidate import BacktestCandidate
from itb.runs.evaluate import evaluate
from itb.runs.market import load_bars
from itb.runs.model import score_columns
from itb.runs.predict import Asked, predict
from itb.runs.scored import ScoredMarket
from itb.runs.signal_files import write_signals
from itb.runs.simulate import simulate
from itb.runs.steps import markets, write_features
from itb.runs.train import train
from itb.strategies.ml_threshold import MLThreshold

COLUMN = "up_6_0bps_logistic"
RULE = (
    f"signals=[{{kind='threshold_rule', columns='{COLUMN}', names=['buy', 'sell'], "
    "buy_signal_threshold=0.5, sell_signal_threshold=0.49}]"
)
REFUSED = r"holds retrospective scores \(.*\), of models that had learned from later bars; .* Take those of"


def kfold(workspace, path):
    evaluate(workspace(), path)


def cpcv(workspace, path):
    evaluate(workspace("evaluation.split=cpcv", "evaluation.folds=4"), path)


def in_sample(workspace, path):
    train(workspace("data.to=2023-01-19"))
    predict(workspace(), (), Asked(path, in_sample=True))


@pytest.fixture(params=[kfold, cpcv, in_sample], ids=lambda made: made.__name__)
def marked(request, workspace, tmp_path):
    """A CSV file and a Parquet file of scores that knew the future."""
    found = tmp_path / "marked.csv", tmp_path / "marked.parquet"
    for path in found:
        request.param(workspace, path)
    return found


def test_no_command_reads_a_file_of_retrospective_scores(workspace, marked):
    for path in marked:
        source = f"sources=[{{name='mine', kind='table', file='{path.name}', time='open', timeframe='1h'}}]"
        for read in (
            lambda path=path: simulate(workspace(RULE), scores=path),
            lambda path=path: simulate(workspace(RULE), bars=path),
            lambda path=path: write_signals(workspace(RULE), path),
            lambda source=source: write_features(workspace(source)),
        ):
            with pytest.raises(BarsError, match=REFUSED):
                read()


def test_scores_out_of_sample_are_read(workspace, tmp_path):
    train(workspace("data.to=2023-01-19"))
    predict(workspace(), (), Asked(tmp_path / "honest.csv"))
    assert simulate(workspace(RULE), scores=tmp_path / "honest.csv").data["simulate"][0]["trials"] == 1


def test_no_stage_and_no_search_takes_a_retrospective_score(workspace):
    place = workspace()
    ((_, market),) = markets(place, "test")
    bars = load_bars(place, "BTC/USDT")
    source = RetrospectiveScores(COLUMN, 0.0, 1.0, bars.open_time, np.full(len(bars), 0.5))
    honest = score_columns(place, market)
    with pytest.raises(ModelError, match="cannot be used for stages, signals, searches or strategies"):
        honest.with_scores({COLUMN: source})
    with pytest.raises(ModelError, match="cannot be used for stages, signals, searches or strategies"):
        ScoredMarket(market, (), {COLUMN: source})
    with pytest.raises(ModelError, match="cannot be used for a search"):
        BacktestCandidate(MLThreshold, {}, bars, {COLUMN: source}, 0, Venue(), 1000.0)
