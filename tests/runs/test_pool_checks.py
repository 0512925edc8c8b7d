"""`itb check` on pooled training: it holds, and what coins should not have known is caught."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from itb.config import load_config
from itb.config.columns import columns
from itb.datafeeds.synthetic import SyntheticMarket
from itb.mlmodels import fold
from itb.mlmodels.algorithm import complete_rows
from itb.mlmodels.coin_scales import CoinScales
from itb.mlmodels.pooled import Pool
from itb.runs.law_checks import BROKEN, HOLDS, UNCHECKED
from itb.runs.laws import check
from itb.runs.model import walk_forward
from itb.runs.pool_checks import check_pool
from itb.runs.workspace import Workspace

SMALL = (
    "synthetic.bars=800",
    "data.symbols=['BTC/USDT', 'ETH/USDT']",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "model.algorithm=logistic",
    "training.pooled=true",
    "walkforward={train=200, refit_every=100, min_train_rows=50, workers=1}",
)


@pytest.fixture
def found(tmp_path):
    """Check the pool of two coins, the second listed late, with some settings on top."""

    def run(*settings, bars=500):
        config = load_config(overrides=[*SMALL, *settings], folder=tmp_path, environ={})
        one, other = SyntheticMarket(symbols=config.data.symbols, bars=bars, seed=7).bars().values()
        coins = (one, other.slice(bars // 2, None))
        (finding,) = check_pool(config, coins, columns(config), walk_forward(config))
        return finding

    return run


@pytest.mark.parametrize("scaling", ["none", "standard", "robust"])
def test_a_pool_keeps_the_law_however_it_is_scaled(found, scaling):
    told = found(f"training.coin_scaling={scaling}")
    assert (told.law, told.subject, told.verdict) == ("no leak", "up_logistic, pooled", HOLDS)


def test_scales_that_know_the_future_are_caught(found, monkeypatch):
    def lesson(job, data, rows):
        every = np.flatnonzero(complete_rows(data.features))
        scales = CoinScales.fit(data.features[every], job.places(every), job.coins, job.training.coin_scaling)
        own = data.lesson(rows)
        return dataclasses.replace(own, features=job.read(own.features, rows, scales)), scales

    monkeypatch.setattr(fold, "_lesson", lesson)
    assert found("training.coin_scaling=standard").verdict == BROKEN


def test_labels_that_count_as_known_too_early_are_caught(found, monkeypatch):
    honest = Pool.table.func

    def table(pool):
        whole = honest(pool)
        known = whole.label.known_at
        early = dataclasses.replace(whole.label, known_at=np.where(known >= 0, np.maximum(known - 8, 0), known))
        return dataclasses.replace(whole, label=early)

    monkeypatch.setattr(Pool.table, "func", table)
    assert found().verdict == BROKEN


def test_too_few_bars_are_said(found):
    told = found(bars=150)
    assert told.verdict == UNCHECKED
    assert "150 bars of 2 coins are too few" in told.evidence


def test_check_lists_what_the_coins_learn_together(tmp_path):
    config = load_config(overrides=[*SMALL, "synthetic.bars=650"], folder=tmp_path, environ={})
    told = [one for one in check(Workspace(config)).data["checks"] if one["subject"] == "up_logistic, pooled"]
    assert [(one["law"], one["verdict"]) for one in told] == [("no leak", HOLDS)]
