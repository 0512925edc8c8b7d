"""FollowUpward's threshold matrix from the config: a grid over a class rule, against the matrix of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from itb.config import load_config
from itb.mlmodels.thresholds.class_rule import Probabilities
from itb.mlmodels.thresholds.trade_matrix import Assessment, ClassMatrix
from itb.runs.simulate import simulate
from itb.runs.workspace import Workspace

LINES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GRID = f"{{buy_signal_threshold={list(LINES)}, sell_signal_threshold={list(LINES)}}}"
SETTINGS = (
    "signals=[{kind='class_rule', columns=['t_hold', 't_buy', 't_sell'], names=['buy', 'sell']}]",
    f"simulate={{fill='close', topn_to_store=49, grid={GRID}}}",
    "costs.taker_fee_bps=0",
    "costs.slippage_bps=0",
)


def test_a_grid_over_the_class_rule_is_the_matrix_of_49_traders(tmp_path):
    rng = np.random.default_rng(4)
    hold, buy, sell = np.round(rng.dirichlet([0.5, 0.5, 0.5], 200), 2).T
    hold[-1], buy[-1], sell[-1] = 0, 0, 1  # the matrix sells what is left at the end; a grid counts what was sold
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 200)))
    times = pd.date_range("2024-01-01", periods=200, freq="h", tz="UTC")
    columns = {"timestamp": times, "close": close, "t_hold": hold, "t_buy": buy, "t_sell": sell}
    pd.DataFrame(columns).to_csv(tmp_path / "tape.csv", index=False)
    config = load_config(overrides=SETTINGS, folder=tmp_path, environ={})
    said = simulate(Workspace(config, clock=lambda: 1_767_312_000_000), bars=tmp_path / "tape.csv")
    trials = {
        (one["buy_signal_threshold"], one["sell_signal_threshold"]): one for one in said.data["simulate"][0]["best"]
    }
    matrix = ClassMatrix(LINES, Assessment(fee=0.0))(Probabilities(hold, buy, sell), close)
    assert len(trials) == 49
    for (at_least, or_sold), one in trials.items():
        gain, trades = matrix.at(at_least, or_sold)
        assert one["long_transactions"] == trades
        assert one["long_profit_percent"] == pytest.approx(100 * gain, abs=1e-9)
