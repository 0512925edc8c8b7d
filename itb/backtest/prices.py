"""Fill prices for those who distrust the open print, and what finer bars know about the order of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.errors import BarsError
from itb.market.bars import utc

if TYPE_CHECKING:
    from itb.engine.venue import Leg
    from itb.market.bars import Bars, FloatArray, IntArray

FillPrice = Literal["open", "worst_of"]
_LATE_MS = 1000  # venues stamp settlements some milliseconds late


def vwap(bars: Bars) -> FloatArray:
    """Volume-weighted average price of each bar; (high + low + close) / 3 where the bars do not carry their turnover.

    Clipped into the bar's range; bars without volume take their close.
    """
    typical = (bars.high + bars.low + bars.close) / 3
    if "quote_volume" not in bars.columns:
        return typical
    with np.errstate(divide="ignore", invalid="ignore"):
        price = bars["quote_volume"] / bars.volume
    known: FloatArray = np.clip(np.where(np.isfinite(price), price, bars.close), bars.low, bars.high)
    return known


def market_prices(
    bars: Bars, fill_price: FillPrice, delay_ms: int, finer: Bars | None
) -> tuple[FloatArray, FloatArray] | None:
    """Price of a market buy and of a market sell filled in each bar, before slippage; ``None`` is the open.

    ``worst_of`` takes the worse of open and volume-weighted average price for the side. A delay takes the open of the
    first finer bar that starts ``delay_ms`` after the bar opens, or the bar's close when no finer bar is left in it;
    raises :class:`itb.errors.BarsError` when there are no finer bars, because one bar's path is not known, and for a
    delay as long as a bar.
    """
    if fill_price == "open" and not delay_ms:
        return None
    base = bars.open
    if delay_ms:
        if delay_ms >= bars.timeframe.ms:
            raise BarsError(
                f"{bars.label}: a fill delay of {delay_ms / 1000:g} s is as long as a bar of {bars.timeframe}; "
                "expected a shorter one: lower backtest.fill_delay_s"
            )
        if finer is None:
            raise BarsError(
                f"{bars.label}: a fill delay of {delay_ms / 1000:g} s needs bars finer than {bars.timeframe}; "
                "import or download them and set data.detail_timeframe, or set backtest.fill_delay_s = 0"
            )
        base = _delayed(bars, finer, delay_ms)
    if fill_price == "open":
        return base, base
    average = vwap(bars)
    return np.maximum(base, average), np.minimum(base, average)


def _delayed(bars: Bars, finer: Bars, delay_ms: int) -> FloatArray:
    row = np.searchsorted(finer.open_time, bars.open_time + delay_ms)
    inside = row < len(finer)
    row = np.minimum(row, len(finer) - 1)
    inside &= finer.open_time[row] < bars.close_time
    prices: FloatArray = np.where(inside, finer.open[row], bars.close)
    return prices


@dataclass(frozen=True, eq=False)
class FinerBars:
    """Settle which leg a bar touched first, from finer bars of the same symbol.

    Gives ``None`` where the finer bars are missing, or one of them touches both as well.
    """

    bars: Bars
    finer: Bars

    def __post_init__(self) -> None:
        if self.bars.symbol != self.finer.symbol or not self.bars.timeframe.is_multiple_of(self.finer.timeframe):
            raise BarsError(
                f"{self.finer.label} cannot settle what happened inside {self.bars.label}: "
                "expected the same symbol and a timeframe that divides it"
            )

    def __call__(self, bar: int, stop: float, target: float, is_long: bool) -> Leg | None:
        """Say which of the two prices bar ``bar`` touched first."""
        inside = self.finer.between(int(self.bars.open_time[bar]), int(self.bars.close_time[bar]))
        worst, best = (
            (inside.low <= stop, inside.high >= target) if is_long else (inside.high >= stop, inside.low <= target)
        )
        hits = np.flatnonzero(worst | best)
        if not len(hits) or (worst[hits[0]] and best[hits[0]]):
            return None
        if inside.open_time[hits[0]] != self.bars.open_time[bar] + int(hits[0]) * self.finer.timeframe.ms:
            return None  # a finer bar before it is missing: that one may have touched the other
        return "stop" if worst[hits[0]] else "target"


def funding_by_bar(bars: Bars, settled_at: IntArray, rates: FloatArray) -> dict[int, float]:
    """Map each funding settlement to the bar at whose open it is charged; several in one bar add up.

    ``settled_at`` are UTC milliseconds in order. A settlement at a bar's open, or up to a second later, is charged on
    the position held before that open's fills. One inside a bar, or where bars are missing, is charged at the next
    open, on what is still held then. Raises :class:`itb.errors.BarsError` when no settlement lies within the bars.
    """
    bar = np.searchsorted(bars.open_time, settled_at, side="right") - 1
    known = bar >= 0
    bar += settled_at - bars.open_time[np.maximum(bar, 0)] > _LATE_MS
    known &= bar < len(bars)
    if not known.any():
        raise BarsError(
            f"{bars.label}: no funding settlement lies between {utc(bars.open_time[0])} and {utc(bars.close_time[-1])}"
        )
    found: dict[int, float] = {}
    for row, rate in zip(bar[known].tolist(), rates[known].tolist(), strict=True):
        found[row] = found.get(row, 0.0) + rate
    return found
