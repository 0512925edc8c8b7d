import backtrader as bt
import numpy as np
import pytest

from itb.engine.feed import BarsFeed
from itb.errors import StrategyError
from itb.indicators.score import ArrayScores, MLScore, ScoreSource, find_source
from itb.market.bars import Bars


def few_bars(n=6):
    close = np.linspace(100, 105, n)
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    return Bars.of("BTC/USDT", "1h", np.arange(n) * 3_600_000, **columns, volume=np.ones(n))


class Reading(bt.Strategy):
    def __init__(self):
        self.score = MLScore(self.data, column="up")
        self.read = []

    def next(self):
        self.read.append(self.score[0])


def read(bars, scores, **options):
    cerebro = bt.Cerebro(stdstats=False, **options)
    cerebro.adddata(BarsFeed(bars=bars, scores=scores))
    cerebro.addstrategy(Reading)
    return cerebro.run()[0].read


def test_batch_and_step_give_the_same_scores_from_the_first_bar_on():
    bars = few_bars()
    scores = {"up": ArrayScores("up", bars.open_time, np.array([np.nan, np.nan, 0.1, 0.9, np.nan, 0.4]))}
    batch = read(bars, scores)
    step = read(bars, scores, preload=False, runonce=False)
    np.testing.assert_array_equal(batch, scores["up"].values)
    np.testing.assert_array_equal(step, batch)


def test_scores_of_other_bars_are_refused():
    bars = few_bars(10)
    scores = {"up": ArrayScores("up", bars.open_time, np.zeros(10))}
    with pytest.raises(StrategyError, match="has 10 values for 8 bars of the feed"):
        read(bars.slice(2, None), scores)


def test_scores_satisfy_the_port():
    bars = few_bars()
    assert isinstance(ArrayScores("up", bars.open_time, np.zeros(6)), ScoreSource)


def test_a_time_between_bars_has_no_score():
    source = ArrayScores("up", np.array([0, 60_000]), np.array([0.2, 0.4]))
    assert source.at(60_000) == 0.4
    assert np.isnan(source.at(30_000))
    assert np.isnan(source.at(120_000))


def test_an_empty_name_takes_the_only_column():
    bars = few_bars()
    feed = BarsFeed(bars=bars, scores={"up": ArrayScores("up", bars.open_time, np.zeros(6))})
    assert find_source(feed, "").column == "up"


def test_an_unknown_column_names_those_that_are_there():
    bars = few_bars()
    feed = BarsFeed(bars=bars, scores={"up": ArrayScores("up", bars.open_time, np.zeros(6))})
    with pytest.raises(StrategyError, match=r"wants score column 'down', but the feed offers up; set strategy\.score"):
        find_source(feed, "down")


def test_a_feed_without_scores_says_so():
    with pytest.raises(StrategyError, match="offers no score at all"):
        find_source(BarsFeed(bars=few_bars()), "")
