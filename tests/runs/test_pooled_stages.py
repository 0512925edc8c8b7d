"""Pooled training and the stages after it: each coin's scores pass through stages of the coin's own."""

from __future__ import annotations

import numpy as np
import pytest

from itb.config import load_config
from itb.mlmodels.stages.files import ScoreFiles
from itb.runs.backtest import backtest
from itb.runs.history import reproduce
from itb.runs.laws import check
from itb.runs.market import load_market
from itb.runs.model import score_columns, score_ranges
from itb.runs.refine import stages_folder
from itb.runs.workspace import Workspace

POOLED = (
    "synthetic.bars=600",
    "data.symbols=['ETH/USDT', 'BTC/USDT']",
    "training.pooled=true",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "walkforward={train=300, refit_every=100, min_train_rows=50, workers=1}",
    "models=[{algorithm='logistic'}, {algorithm='linear'}]",
    "abstain={dissimilarity=0.9, most_rows=100}",
    "calibration={method='beta', min_rows=50}",
    "conformal={method='adaptive', coverage=0.8, min_rows=30, window=100}",
    "stack={algorithm='logistic', train=100, refit_every=50, min_train_rows=50}",
    "thresholds={policy='mean_gap', move=0.001, p_value=1.0, horizon=3, refit_every=50}",
    "strategy={name='MLThreshold', score='up_stack'}",
)
SYMBOLS = ("ETH/USDT", "BTC/USDT")


@pytest.fixture
def pooled(tmp_path):
    """A workspace with two coins, one model for both, and every stage."""
    config = load_config(overrides=POOLED, folder=tmp_path, environ={})
    return Workspace(config, clock=lambda: 1_767_312_000_000)


def scored_coin(place, symbol):
    return score_columns(place, load_market(place, symbol, run_id="1", command="walkforward"))


def test_every_column_is_made_for_each_coin_and_no_coin_gets_the_others(pooled):
    found = {symbol: scored_coin(pooled, symbol) for symbol in SYMBOLS}
    for scored in found.values():
        assert list(scored.scores) == list(score_ranges(pooled.config))
        for source in scored.scores.values():
            values = source.batch()
            assert len(values) == len(scored.market.bars)
            assert np.isfinite(values).sum() > 50
    one, other = found.values()
    assert one.walked[0].folder == other.walked[0].folder
    for name in sorted(set(one.scores) - {"up_stack_buy", "up_stack_sell"}):  # flags may well agree
        assert not np.array_equal(one.scores[name].batch(), other.scores[name].batch(), equal_nan=True), name


def test_the_order_in_which_coins_are_asked_for_changes_no_score(pooled, tmp_path):
    first = scored_coin(pooled, "BTC/USDT")
    again = Workspace(load_config(overrides=POOLED, folder=tmp_path / "again", environ={}), clock=pooled.clock)
    scored_coin(again, "ETH/USDT")
    second = scored_coin(again, "BTC/USDT")
    for name, source in first.scores.items():
        np.testing.assert_array_equal(source.batch(), second.scores[name].batch())


def test_live_scores_of_each_coin_come_from_its_own_stages_bit_for_bit(pooled):
    for symbol in SYMBOLS:
        scored = scored_coin(pooled, symbol)
        for walked in scored.walked[:2]:
            files = ScoreFiles(walked.folder, stages_folder(pooled.config, scored.market, walked))
            times, features = walked.table.open_time, walked.table.features
            live = [files.score(int(time), features[row : row + 1])[0] for row, time in enumerate(times)]
            assert np.array(live).tobytes() == scored.scores[walked.column].batch().tobytes()


def test_a_backtest_of_both_is_reproduced_and_the_laws_hold(pooled):
    eth, btc = backtest(pooled)
    for run in (eth, btc):
        assert reproduce(pooled, run.capsule.run_id).data["same"]
    told = check(pooled)
    assert not told.found, told.lines
