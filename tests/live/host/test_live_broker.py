"""The live broker on paper against the backtest: the same decisions, orders and fills on every bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.market.costs import Costs
from itb.strategies.ml_threshold import MLThreshold
from tests.live.host.paper_run import PaperRun, difference, steps_from
from tests.live.host.test_parity import WARM, market, scores_of
from tests.live.rehearsal import BTC

SETTINGS: list[dict[str, Any]] = [
    {"buy_threshold": 0.9, "sell_threshold": 0.1},
    {"buy_threshold": 0.8, "sell_threshold": 0.3, "cooldown_bars": 3, "max_bars": 12},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "stop_loss": 0.002, "max_bars": 30},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "stop_loss": 0.002, "take_profit": 0.003, "max_bars": 30},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "take_profit": 0.003},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "take_profit": 0.003, "stop_loss": 0.004, "trailing_stop": 0.002},
    {"buy_threshold": 0.9, "sell_threshold": 0.02, "trailing_stop": 0.002, "sizing": "volatility_target"},
]


@pytest.mark.parametrize("asked", SETTINGS)
def test_paper_sends_the_same_orders_and_gets_the_same_fills_as_the_backtest(
    asked: dict[str, Any], journal_file: Path
) -> None:
    bars = market(500, 7)
    scores = scores_of(bars, seed=3)
    test = Backtest(MLThreshold, asked, venue=Venue(Costs(taker_fee_bps=5, slippage_bps=1), instrument=BTC))
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    lived = PaperRun(journal_file, test, bars, scores, WARM, steps_from(bars, WARM)).run()
    assert len(backtest.fills) > 10
    assert difference(backtest, lived) == ""
