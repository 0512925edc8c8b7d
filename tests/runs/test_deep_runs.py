"""Networks from the config: all symbols at once, scores that every later step reads like any other."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.config import load_config
from itb.errors import ModelError
from itb.mlmodels.labels import LabelColumn
from itb.runs.backtest import backtest
from itb.runs.explore import explore
from itb.runs.history import reproduce
from itb.runs.laws import check
from itb.runs.model import score_columns
from itb.runs.optimize import Asked, optimize
from itb.runs.steps import markets, walk_forward
from itb.runs.workspace import Workspace

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")

NETWORK = '{algorithm = "resnet1d", steps = 8, blocks = 1, filters = 4, epochs = 2, batch_rows = 64}'
DEEP = (
    'data.symbols=["ETH/USDT", "BTC/USDT"]',
    "synthetic.bars=600",
    'label={kind = "future_return", horizon = 6, alias = "ahead"}',
    'features=[{family = "series", inputs = ["log_return"], lags = [0, 1, 2]}]',
    "walkforward={train = 300, refit_every = 100, min_train_rows = 50}",
    'strategy={score = "ahead_resnet1d", buy_threshold = -0.5, sell_threshold = -0.6}',
)


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[..., Workspace]:
    def make(models: str = NETWORK, *more: str) -> Workspace:
        config = load_config(overrides=[*DEEP, f"models=[{models}]", *more], folder=tmp_path, environ={})
        return Workspace(config, clock=lambda: 1_767_312_000_000)

    return make


@needs_torch
def test_a_backtest_trades_what_the_network_said(workspace):
    eth, btc = backtest(workspace())
    for one in (eth.outcome, btc.outcome):
        assert list(one.scores) == ["ahead_resnet1d"]
        spoken = np.flatnonzero(np.isfinite(one.scores["ahead_resnet1d"].batch()))
        assert one.result.fills[0].open_time == one.market.bars.open_time[spoken[0] + 1]
    assert eth.outcome.walked[0].timeline == btc.outcome.walked[0].timeline


@needs_torch
def test_a_run_names_the_other_symbols_and_is_reproduced(workspace):
    place = workspace()
    eth, _ = backtest(place)
    assert "bars of BTC/USDT" in eth.capsule.manifest["inputs"]
    assert reproduce(place, eth.capsule.run_id).data["same"]


@needs_torch
def test_a_network_stands_beside_other_models(workspace, tmp_path):
    walk_forward(workspace(f'{{algorithm = "linear"}}, {NETWORK}'))
    scores = pq.read_table(tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet")
    assert scores.column_names == ["timestamp", "ahead_linear", "ahead_resnet1d"]
    assert all(np.isfinite(scores[name].to_numpy()).any() for name in scores.column_names[1:])


def test_without_torch_one_line_says_what_to_install(workspace, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("itb.mlmodels.deep.door.find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(ModelError, match=r'resnet1d needs the package torch, .* pip install "itb\[deep\]"'):
        walk_forward(workspace())


def test_torch_is_not_imported_before_a_network_is_asked_for():
    code = (
        "import sys, itb.cli, itb.config, itb.runs.backtest, itb.mlmodels.deep.walk; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_torch
def test_the_laws_are_checked_on_a_network(workspace):
    checks = check(workspace(NETWORK, "synthetic.bars=700")).data["checks"]
    own = {(one["law"], one["verdict"]) for one in checks if one["subject"] == "ahead_resnet1d"}
    assert own == {("no leak", "holds"), ("batch = step", "holds"), ("reproducible", "holds")}


@needs_torch
def test_the_report_shows_how_training_went(workspace):
    eth, _ = backtest(workspace())
    (curves,) = eth.report.curves
    assert curves.column == "ahead_resnet1d"
    assert [len(one) for one in curves.held] == [2] * len(eth.outcome.walked[0].folds)
    assert all(held[kept] == held.min() for held, kept in zip(curves.held, curves.kept, strict=True))
    page = eth.capsule.folder / "report.html"
    assert "Losses of ahead_resnet1d, epoch by epoch" in page.read_text()


@needs_torch
def test_exploring_a_network_weighs_its_inputs(workspace):
    said = explore(workspace())
    page = next(Path(one["file"]) for one in said.data["explore"])
    assert "how much each input moves the scores" in page.read_text()


@needs_torch
def test_a_search_trades_what_the_network_said(workspace):
    space = "search={trials = 3, trade_sides = 2, windows = 2, permuted_labels = 0}"
    varied = "search.space.strategy.buy_threshold=[-0.5, -0.4]"
    more = ("synthetic.bars=1200", 'data.symbols=["BTC/USDT"]', "strategy.max_bars=6")
    place = workspace(NETWORK, space, varied, *more)
    assert optimize(place, Asked()).data


@needs_torch
def test_labels_dealt_out_anew_reach_every_symbol(workspace):
    place = workspace()
    _, market = next(markets(place, "test"))
    plain = score_columns(place, market).scores["ahead_resnet1d"].batch()
    asked = []

    def zeroed(table):
        asked.append(len(table))
        known = table.label.known_at >= 0
        return dataclasses.replace(
            table, label=LabelColumn(np.where(known, np.arange(len(table)) % 2.0, np.nan), table.label.known_at)
        )

    other = score_columns(place, market, zeroed).scores["ahead_resnet1d"].batch()
    assert asked == [600, 600]
    assert not np.array_equal(other, plain, equal_nan=True)
    assert np.nanmax(np.abs(other)) > 10 * np.nanmax(np.abs(plain))  # halves, in place of returns
    np.testing.assert_array_equal(score_columns(place, market).scores["ahead_resnet1d"].batch(), plain)
