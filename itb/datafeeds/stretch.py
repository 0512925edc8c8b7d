"""One stretch of one stored series while it is being filled: what is there, what was asked, what was added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from itb.datafeeds.coverage import Coverage, Span, holes, without
from itb.datafeeds.store import BarStore, folder_name
from itb.market.bars import Bars, IntArray
from itb.market.timeframe import Timeframe


class Content(NamedTuple):
    """What is stored of a stretch: open times of the first and last bar, how many there are, and holes between."""

    first_ms: int | None
    last_ms: int | None
    stored: int
    missing: int


@dataclass
class Stretch:
    """The bars ``[since_ms, stop_ms)`` of one series in a store, both on the grid; counts what is written to it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> minute = Timeframe.parse("1m")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stretch = Stretch(BarStore(Path(folder)), "binance", "BTC/USDT", minute, 0, 180_000)
    ...     stretch.write(Bars.of("BTC/USDT", minute, [60_000], open=[1], high=[1], low=[1], close=[1], volume=[1]))
    ...     stretch.content(), stretch.to_ask()
    (Content(first_ms=60000, last_ms=60000, stored=1, missing=0), [(0, 60000), (120000, 180000)])
    """

    store: BarStore
    exchange: str
    symbol: str
    timeframe: Timeframe
    since_ms: int
    stop_ms: int
    added: int = 0
    revised: int = 0

    def __post_init__(self) -> None:
        folder = self.store.root / self.exchange / folder_name(self.symbol) / str(self.timeframe)
        self.coverage = Coverage(folder)
        if self.store.last(self.exchange, self.symbol, self.timeframe) is None:
            self.coverage.forget()

    @property
    def label(self) -> str:
        """Symbol and timeframe, as messages name them."""
        return f"{self.symbol} {self.timeframe}"

    def times(self) -> IntArray:
        """Give the open times of the bars that are stored."""
        if self.store.last(self.exchange, self.symbol, self.timeframe) is None:
            return np.empty(0, dtype=np.int64)
        bars = self.store.read(self.exchange, self.symbol, self.timeframe, self.since_ms, self.stop_ms)
        return bars.open_time

    def to_ask(self, *, again: bool = False, overlap: int = 0) -> list[Span]:
        """Give what is neither stored nor known to be empty; with ``again``, all that is not stored.

        What comes after the last stored bar begins ``overlap`` bars earlier, so that late revisions are seen.
        """
        times = self.times()
        gaps = holes(times, self.timeframe, self.since_ms, self.stop_ms)
        asked = gaps if again else without(gaps, self.coverage.spans)
        if overlap and asked and len(times) and asked[-1][0] > times[-1]:
            asked[-1] = (int(times[-overlap:][0]), self.stop_ms)
        return sorted(asked)

    def write(self, bars: Bars) -> None:
        """Store bars of the stretch; others are left out."""
        written = self.store.write(self.exchange, bars.between(self.since_ms, self.stop_ms))
        self.added += written.added
        self.revised += written.replaced

    def content(self) -> Content:
        """Say what is stored now."""
        times = self.times()
        if not len(times):
            return Content(None, None, 0, 0)
        first, last = int(times[0]), int(times[-1])
        return Content(first, last, len(times), (last - first) // self.timeframe.ms + 1 - len(times))
