"""backtrader as its documentation shows it: PandasData, default Cerebro, a strategy of one's own.

Nothing is switched off but ``checksubmit``, whose test at the close before the fill is no part of the task. No analyzer
is added, so this does less than the others: it ends without statistics.
"""

from __future__ import annotations

from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from benchmarks.peers.child import Market, Outcome, Task, serve


class ScoredData(bt.feeds.PandasData):
    """A data frame with a column ``score``."""

    lines: Any = ("score",)
    params: Any = (("score", -1),)


class Recorder(bt.Strategy):
    """Keep what was filled, as the broker booked it."""

    def start(self) -> None:
        self.filled: list[tuple[float, ...]] = []

    def notify_order(self, order: Any) -> None:
        bits = order.executed.iterpending()
        self.filled.extend((len(self.data) - 1, bit.size, bit.price, bit.comm) for bit in bits)


class Threshold(Recorder):
    """Enter and leave by the score; a stop and a target, one cancels the other, from the entry's notification on."""

    params: Any = (("task", None),)
    data: Any
    order: Any = None
    guard: Any = None

    def next(self) -> None:
        if self.order:
            return
        task, score, held = self.p.task, self.data.score[0], self.position.size
        if not held:
            if score >= task.buy:
                self.order = self.buy(size=task.quantity(self.broker.getvalue(), self.data.close[0]))
        elif score <= task.sell:
            if self.guard:
                self.cancel(self.guard)
            self.order = self.sell(size=held)

    def notify_order(self, order: Any) -> None:
        super().notify_order(order)
        if self.order is None or order.ref != self.order.ref or order.alive():
            return
        self.order = None
        if order.status == order.Completed and order.isbuy() and self.p.task.stop_loss:
            paid, size = order.executed.price, order.executed.size
            self.guard = self.sell(size=size, exectype=bt.Order.Stop, price=paid * (1 - self.p.task.stop_loss))
            price = paid * (1 + self.p.task.take_profit)
            self.sell(size=size, exectype=bt.Order.Limit, price=price, oco=self.guard)


def cerebro(task: Task) -> Any:
    made = bt.Cerebro()
    made.broker.setcash(task.cash)
    made.broker.setcommission(task.fee)
    made.broker.set_checksubmit(False)
    return made


def load(market: Market, task: Task) -> Any:
    columns = {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume", "score")}
    frame = pd.DataFrame(columns, index=pd.DatetimeIndex(market.open_time.astype("datetime64[ms]")))
    made = cerebro(task)
    made.adddata(ScoredData(dataname=frame, timeframe=bt.TimeFrame.Minutes))
    made.addstrategy(Threshold, task=task)
    return made


def run(loaded: Any) -> Any:
    return loaded.run()[0]


def tell(made: Any) -> Outcome:
    lines, bars = made.observers.broker.lines, made.data.buflen()
    cash, value = np.array(lines.cash.array[:bars]), np.array(lines.value.array[:bars])
    return Outcome(len(made.filled), value[-1], np.array(made.filled), cash, value)


if __name__ == "__main__":
    serve(load, run, tell)
