"""The live broker on paper against the backtest: the same decisions, orders and fills on every bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.strategies.ml_threshold import MLThreshold
from tests.live.host.paper_run import PaperRun, difference
from tests.live.host.test_parity import WARM, market, scores_of
from tests.live.rehearsal import BTC

VENUE = Venue(Costs(taker_fee_bps=5, slippage_bps=1), instrument=BTC)
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
    test = Backtest(MLThreshold, asked, venue=VENUE)
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    lived = PaperRun(journal_file, test, bars, scores, WARM).run()
    assert len(backtest.fills) > 10
    assert difference(backtest, lived) == ""


class KilledError(BaseException):
    """The program ends here, as by ``kill -9``."""


class Reaper:
    """Kills at the n-th fail point."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, point: str) -> None:
        self.left -= 1
        if not self.left:
            raise KilledError(point)


def lives_of(test: Backtest, bars: Bars, scores: Any, file: Path, seed: int) -> tuple[PaperRun, int]:
    """Kill a bot at fail points at random and start it again, until the bars are over."""
    random, lives = np.random.default_rng(seed), 0
    while True:
        lives += 1
        run = None
        try:
            run = PaperRun(file, test, bars, scores, WARM, history=60, reach=Reaper(int(random.integers(1, 200))))
            run.run()
        except KilledError:
            if run is not None:
                run.close()
        else:
            return run, lives


@pytest.mark.parametrize(("seed", "asked"), [(1, 5), (2, 3)])
def test_a_bot_that_is_killed_again_and_again_trades_as_one_that_was_not(
    seed: int, asked: int, journal_file: Path
) -> None:
    bars = market(200, seed)
    scores = scores_of(bars, seed=3)
    test = Backtest(MLThreshold, SETTINGS[asked], venue=VENUE)
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    run, lives = lives_of(test, bars, scores, journal_file, seed)
    assert lives > 5
    assert journal_fills(run) == [(f.open_time, f.qty, f.price, f.reason) for f in backtest.fills]
    closed = [trade for trade in backtest.trades if not trade.is_open]
    assert run.broker.getcash() == pytest.approx(backtest.cash[-1], rel=1e-12)
    assert [(t.entry_time, t.exit_time, t.exit_reason) for t in run.trades] == [
        (t.entry_time, t.exit_time, t.exit_reason) for t in closed
    ]


def journal_fills(run: PaperRun) -> list[tuple[int, float, float, str]]:
    """Give what the journal says was executed, oldest first."""
    orders = run.dealer.book.orders.values()
    fills = [(int(trade.trade_id), trade, order.intent) for order in orders for trade in order.fills]
    return [
        (trade.time, intent.sign * float(trade.qty), float(trade.price), intent.reason)
        for _, trade, intent in sorted(fills, key=lambda one: one[0])
    ]
