"""The models that a bot takes with it say what the walk-forward said."""

from __future__ import annotations

import numpy as np
import pytest

from itb.config import load_config
from itb.live.episodes import Episodes
from itb.live.scores.speaking import SpeakingColumn
from itb.runs.live_models import live_models
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.workspace import Workspace

POOLED = (
    "synthetic.bars=600",
    "data.symbols=['BTC/USDT', 'ETH/USDT']",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "model.algorithm=logistic",
    "training={pooled=true, coin_scaling='standard'}",
    "walkforward={train=300, refit_every=100, min_train_rows=50, workers=1}",
)


@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/USDT"])
def test_a_pool_scaled_coin_by_coin_speaks_live_as_in_the_batch(tmp_path, symbol):
    place = Workspace(load_config(overrides=POOLED, folder=tmp_path, environ={}))
    told = live_models(place, symbol, None, tmp_path / "bot")
    (walked,) = score_columns(place, load_market(place, symbol, run_id="1", command="walkforward")).walked
    column = SpeakingColumn(told.columns[0], told.features.names, Episodes(print))
    column.check()
    found = column.batch(walked.table.open_time, walked.table.features)
    np.testing.assert_array_equal(found, walked.scores)
    assert np.isfinite(found).sum() > 200
