"""itb's own MLThreshold class, unchanged, on stock backtrader: default Cerebro, stock broker, itb's bulk feed."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.backtrader_plain import Recorder, cerebro, run, tell
from benchmarks.peers.child import Market, Task, serve
from benchmarks.peers.itb_sparse import feed, settings
from itb.engine.feed import BarsFeed
from itb.strategies.ml_threshold import MLThreshold


class Recorded(MLThreshold, Recorder):
    """MLThreshold, and what was filled."""

    def notify_order(self, order: Any) -> None:
        Recorder.notify_order(self, order)
        super().notify_order(order)


def load(market: Market, task: Task) -> Any:
    bars, scores = feed(market)
    made = cerebro(task)
    made.adddata(BarsFeed(bars=bars, scores=scores))
    made.addstrategy(Recorded, **settings(task))
    return made


if __name__ == "__main__":
    serve(load, run, tell)
