"""Every way through the bars tells the strategy the same, bit for bit."""

import backtrader as bt
import numpy as np
import pytest

from itb.engine.broker import LeanBroker
from itb.engine.cerebro import Cerebro
from itb.engine.feed import BarsFeed
from itb.engine.lines import day_numbers

SEEDS_A_TEST = 25


def run(cerebro, broker, strategy, bars, seed, acts, values, set_up):
    cerebro.broker = broker
    set_up(cerebro.broker, seed)
    cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(strategy, acts=acts, values=values)
    return cerebro, cerebro.run()[0]


def told(cerebro, strategy):
    """Everything a strategy saw and was told, and what it ended with."""
    account = (cerebro.broker.getvalue(), cerebro.broker.getcash())
    return strategy.orders_seen, strategy.trades_seen, strategy.seen, account


@pytest.mark.parametrize("chunk", range(20))
def test_sparse_and_dense_stepping_equal_plain_backtrader(chunk, erratic):
    for seed in range(chunk * SEEDS_A_TEST, (chunk + 1) * SEEDS_A_TEST):
        bars = erratic.walk(400, seed)
        values = np.random.default_rng(seed).normal(size=len(bars))
        acts = erratic.random_acts(len(bars), seed)
        args = (bars, seed, acts, values, erratic.set_up_broker)
        stock = told(*run(bt.Cerebro(stdstats=False), bt.brokers.BackBroker(), erratic.Erratic, *args))
        sparse, strategy = run(Cerebro(), LeanBroker(), erratic.SparseErratic, *args)
        assert sparse.stepped == "sparse"
        assert told(sparse, strategy) == stock
        dense, strategy = run(Cerebro(), LeanBroker(), erratic.Erratic, *args)
        assert dense.stepped == "dense"
        assert told(dense, strategy) == stock


def test_most_bars_of_a_quiet_strategy_are_not_visited(erratic):
    bars = erratic.walk(5000, 1)
    acts = {100: 0.1, 4000: 0.2}
    args = (bars, 1, acts, np.zeros(len(bars)), erratic.set_up_broker)
    cerebro, _ = run(Cerebro(), LeanBroker(), erratic.SparseErratic, *args)
    assert cerebro.visited < 100


def test_a_strategy_that_does_not_say_where_it_acts_gets_every_bar(erratic):
    bars = erratic.walk(300, 1)
    args = (bars, 1, {}, np.zeros(len(bars)), erratic.set_up_broker)
    cerebro, _ = run(Cerebro(), LeanBroker(), erratic.Erratic, *args)
    assert (cerebro.stepped, cerebro.visited) == ("dense", 300)
    assert "every bar" in cerebro.why_not_sparse


def test_listening_to_cash_and_value_gives_every_bar_with_the_same_values(erratic):
    bars = erratic.walk(1500, 3)
    acts = erratic.random_acts(len(bars), 3)
    values = np.zeros(len(bars))

    class Listening(erratic.SparseErratic):
        def notify_cashvalue(self, cash, value):
            self.__dict__.setdefault("heard", []).append((len(self.data), cash, value))

    args = (bars, 3, acts, values, erratic.set_up_broker)
    _, stock = run(bt.Cerebro(stdstats=False), bt.brokers.BackBroker(), Listening, *args)
    cerebro, ours = run(Cerebro(), LeanBroker(), Listening, *args)
    assert cerebro.stepped == "dense"
    assert ours.heard == stock.heard


def test_analyzers_get_every_bar_and_the_same_results(erratic):
    bars = erratic.walk(1500, 4)
    acts = erratic.random_acts(len(bars), 4)
    found = []
    for cerebro, broker in ((bt.Cerebro(stdstats=False), bt.brokers.BackBroker()), (Cerebro(), LeanBroker())):
        cerebro.addanalyzer(bt.analyzers.DrawDown, _name="drawdown")
        cerebro.addanalyzer(bt.analyzers.TimeReturn, timeframe=bt.TimeFrame.Days, _name="daily")
        _, strategy = run(
            cerebro, broker, erratic.SparseErratic, bars, 4, acts, np.zeros(len(bars)), erratic.set_up_broker
        )
        found.append([strategy.analyzers.drawdown.get_analysis(), strategy.analyzers.daily.get_analysis()])
    assert found[0] == found[1]


def test_next_runs_from_trading_start_on(erratic):
    bars = erratic.walk(100, 5)

    class Counting(bt.Strategy):
        def __init__(self):
            self.first = None

        def next(self):
            self.first = self.first or len(self.data)

    for stepping in ("plain", "dense"):
        cerebro = Cerebro(trading_start=40, stepping=stepping)
        cerebro.adddata(BarsFeed(bars=bars))
        cerebro.broker = LeanBroker()
        cerebro.addstrategy(Counting)
        assert cerebro.run()[0].first == 41


def test_day_numbers_equal_backtraders_own():
    import datetime as dt

    stamps = np.random.default_rng(0).integers(0, 4_000_000_000, 20_000)
    epoch = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # backtrader wants naive UTC
    theirs = [bt.date2num(epoch + dt.timedelta(seconds=int(stamp))) for stamp in stamps]
    assert day_numbers(stamps * 1000).tolist() == theirs


def test_the_feed_steps_as_it_preloads(erratic):
    bars = erratic.walk(60, 6)

    class Reading(bt.Strategy):
        def __init__(self):
            self.read = []

        def next(self):
            self.read.append((self.data.datetime[0], self.data.open[0], self.data.volume[0]))

    seen = []
    for options in ({}, {"preload": False, "runonce": False}):
        cerebro = bt.Cerebro(stdstats=False, **options)
        cerebro.adddata(BarsFeed(bars=bars))
        cerebro.addstrategy(Reading)
        seen.append(cerebro.run()[0].read)
    assert seen[0] == seen[1]
    assert len(seen[0]) == 60
