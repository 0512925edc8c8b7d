import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.laws.parity import check_parity, difference
from itb.market.costs import Costs
from itb.strategies.base import Strategy
from itb.strategies.ml_threshold import MLThreshold


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=400).bars()["BTC/USDT"]


@pytest.fixture
def scores(bars):
    values = np.random.default_rng(0).random(len(bars))
    values[:50] = np.nan
    return {"up": ArrayScores("up", bars.open_time, values, 0.0, 1.0)}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"allow_short": True, "stop_loss": 0.01, "take_profit": 0.02},
        {"trailing_stop": 0.01, "max_bars": 9, "cooldown_bars": 5},
        {"sizing": "volatility_target", "volatility_window": 24},
    ],
)
def test_the_built_in_strategy_keeps_the_law(settings, bars, scores):
    found = check_parity(Backtest(MLThreshold, settings), bars, scores, int(bars.open_time[60]))
    assert found
    assert found.figures["fills"] > 10
    assert "of which sparse stepping visited" in found.evidence


class Sleepy(Strategy):
    """Says that it never acts, and acts."""

    def prepare_decisions(self, bars):
        self.bars = bars

    def next_decision(self, bar):
        return bar + 50

    def next(self):
        if len(self.data) % 7 == 0:
            self.send(0.01 if not self.position else -0.01, "sevens")


def test_a_strategy_that_sleeps_through_its_own_decisions_is_caught_with_the_cause(bars):
    found = check_parity(Backtest(Sleepy), bars)
    assert not found
    assert "plain stepping has a market order to buy 0.01 (sevens)" in found.evidence
    assert found.evidence.endswith("(cause: next_decision() called a bar idle on which next() acts)")


class Peeker(bt.Strategy):
    """Reads the next close while there is one."""

    def next(self):
        if len(self.data) < self.data.buflen() and self.data.close[1] > self.data.close[0]:
            if not self.position:
                self.buy(size=0.01)
        elif self.position:
            self.close()


class UnguardedPeeker(bt.Strategy):
    def next(self):
        if len(self.data) < 390 and self.data.close[1] > self.data.close[0] and not self.position:
            self.buy(size=0.01)


def test_a_peeking_strategy_is_caught_because_blind_stepping_has_nothing_to_peek_at(bars):
    found = check_parity(Backtest(Peeker), bars)
    assert not found
    assert "blind stepping has nothing more (cause: where later bars are loaded" in found.evidence


def test_a_strategy_that_fails_without_later_bars_is_caught(bars):
    found = check_parity(Backtest(UnguardedPeeker), bars)
    assert not found
    assert "with blind stepping it fails: UnguardedPeeker: IndexError" in found.evidence


def test_trading_starts_at_the_same_bar_for_indicators_that_refuse_to_work_in_bulk(bars):
    class Candles(Strategy):
        def __init__(self):
            super().__init__()
            self.candles = bt.indicators.HeikinAshi(self.data)

        def next(self):
            if not self.position and not self.is_waiting:
                self.send(0.01, f"bar {len(self.data)}")

    start = int(bars.open_time[100])
    assert check_parity(Backtest(Candles), bars, None, start)
    run = Backtest(Candles).run(bars, None, start)
    assert (run.stepped, run.why_not_sparse) == ("plain", "an indicator works bar by bar only")
    assert [order.bar for order in run.orders] == [100]


def test_the_first_difference_of_two_runs_is_named(bars, scores):
    names = ("one", "other")
    dear = Backtest(MLThreshold, venue=Venue(costs=Costs(slippage_bps=6.0))).run(bars, scores)
    cheap = Backtest(MLThreshold, venue=Venue(costs=Costs())).run(bars, scores)
    small = Backtest(MLThreshold, {"fraction": 0.5}).run(bars, scores)
    assert difference(cheap, cheap, names) == ""
    assert difference(cheap, small, names).startswith("decisions differ: entry 0, bar 50")
    assert "qty is" in difference(cheap, small, names)
    assert difference(dear, cheap, names).startswith("decisions differ: entry ")


def test_fills_that_differ_are_told_apart_from_decisions(bars):
    class Once(Strategy):
        def next(self):
            if len(self.data) == 5:
                self.send(0.01, "once")

    dear = Backtest(Once, venue=Venue(costs=Costs(slippage_bps=6.0))).run(bars)
    cheap = Backtest(Once, venue=Venue(costs=Costs())).run(bars)
    assert difference(dear, cheap, ("a", "b")).startswith(
        "decisions are the same, fills differ: entry 0, bar 5 (2023-01-01 05:00 UTC): price is"
    )
