"""Pooled training from the config: one model, every coin scored by it, capsules that can be run again."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.config import parts
from itb.errors import ConfigError, ModelError
from itb.indicators.feature_set import FeatureSet
from itb.mlmodels.registry import load_model
from itb.runs.backtest import backtest
from itb.runs.history import reproduce
from itb.runs.market import load_market
from itb.runs.predict import predict
from itb.runs.project import check_config
from itb.runs.steps import walk_forward
from itb.runs.train import train

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


def test_coins_are_scaled_by_numbers_of_their_own_from_training_to_prediction(workspace, tmp_path):
    scaled = (*BOTH, "training.coin_scaling=robust")
    (model,) = train(workspace(*scaled, "data.to=2023-01-19")).data["models"]
    stored = load_model(tmp_path / model["file"])
    assert stored.manifest.coins == ("BTC/USDT", "ETH/USDT")
    assert np.isfinite(stored.scales.centre).all()
    assert not np.array_equal(stored.scales.size[0], stored.scales.size[1])
    predict(workspace(*scaled))
    for place, coin in enumerate(("BTC", "ETH")):
        told = pq.read_table(tmp_path / "runs" / "predict" / f"{coin}_USDT-1h.parquet")["up_6_0bps_logistic"].to_numpy()
        market = load_market(workspace(*scaled), f"{coin}/USDT", run_id="1", command="predict")
        features = parts.feature_set(workspace(*scaled).config, market.bars.columns).compute(market.bars)
        rows = np.flatnonzero(np.isfinite(told))
        own = ((features[rows] - stored.scales.centre[place]) / stored.scales.size[place]).astype(np.float32)
        np.testing.assert_array_equal(told[rows], stored.model.predict(own))
    strange = workspace('data.symbols=["SOL/USDT"]')
    with pytest.raises(ModelError, match="SOL/USDT: the model scales features coin by coin"):
        predict(strange, [tmp_path / model["file"]])


def test_a_pool_scaled_coin_by_coin_is_another_walk_forward_and_is_reproduced(workspace):
    plain, scaled = workspace(*BOTH), workspace(*BOTH, "training.coin_scaling=standard")
    prints = {walk_forward(place).data["walkforward"][0]["fingerprint"] for place in (plain, scaled)}
    assert len(prints) == 2
    eth, _ = backtest(scaled)
    assert reproduce(scaled, eth.capsule.run_id).data["same"]


def test_scaling_by_coin_is_refused_where_nothing_is_pooled(workspace):
    with pytest.raises(ConfigError, match=r'coin_scaling: must be "none" where pooled is not set, was "robust"'):
        check_config(workspace("training.coin_scaling=robust"))


def test_stopping_by_trading_several_coins_at_once_is_refused(workspace):
    with pytest.raises(ConfigError, match=r"early_stopping: must be .* where pooled is set"):
        check_config(workspace(*BOTH, "training.early_stopping=trading"))
