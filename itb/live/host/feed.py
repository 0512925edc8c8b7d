"""The live data feed: history first, then what the barrier releases; and the inbox between the network and the loop."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import backtrader as bt

from itb.engine.feed import bt_timeframe
from itb.engine.lines import day_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from itb.live.bars.bar import Bar
    from itb.live.bars.barrier import Step
    from itb.live.host.growing import GrowingBars


@dataclass(frozen=True)
class Wake:
    """Makes the loop go round without a bar, so that order notices arrive at once."""


@dataclass(frozen=True)
class Stop:
    """Ends the loop after what came before it."""


@dataclass(frozen=True)
class Act:
    """Something that a person wants of the strategy between two bars; guarded like a decision of its own."""

    call: Callable[[Any], None]


Item: TypeAlias = "Step | Wake | Stop | Act"


class Inbox:
    """A queue from any thread to the loop's; taking from it waits without polling."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def put(self, item: Item) -> None:
        """Hand something to the loop."""
        self._queue.put(item)

    def take(self) -> Item:
        """Wait for the next item."""
        return self._queue.get()

    def __len__(self) -> int:
        return self._queue.qsize()


class LiveFeed(bt.feed.DataBase):
    """Feed bars that grow to backtrader, bar ``i`` of the bars being bar ``i`` of the feed.

    The bars that are there at the start are delivered without waiting. After them the loop offers one bar at a time;
    the feed itself never waits.

    Parameters
    ----------
    bars : GrowingBars
        The history; bars that are offered are appended.
    scores : mapping of str to ScoreSource
        Empty by default.
    """

    params: Any = (("bars", None), ("scores", None))

    def __init__(self, **_params: Any) -> None:
        bars: GrowingBars = self.p.bars
        super().__init__()
        self.bars = bars
        self.scores: Mapping[str, Any] = self.p.scores or {}
        self._name = self._name or bars.symbol
        self.p.timeframe, self.p.compression = bt_timeframe(bars.timeframe.minutes)
        self._timeframe, self._compression = self.p.timeframe, self.p.compression
        self._offered: Bar | None = None

    def islive(self) -> bool:
        """Keep backtrader from loading everything beforehand."""
        return True

    @property
    def is_past_history(self) -> bool:
        """Whether all bars of the history were delivered."""
        return len(self) >= self.bars.history

    def offer(self, bar: Bar) -> None:
        """Give the bar of the coming round."""
        self._offered = bar

    def _load(self) -> bool | None:
        index = len(self) - 1
        if index >= len(self.bars):
            if self._offered is None:
                return None
            self.bars.append(self._offered)
            self._offered = None
        opened, high, low, close, volume = self.bars.row(index)
        lines = self.lines
        lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = opened, high, low, close, volume
        lines.openinterest[0] = 0.0
        lines.datetime[0] = float(day_numbers(self.bars.open_time[index : index + 1])[0])
        return True
