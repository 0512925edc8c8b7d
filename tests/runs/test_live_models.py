"""The models that a bot takes with it say what the walk-forward said."""

from __future__ import annotations

import numpy as np
import pytest

from itb.config import load_config
from itb.errors import ModelError
from itb.live.episodes import Episodes
from itb.live.scores.speaking import SpeakingColumn
from itb.runs.live import Launch
from itb.runs.live_models import live_models
from itb.runs.live_words import with_remedy
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.workspace import Workspace

SMALL = (
    "synthetic.bars=300",
    "features=[{family='series', inputs=['log_return'], lags=[0]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "model.algorithm=logistic",
    "walkforward={train=200, refit_every=50, min_train_rows=50, workers=1}",
)
POOLED = (
    "synthetic.bars=600",
    "data.symbols=['BTC/USDT', 'ETH/USDT']",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "model.algorithm=logistic",
    "training={pooled=true, coin_scaling='standard'}",
    "walkforward={train=300, refit_every=100, min_train_rows=50, workers=1}",
)


def test_models_that_cannot_be_read_name_the_command_that_trains_them_anew(tmp_path):
    (tmp_path / "my bot.toml").write_text("")
    config = load_config(tmp_path / "my bot.toml", SMALL, environ={})
    live_models(Workspace(config), "BTC/USDT", None, tmp_path / "models")
    lost = ModelError("up_logistic: cannot be read (No such file). Run `itb walkforward` first.")
    told = str(with_remedy(lost, config, Launch(is_paper=True), tmp_path))
    assert told == (
        f"up_logistic: cannot be read (No such file). To train this bot's models anew: rm -r {tmp_path}/models && "
        f"itb live --paper -c '{tmp_path}/my bot.toml'"
    )
    assert with_remedy(lost, config, Launch(is_paper=True), tmp_path / "other") is lost


def test_models_that_cannot_be_trained_name_the_command_that_says_why(tmp_path):
    (tmp_path / "itb.toml").write_text("")
    config = load_config(tmp_path / "itb.toml", [*SMALL, "walkforward.min_train_rows=250"], environ={})
    with pytest.raises(ModelError, match=rf"; `itb walkforward -c {tmp_path}/itb\.toml` says what each refit lacks"):
        live_models(Workspace(config), "BTC/USDT", None, tmp_path / "models")


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
