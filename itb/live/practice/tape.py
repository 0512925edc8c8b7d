"""The tape: stored bars as four prints each, in the order in which they happen."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from itb.live.practice.orders import ZERO, down, times

if TYPE_CHECKING:
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument

SUMMED = {"volume", "quote_volume", "trades", "taker_buy_base"}
SHOWN = {"open", "high", "low", "close", *SUMMED}
PRINTS = ("open", "low", "high", "close")  # low first: who holds coins has the stop before the target


class Print(NamedTuple):
    """One price of the market: when, at which bar, the how-manieth of it."""

    time: int
    bar: int
    part: int
    price: Decimal


class Tape:
    """One symbol's bars and how far the market has come in them.

    A bar prints its open when it begins, low and high after one and two thirds, and its close in its last millisecond.
    Between two prints the price walks; between two bars it jumps. ``shown`` counts the prints of the running bar.
    """

    def __init__(self, bars: Bars, rules: Instrument, start_ms: int) -> None:
        self.bars, self.rules = bars, rules
        self.symbol, self.id = bars.symbol, rules.base + rules.quote
        self.timeframe = bars.timeframe
        self._columns = [bars.columns[name] for name in PRINTS]
        self._digits = max(0, -int(rules.tick.normalize().as_tuple().exponent))
        ms = bars.timeframe.ms
        self._offsets = (0, ms // 3, 2 * ms // 3, ms - 1)
        self.bar, self.shown = int(np.searchsorted(bars.close_time, start_ms, side="right")) - 1, 4
        if self.bar < 0:
            raise ValueError(f"{bars.symbol}: no bar closes before the replay begins; begin later")
        self.last = self.price(self.bar, 3)
        self.budget, self._filled_bar = ZERO, -1

    def price(self, bar: int, part: int) -> Decimal:
        """Give one of the four prices of a bar, on the tick."""
        return Decimal(f"{self._columns[part][bar]:.{self._digits}f}")

    @property
    def next_time(self) -> int | None:
        """When the next print comes, or ``None`` after the last bar."""
        bar, part = (self.bar, self.shown) if self.shown < 4 else (self.bar + 1, 0)
        return None if bar >= len(self.bars) else int(self.bars.open_time[bar]) + self._offsets[part]

    def peek(self) -> Print:
        """Give the next print."""
        bar, part = (self.bar, self.shown) if self.shown < 4 else (self.bar + 1, 0)
        return Print(int(self.bars.open_time[bar]) + self._offsets[part], bar, part, self.price(bar, part))

    def take(self, seen: Print, volume_share: Decimal | None) -> None:
        """Go on to a print; a new bar brings new volume that orders may take a share of."""
        self.bar, self.shown = seen.bar, seen.part + 1
        self._bring(seen.bar, volume_share)

    def arrive(self, now: int, volume_share: Decimal | None) -> None:
        """Let an order come at the very open of a bar, before those that rest: it has the new bar's volume."""
        following = self.next_time
        if following is not None and following <= now:
            self._bring(self.peek().bar, volume_share)

    def _bring(self, bar: int, volume_share: Decimal | None) -> None:
        if volume_share is not None and bar != self._filled_bar:
            volume = Decimal(repr(float(self.bars.volume[bar])))
            self.budget, self._filled_bar = down(times(volume, volume_share), self.rules.step), bar

    @property
    def closed(self) -> int:
        """How many bars are final."""
        return self.bar + (1 if self.shown == 4 else 0)

    def at(self, now: int) -> Decimal:
        """Give the price for an order that arrives now: a bar that opens this very moment has its open already."""
        following = self.next_time
        return self.peek().price if following is not None and following <= now else self.last

    def rows(self, first_bar: int, now: int) -> dict[str, np.ndarray]:
        """Give the columns that the market knows from a bar on: final bars, and the running one as far as it has come.

        A bar whose open is at ``now`` is running: its open is known.
        """
        stop = self.bar + 1
        opens_now = self.shown == 4 and self.next_time is not None and self.next_time <= now
        columns: dict[str, np.ndarray] = {
            name: values[first_bar : stop + opens_now].copy() for name, values in self.bars.columns.items()
        }
        columns["open_time"] = self.bars.open_time[first_bar : stop + opens_now].copy()
        shown = 1 if opens_now else self.shown
        if shown < 4 and len(columns["open_time"]):
            seen = [values[stop - 1 + opens_now] for values in self._columns[:shown]]
            columns["high"][-1], columns["low"][-1], columns["close"][-1] = max(seen), min(seen), seen[-1]
            for name in SUMMED & columns.keys():
                columns[name][-1] *= (shown - 1) / 4
        return columns
