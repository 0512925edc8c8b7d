from decimal import Decimal

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.probe import columns_read
from itb.backtest.run import Backtest, run_scenarios
from itb.engine.venue import Venue
from itb.errors import BarsError, StrategyError
from itb.indicators.score import MLScore
from itb.ledger.equity import replay
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.strategies.ml_threshold import MLThreshold


class BuyOnce(bt.Strategy):
    params = (("at", 5), ("size", 1.0))

    def next(self):
        if len(self.data) == self.p.at:
            self.buy(size=self.p.size)


class Raising(bt.Strategy):
    def next(self):
        raise KeyError("my own mistake")


class ReadingTwo(bt.Strategy):
    def __init__(self):
        self.one, self.two = MLScore(self.data, column="one"), MLScore(self.data, column="two")

    def next(self):
        pass


def test_any_backtrader_strategy_runs_and_gets_every_bar(by_hand):
    bars = by_hand.market(50, 1)
    result = Backtest(BuyOnce, {"at": 10}).run(bars)
    assert (result.stepped, result.visited) == ("dense", 50)
    assert [(fill.bar, fill.qty) for fill in result.fills] == [(10, 1.0)]


def test_orders_before_the_start_do_not_count(by_hand):
    bars = by_hand.market(50, 1)
    result = Backtest(BuyOnce, {"at": 10}).run(bars, start_ms=int(bars.open_time[20]))
    assert not result.fills


def test_a_start_after_the_last_bar_is_refused(by_hand):
    bars = by_hand.market(50, 1)
    with pytest.raises(BarsError, match="nothing to trade from"):
        Backtest(BuyOnce).run(bars, start_ms=int(bars.close_time[-1]))


def test_an_error_in_a_strategy_is_told_in_one_line(by_hand):
    with pytest.raises(StrategyError, match=r"Raising: KeyError: 'my own mistake' \(in next, test_run\.py line \d+\)"):
        Backtest(Raising).run(by_hand.market(50, 1))


class Misreading(bt.Strategy):
    def __init__(self):
        self.average = bt.indicators.SMA(self.data.close, period=self.p.nothing)

    def next(self):
        pass


def test_the_line_that_is_named_is_the_strategys_own(by_hand):
    with pytest.raises(StrategyError, match=r"Misreading: .* \(in __init__, test_run\.py line \d+\)"):
        Backtest(Misreading).run(by_hand.market(50, 1))


def test_equity_is_cash_and_position_at_every_bar(by_hand, as_source):
    bars = by_hand.market(400, 5)
    settings = {"buy_threshold": 0.6, "sell_threshold": 0.4, "stop_loss": 0.01, "allow_short": True}
    result = Backtest(MLThreshold, settings).run(bars, as_source(bars, by_hand.scores(400, 5)))
    assert len(result.fills) > 20
    np.testing.assert_allclose(result.equity, result.cash + result.position * bars.close, rtol=1e-12)
    exact = replay(result.fills, bars, 10_000.0)
    np.testing.assert_allclose(result.equity, exact.equity, rtol=1e-11)


def test_the_other_order_of_events_is_run_when_a_bar_leaves_it_open(by_hand, as_source):
    bars = by_hand.market(400, 6, vol=8e-3)
    settings = {"buy_threshold": 0.55, "sell_threshold": 0.1, "stop_loss": 0.008, "take_profit": 0.008}
    scores = as_source(bars, by_hand.scores(400, 6))
    scenarios = run_scenarios(
        Backtest(MLThreshold, settings, venue=Venue(costs=Costs(0, 0, slippage_bps=0))), bars, scores
    )
    assert scenarios.unsettled > 0
    assert scenarios.other is not None
    assert scenarios.headline.ambiguous[0].taken == "stop"
    assert scenarios.other.ambiguous[0].taken == "target"
    assert scenarios.other.end_value > scenarios.headline.end_value


def test_without_an_open_question_one_run_is_enough(by_hand, as_source):
    bars = by_hand.market(200, 7)
    scores = as_source(bars, by_hand.scores(200, 7))
    assert run_scenarios(Backtest(MLThreshold), bars, scores).other is None


def test_a_strategy_tells_which_scores_it_reads(by_hand):
    bars = by_hand.market(50, 1)
    ranges = {"one": (0.0, 1.0), "two": (0.0, 1.0), "three": (0.0, 1.0)}
    assert columns_read(ReadingTwo, {}, [bars], ranges) == {"one", "two"}
    assert columns_read(BuyOnce, {}, [bars], ranges) == frozenset()


def test_the_only_score_is_read_without_its_name(by_hand):
    assert columns_read(MLThreshold, {}, [by_hand.market(50, 1)], {"up": (0.0, 1.0)}) == {"up"}


def test_cash_must_be_money():
    with pytest.raises(ValueError, match="cash must be above 0, was 0"):
        Backtest(BuyOnce, cash=0)


class HalfInCoins(bt.Strategy):
    def next(self):
        self.order_target_percent(target=0.5)


def test_a_target_in_percent_buys_parts_of_a_coin(by_hand):
    bars = by_hand.market(50, 1)
    venue = Venue(instrument=Instrument("BTC/USDT", step=Decimal("0.001")), costs=Costs(0, 0, slippage_bps=0))
    result = Backtest(HalfInCoins, cash=100.0, venue=venue).run(bars)
    assert 0 < result.position[1] < 1
    assert result.position[1] == pytest.approx(50 / bars.close[0], abs=0.001)
