"""The data feed of a backtest: whole arrays handed to backtrader in one copy a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import backtrader as bt
import numpy as np

from itb.engine.lines import as_buffer, day_numbers
from itb.market.timeframe import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.market.bars import Bars


def bt_timeframe(minutes: int) -> tuple[int, int]:
    """Give backtrader's name for a bar of so many minutes: its unit and how many of them."""
    if minutes % (DAY_MS // 60_000) == 0:
        return bt.TimeFrame.Days, minutes // (DAY_MS // 60_000)
    return bt.TimeFrame.Minutes, minutes


class BarsFeed(bt.feed.DataBase):
    """Feed :class:`itb.market.bars.Bars` to backtrader; bar ``i`` of the bars is bar ``i`` of the feed.

    Loading costs a memory copy a line instead of Python work a bar. ``scores`` maps a score column's name to the
    source that ``MLScore`` reads. Not for filters, resampling or replay: slice or aggregate the bars first.

    Parameters
    ----------
    bars : Bars
        At least one bar.
    scores : mapping of str to ScoreSource
        Empty by default.
    """

    params: Any = (("bars", None), ("scores", None))

    def __init__(self, **_params: Any) -> None:
        bars: Bars = self.p.bars
        super().__init__()
        self.bars = bars
        self.scores: Mapping[str, Any] = self.p.scores or {}
        self._name = self._name or bars.symbol
        self.p.timeframe, self.p.compression = bt_timeframe(bars.timeframe.minutes)
        self._timeframe, self._compression = self.p.timeframe, self.p.compression

    def preload(self) -> None:
        """Fill every line at once and leave the feed at home, as the stock ``preload`` does."""
        bars = self.bars
        for name in ("open", "high", "low", "close", "volume"):
            getattr(self.lines, name).array = as_buffer(bars[name])
        self.lines.openinterest.array = as_buffer(np.zeros(len(bars)))
        self.lines.datetime.array = as_buffer(day_numbers(bars.open_time))
        self.home()
        # The broker reads open[0], high[0] ... where tick_* is None: the same numbers without copying them each bar.
        self._tick_nullify()

    def _load(self) -> bool:
        index = len(self) - 1  # the stock loop without preloading asks bar by bar
        bars = self.bars
        if index >= len(bars):
            return False
        for name in ("open", "high", "low", "close", "volume"):
            getattr(self.lines, name)[0] = bars[name][index]
        self.lines.openinterest[0] = 0.0
        self.lines.datetime[0] = float(day_numbers(bars.open_time[index : index + 1])[0])
        return True
