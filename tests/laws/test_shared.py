"""The laws of strategies on several symbols: they hold on honest ones and find what is planted."""

import dataclasses

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest, TradedMarket
from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.score import ArrayScores
from itb.laws.batch_step import check_shared_batch_step
from itb.laws.shared import check_shared_causal, check_shared_money, check_shared_parity, check_shared_warmup
from itb.strategies.allocation import Allocation
from itb.strategies.base import Strategy
from itb.strategies.ml_threshold import MLThreshold

SYMBOLS = ("A/USDT", "B/USDT", "C/USDT")
SETTINGS = {"buy_threshold": 0.8, "sell_threshold": 0.3, "stop_loss": 0.01, "allocation": Allocation(2)}


@pytest.fixture(scope="module")
def markets():
    """Three markets; the second has gaps, the third is listed late."""
    rng = np.random.default_rng(5)
    made = []
    for place, bars in enumerate(SyntheticMarket(symbols=SYMBOLS, bars=300).bars().values()):
        keep = rng.random(300) > 0.05 * (place == 1)
        keep[: 40 * (place == 2)] = False
        columns = {name: values[keep] for name, values in bars.columns.items()}
        part = type(bars).of(bars.symbol, bars.timeframe, bars.open_time[keep], **columns)
        made.append(TradedMarket(part, {"up": ArrayScores("up", part.open_time, rng.random(len(part)), 0.0, 1.0)}))
    return made


def test_the_built_in_strategy_keeps_every_law(markets):
    test, start = Backtest(MLThreshold, SETTINGS), int(markets[0].bars.open_time[60])
    for found in (
        check_shared_parity(test, markets, start),
        check_shared_causal(test, markets, start),
        check_shared_warmup(test, markets, start),
        check_shared_batch_step(test, markets, start),
        check_shared_money(test.run_shared(markets, start)),
    ):
        assert found, found.evidence
        assert found.figures.get("compared", 1)


class Sleepy(MLThreshold):
    """Says that it never acts on the second symbol."""

    def next_step(self, step):
        coins, self.coins = self.coins, self.coins[:1]
        found = super().next_step(step)
        self.coins = coins
        return found


class Seer(Strategy):
    """Looks at the next close of the second symbol, while it is there."""

    def next(self):
        closes, bar = self.datas[1].bars.close, len(self.datas[1])
        if bar < len(closes) and closes[bar] > closes[bar - 1] and not self.coins[0].held and not self.is_waiting:
            self.coins[0].send(0.01, "seen")
        elif self.coins[0].held and not self.is_waiting:
            self.coins[0].send(-0.01, "seen")


class Counting(Strategy):
    """Acts by how many bars there were."""

    def next(self):
        if len(self.datas[1]) % 7 == 3:
            self.coins[1].send(0.01 if not self.coins[1].held else -0.01, "sevens")


class Peek(bt.Indicator):
    lines = ("value",)

    def next(self):
        self.lines.value[0] = self.data.close[0]

    def once(self, start, end):
        source, target = self.data.close.array, self.lines.value.array
        for bar in range(start, end):
            target[bar] = source[min(bar + 1, end - 1)]


class Peeking(Strategy):
    def __init__(self):
        super().__init__()
        self.peeks = [Peek(data) for data in self.datas]


def test_what_is_planted_is_found_with_its_symbol(markets):
    asleep = check_shared_parity(Backtest(Sleepy, SETTINGS), markets)
    assert not asleep
    assert asleep.evidence.startswith(("A/USDT: decisions differ", "B/USDT: decisions differ"))
    assert "called a bar idle" in asleep.evidence
    seen = check_shared_causal(Backtest(Seer), markets)
    assert not seen
    assert seen.evidence.startswith("A/USDT: when the bars after")
    counted = check_shared_warmup(Backtest(Counting), markets)
    assert not counted
    assert counted.evidence.startswith("B/USDT: ")
    peeked = check_shared_batch_step(Backtest(Peeking), markets)
    assert not peeked
    assert "from once()" in peeked.evidence


def test_money_that_no_symbol_made_is_found(markets):
    result = Backtest(MLThreshold, SETTINGS).run_shared(markets)
    equity = result.equity.copy()
    equity[200] += 0.01
    found = check_shared_money(dataclasses.replace(result, equity=equity))
    assert not found
    assert found.evidence.startswith("equity at step 200 (")
    part = dataclasses.replace(result.parts["B/USDT"], cash=result.parts["B/USDT"].cash + 1)
    found = check_shared_money(dataclasses.replace(result, parts={**result.parts, "B/USDT": part}))
    assert found.evidence.startswith("B/USDT: cash at bar 0")
