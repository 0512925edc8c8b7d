import backtrader as bt
import numpy as np
import pytest

from itb.backtest.prices import FinerBars, market_prices
from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.errors import StrategyError
from itb.indicators.score import ArrayScores, MLScore
from itb.laws.strategy import check_strategy_causal, check_strategy_warmup
from itb.market.aggregate import aggregate
from itb.market.timeframe import Timeframe
from itb.strategies.base import Strategy
from itb.strategies.ml_threshold import MLThreshold


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=500).bars()["BTC/USDT"]


@pytest.fixture
def scores(bars):
    values = np.random.default_rng(0).random(len(bars))
    values[:50] = np.nan
    return {"up": ArrayScores("up", bars.open_time, values, 0.0, 1.0)}


PROTECTED = {"allow_short": True, "stop_loss": 0.01, "take_profit": 0.01, "trailing_stop": 0.02, "cooldown_bars": 2}


@pytest.mark.parametrize("settings", [{}, PROTECTED, {"sizing": "volatility_target", "volatility_window": 24}])
def test_the_built_in_strategy_keeps_both_laws(settings, bars, scores):
    test, start = Backtest(MLThreshold, settings), int(bars.open_time[100])
    causal, warm = check_strategy_causal(test, bars, scores, start), check_strategy_warmup(test, bars, scores, start)
    assert causal
    assert causal.figures["compared"] > 100
    assert str(warm).startswith("warmup: MLThreshold: ok: 100 earlier bars and 50 earlier bars led to the same")


class Holder(Strategy):
    """Buys when ``wants`` says so and sells when it does not."""

    def wants(self):
        raise NotImplementedError

    def next(self):
        wanted = self.wants()
        if wanted and not self.position:
            self.send(0.01, "wanted")
        elif not wanted and self.position:
            self.send(-self.position.size, "unwanted")


class NextClose(Holder):
    def wants(self):
        return len(self.data) < self.data.buflen() and self.data.close[1] > self.data.close[0]


class UnguardedNextClose(Holder):
    def wants(self):
        return self.data.close[1] > self.data.close[0]


class WholeHistory(Holder):
    def __init__(self):
        super().__init__()
        self.mean = self.data.bars.close.mean()

    def wants(self):
        return self.data.close[0] < self.mean


class PrecomputedArray(Holder):
    """Looks up a table made from all bars before the first one."""

    def __init__(self):
        super().__init__()
        self.rises = np.append(np.diff(self.data.bars.close) > 0, False)

    def wants(self):
        return bool(self.rises[len(self.data) - 1])


class LaterScores(Holder):
    def __init__(self):
        super().__init__()
        self.score = MLScore(self.data)
        self.known = self.score.source.batch()

    def wants(self):
        return len(self.data) < len(self.known) and self.known[len(self.data)] > 0.5


class AroundTheCorner(Holder):
    """Counts back past the first bar, where Python's arrays begin again at their end."""

    def wants(self):
        return self.data.close[-30] > self.data.close[0]


class KnowsTheEnd(Holder):
    """Sells on the last bar, which nobody knows to be the last."""

    def wants(self):
        return len(self.data) < self.data.buflen()


@pytest.mark.parametrize(
    "peeker", [NextClose, WholeHistory, PrecomputedArray, LaterScores, AroundTheCorner, KnowsTheEnd]
)
def test_a_strategy_that_peeks_is_caught(peeker, bars, scores):
    found = check_strategy_causal(Backtest(peeker), bars, scores)
    assert not found
    assert found.evidence.startswith("when the bars after row ")


def test_a_strategy_that_runs_past_the_end_of_the_bars_is_called_a_peeker(bars):
    found = check_strategy_causal(Backtest(UnguardedNextClose), bars)
    assert str(found).startswith("causal: UnguardedNextClose: BROKEN: it asks for a bar that is not there yet")


def test_a_strategy_that_is_simply_wrong_is_not_called_a_peeker(bars):
    class Wrong(Strategy):
        def next(self):
            list(self.p._getkeys())[5]

    with pytest.raises(StrategyError, match="Wrong: IndexError: list index out of range"):
        check_strategy_causal(Backtest(Wrong), bars)


def test_noise_that_is_too_wild_for_a_strategy_is_no_evidence_against_it(bars):
    limit = float(bars.high.max()) * 2

    class Timid(Holder):
        def wants(self):
            if self.data.high[0] > limit or self.data.low[0] < float(bars.low.min()) / 2:
                raise ValueError("prices cannot be right")
            return len(self.data) % 9 == 0

    assert check_strategy_causal(Backtest(Timid), bars)


class Recursive(Holder):
    def __init__(self):
        super().__init__()
        self.mean = bt.indicators.EMA(self.data.close, period=self.period)

    def wants(self):
        return self.data.close[0] > self.mean[0]


class ShortMemory(Recursive):
    period = 5


class LongMemory(Recursive):
    period = 400


def test_a_strategy_whose_decisions_hang_on_old_bars_is_caught(bars):
    start = int(bars.open_time[440])
    assert check_strategy_warmup(Backtest(ShortMemory), bars, None, start)
    assert not check_strategy_warmup(Backtest(LongMemory), bars, None, start)


def test_without_earlier_bars_trading_starts_in_the_middle(bars, scores):
    found = check_strategy_warmup(Backtest(MLThreshold), bars, scores)
    assert found.evidence.startswith("250 earlier bars and 125 earlier bars led to the same")


def test_everything_that_a_venue_knows_by_bar_moves_with_the_history(scores):
    finer = SyntheticMarket(bars=2000, timeframe="15m").bars()["BTC/USDT"]
    bars = aggregate(finer, Timeframe.parse("1h"))
    prices = market_prices(bars, "worst_of", 0, None)
    assert prices is not None
    venue = Venue(
        buy_price=prices[0],
        sell_price=prices[1],
        funding=dict.fromkeys(range(0, len(bars), 8), 1e-3),
        settle=FinerBars(bars, finer),
    )
    told = {"up": ArrayScores("up", bars.open_time, next(iter(scores.values())).values, 0.0, 1.0)}
    test = Backtest(MLThreshold, {"stop_loss": 0.003, "take_profit": 0.003}, venue=venue)
    start = int(bars.open_time[200])
    assert test.run(bars, told, start).ambiguous
    assert check_strategy_warmup(test, bars, told, start)
    assert check_strategy_causal(test, bars, told, start)
