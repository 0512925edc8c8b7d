"""Two strategies of your own: one that reads a model's score, one that needs none.

itb backtest --strategy eager.py:Eager
itb backtest --strategy eager.py:Crossing
"""

from typing import Any

import backtrader as bt

from itb.indicators.score import MLScore


class Eager(bt.Strategy):
    """Hold a coin while the score says that it will rise, with the rest of the cash idle."""

    params: Any = (("above", 0.6), ("below", 0.5), ("share", 0.5))
    broker: Any

    def __init__(self) -> None:
        self.score = MLScore(self.data)

    def next(self) -> None:
        if not self.position and self.score[0] > self.p.above:
            self.buy(size=self.p.share * self.broker.getvalue() / self.data.close[0])
        elif self.position and self.score[0] < self.p.below:
            self.close()


class Crossing(bt.Strategy):
    """Hold a coin while the fast average is above the slow one; trains no model."""

    params: Any = (("fast", 20), ("slow", 100), ("share", 0.9))
    broker: Any

    def __init__(self) -> None:
        fast = bt.indicators.SMA(self.data.close, period=self.p.fast)
        slow = bt.indicators.SMA(self.data.close, period=self.p.slow)
        self.cross = bt.indicators.CrossOver(fast, slow)

    def next(self) -> None:
        if not self.position and self.cross[0] > 0:
            self.buy(size=self.p.share * self.broker.getvalue() / self.data.close[0])
        elif self.position and self.cross[0] < 0:
            self.close()
