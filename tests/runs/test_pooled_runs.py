"""Pooled training from the config: one model, every coin scored by it, capsules that can be run again."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.errors import ConfigError
from itb.indicators.feature_set import FeatureSet
from itb.runs.backtest import backtest
from itb.runs.history import reproduce
from itb.runs.predict import predict
from itb.runs.project import check_config
from itb.runs.steps import train, walk_forward

BOTH = ("training.pooled=true", 'data.symbols=["ETH/USDT", "BTC/USDT"]')


def test_both_coins_are_scored_by_one_timeline(workspace, tmp_path):
    btc, eth = reversed(walk_forward(workspace(*BOTH)).data["walkforward"])
    assert btc["timeline"] == eth["timeline"]
    assert btc["fingerprint"] == eth["fingerprint"]
    assert [fold["rows"] for fold in btc["folds"]] == [2 * 294] * 3
    scores = [pq.read_table(tmp_path / "runs" / "walkforward" / f"{coin}_USDT-1h.parquet") for coin in ("BTC", "ETH")]
    one, other = (table["up_6_0bps_logistic"].to_numpy() for table in scores)
    assert np.isfinite(one[303:]).all()
    assert not np.array_equal(one[303:], other[303:])
    (alone, _) = walk_forward(workspace(BOTH[1])).data["walkforward"]
    assert alone["fingerprint"] != eth["fingerprint"]


def test_features_of_each_coin_are_computed_once(workspace, monkeypatch):
    counted = []
    compute = FeatureSet.compute
    monkeypatch.setattr(FeatureSet, "compute", lambda self, bars: counted.append(bars.symbol) or compute(self, bars))
    walk_forward(workspace(*BOTH))
    assert counted == ["ETH/USDT", "BTC/USDT"]


def test_the_order_of_the_symbols_changes_no_score(workspace, tmp_path):
    path = tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet"
    found = []
    for symbols in ('data.symbols=["ETH/USDT", "BTC/USDT"]', 'data.symbols=["BTC/USDT", "ETH/USDT"]'):
        walk_forward(workspace(BOTH[0], symbols))
        found.append(pq.read_table(path)["up_6_0bps_logistic"].to_numpy())
    np.testing.assert_array_equal(*found)


def test_a_pooled_run_is_reproduced_and_says_which_bars_it_saw(workspace):
    place = workspace(*BOTH)
    eth, _ = backtest(place)
    assert "bars of BTC/USDT" in eth.capsule.manifest["inputs"]
    assert reproduce(place, eth.capsule.run_id).data["same"]


def test_one_model_is_trained_and_scores_new_bars_of_every_coin(workspace, tmp_path):
    (model,) = train(workspace(*BOTH, "data.to=2023-01-19")).data["models"]
    assert model["rows"] == 2 * 294
    said = predict(workspace(*BOTH)).data["predictions"]
    assert [one["symbol"] for one in said] == ["ETH/USDT", "BTC/USDT"]
    assert {one["models"]["up_6_0bps_logistic"][0] for one in said} == {str(tmp_path / model["file"])}


def test_stopping_by_trading_several_coins_at_once_is_refused(workspace):
    with pytest.raises(ConfigError, match=r"early_stopping: must be .* where pooled is set"):
        check_config(workspace(*BOTH, "training.early_stopping=trading"))
