import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.score import ArrayScores, MLScore
from itb.laws.batch_step import check_batch_step, check_indicator
from itb.strategies.ml_threshold import MLThreshold


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=300).bars()["BTC/USDT"]


@pytest.fixture
def scores(bars):
    values = np.random.default_rng(0).random(len(bars))
    values[:50] = np.nan
    return {"up": ArrayScores("up", bars.open_time, values, 0.0, 1.0)}


class Honest(bt.Indicator):
    lines = ("value",)

    def next(self):
        self.lines.value[0] = 2 * self.data.close[0]

    def once(self, start, end):
        source, target = self.data.close.array, self.lines.value.array
        for bar in range(start, end):
            target[bar] = 2 * source[bar]


class Hasty(Honest):
    """Fills its line in bulk from the bar after."""

    def once(self, start, end):
        source, target = self.data.close.array, self.lines.value.array
        for bar in range(start, end):
            target[bar] = 2 * source[min(bar + 1, len(source) - 1)]


class Scaled(Honest):
    """Fills its line in bulk by the largest close of the whole history."""

    def once(self, start, end):
        largest = max(self.data.close.array)
        for bar in range(start, end):
            self.lines.value.array[bar] = self.data.close.array[bar] / largest


class Ahead(bt.Indicator):
    lines = ("value",)

    def __init__(self):
        self.lines.value = self.data.close(1) - self.data.close


class Inner(bt.Indicator):
    """Honest itself, but made of a hasty part."""

    lines = ("value",)

    def __init__(self):
        self.hasty = Hasty(self.data)

    def next(self):
        self.lines.value[0] = self.data.close[0]


def test_mlscore_says_the_same_in_bulk_and_bar_by_bar(bars, scores):
    assert check_indicator(MLScore, bars, scores)


@pytest.mark.parametrize(
    "make",
    [
        Honest,
        bt.indicators.SMA,
        bt.indicators.MACD,
        bt.indicators.RSI,
        lambda data: bt.indicators.CrossOver(data.close, bt.indicators.EMA(data, period=20)),
    ],
)
def test_indicators_that_agree_pass(make, bars):
    assert check_indicator(make, bars)


@pytest.mark.parametrize("make", [Hasty, Scaled, Ahead])
def test_an_indicator_whose_bulk_line_knows_more_is_caught(make, bars):
    found = check_indicator(make, bars)
    assert not found


def test_evidence_names_line_bar_and_both_values(bars):
    found = check_indicator(Hasty, bars)
    assert found.evidence == (
        f"Hasty 0 line 0 at bar 0 (2023-01-01 00:00 UTC) is {2 * bars.close[1]:.12g} from once() and "
        f"{2 * bars.close[0]:.12g} from next()"
    )


def test_an_indicator_inside_an_indicator_is_looked_at_too(bars):
    assert not check_indicator(Inner, bars)


def test_all_indicators_of_a_strategy_are_looked_at(bars, scores):
    found = check_batch_step(Backtest(MLThreshold), bars, scores)
    assert str(found) == (
        "batch = step: MLThreshold: ok: 1 lines of 1 indicators had the same value at each of 300 bars"
    )


def test_a_strategy_without_indicators_has_no_lines_to_compare(bars):
    class Bare(bt.Strategy):
        pass

    found = check_batch_step(Backtest(Bare), bars)
    assert found
    assert found.figures["compared"] == 0
