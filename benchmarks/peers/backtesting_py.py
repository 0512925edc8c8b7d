"""backtesting.py: market orders at the next open, fee in the trade, fractional units, its full statistics."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd

# Lives in the peers' own environment, which no type checker of this project sees.
from backtesting import Strategy  # type: ignore[import-not-found]
from backtesting.lib import FractionalBacktest  # type: ignore[import-not-found]

from benchmarks.peers.child import Market, Outcome, Task, serve

UNIT = 1e-8


class Threshold(Strategy):  # type: ignore[misc]
    """Enter and leave by the score."""

    task = Task()

    def init(self) -> None:
        pass

    def next(self) -> None:
        score = self.data.Score[-1]
        if self.position:
            if score <= self.task.sell:
                self.position.close()
        elif score >= self.task.buy:
            self.buy(size=int(self.task.quantity(self.equity, self.data.Close[-1])))


def load(market: Market, task: Task) -> Any:
    names = ("open", "high", "low", "close", "volume", "score")
    index = pd.DatetimeIndex(market.open_time.astype("datetime64[ms]"))
    frame = pd.DataFrame({name.title(): getattr(market, name) for name in names}, index=index)
    strategy = type("Asked", (Threshold,), {"task": task})
    return FractionalBacktest(
        frame, strategy, fractional_unit=UNIT, cash=task.cash, commission=task.fee, finalize_trades=True
    )


def run(loaded: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return loaded.run()


def tell(made: Any) -> Outcome:
    return Outcome(2 * len(made["_trades"]), float(made["Equity Final [$]"]))


if __name__ == "__main__":
    serve(load, run, tell)
