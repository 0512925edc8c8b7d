"""Trades of one unit each, as vectorbt found them: when, at what price, and why they ended; no money yet."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from itb.market.bars import utc
from itb.optimize.engine import Filled, Rows, simulate
from itb.optimize.screened import Refusal

if TYPE_CHECKING:
    from itb.engine.venue import Venue
    from itb.market.bars import Bars, BoolArray, FloatArray, IntArray
    from itb.optimize.crossings import Crossings
    from itb.optimize.reach import Reach
    from itb.strategies.ml_threshold import ThresholdSettings

Codes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int8]]
REASONS = ("signal", "stop", "target")
_SIGNAL, _STOP, _TARGET = range(3)
_SIGNALS, _OPEN, _REST = range(3)  # parts of a bar


@dataclass(frozen=True, eq=False)
class Trips:
    """Entries in order, and their exits: as many, or one less when the last trade is still open.

    ``side`` is 1 or -1, prices are those of the fills, ``market`` prices those before slippage. ``stop`` and ``target``
    are the levels of each trade (NaN for none), ``reason`` the place of an exit's reason in ``REASONS``.
    """

    side: FloatArray
    entry_bar: IntArray
    entry_price: FloatArray
    entry_market: FloatArray
    exit_bar: IntArray
    exit_price: FloatArray
    exit_market: FloatArray
    reason: Codes
    stop: FloatArray | None = None
    target: FloatArray | None = None
    ambiguous: int = 0

    @property
    def closed(self) -> int:
        """How many trades ended."""
        return len(self.exit_bar)

    def ends(self, still_open: int) -> IntArray:
        """Bar in which each trade ended; ``still_open`` for one that did not."""
        return np.concatenate((self.exit_bar, np.full(len(self.side) - self.closed, still_open)))

    @property
    def is_reversal(self) -> BoolArray:
        """Whether each trade was entered at the open at which the one before it was left."""
        found = np.zeros(len(self.side), dtype=np.bool_)
        found[1:] = (self.entry_bar[1:] == self.exit_bar[: len(self.side) - 1]) & (
            self.reason[: len(self.side) - 1] == _SIGNAL
        )
        return found


def no_trips() -> Trips:
    """Give no trade at all."""
    numbers, bars = np.zeros(0), np.zeros(0, dtype=np.int64)
    return Trips(numbers, bars, numbers, numbers, bars, numbers, numbers, np.zeros(0, dtype=np.int8))


def unprotected(bars: Bars, first: int, crossings: Crossings, settings: ThresholdSettings, venue: Venue) -> Trips:
    """Trade between crossings from bar ``first`` on, without stop and target."""
    decided, bullish = crossings.changes(settings.rule, first)
    if not len(decided):
        return no_trips()
    fill = decided + 1
    price = market_price(bars, venue, fill, bullish)
    rows = Rows(bullish, ~bullish, price)
    filled = simulate(rows, allow_short=settings.allow_short, slippage=venue.costs.slippage())
    enters, leaves, side = _parts(filled)
    bar, market = fill[filled.row], price[filled.row]
    return Trips(
        side, bar[enters], filled.price[enters], market[enters],
        bar[leaves], filled.price[leaves], market[leaves], np.zeros(len(bar[leaves]), dtype=np.int8),
    )  # fmt: skip


def protected(
    bars: Bars, first: int, crossings: Crossings, settings: ThresholdSettings, venue: Venue, reach: Reach
) -> Trips | Refusal:
    """Trade from bar ``first`` on with a stop or a target, or say in which bar the order of events is not vectorbt's.

    A bar may be shown in parts: its open alone, where signals fill; the open again, where it may be wide enough to
    reach stop and target, for levels that the open is beyond; and the whole of it, where levels fill. So exits by
    signal come before any stop of their bar, protection works from the fill on, and no stop comes before its open.
    """
    slippage = venue.costs.slippage()
    slack = 0.0 if venue.instrument is None else float(venue.instrument.tick) / float(bars.low.min())
    touched = reach.touched(
        settings.stop_loss, settings.take_profit,
        allow_short=settings.allow_short, slippage=slippage, slack=slack + 1e-12,
    )  # fmt: skip
    ends = np.flatnonzero(touched[first:]) + first
    decided, bullish_then = crossings.with_returns(settings.rule, ends, first, allow_short=settings.allow_short)
    if not len(decided):
        return no_trips()
    keys = [(decided + 1) << 2, ends << 2 | _REST]
    if settings.stop_loss and settings.take_profit:
        keys.append(ends[bars.high[ends] >= bars.low[ends] * _apart(settings, slack)] << 2 | _OPEN)
    ordered = np.sort(np.concatenate(keys), kind="stable")  # merges what is sorted already
    bar, part = ordered >> 2, ordered & 3
    is_signal = part == _SIGNALS
    signals = np.flatnonzero(is_signal)
    price = bars.open[bar]
    side = np.where(bullish_then, 1.0, -1.0)
    stop, target = _levels(price[signals] * (1 + side * slippage), side, settings, venue)
    bullish, bearish = np.zeros((2, len(bar)), dtype=np.bool_)
    bullish[signals], bearish[signals] = bullish_then, ~bullish_then
    base, *away = (_spread(levels, signals, len(bar)) for levels in _hung(stop, target, side))
    opens = np.where(is_signal, np.nan, price)
    is_rest = part == _REST
    highs, lows = (np.where(is_rest, values[bar], opens) for values in (bars.high, bars.low))
    rows = Rows(bullish, bearish, price, opens, highs, lows, base, *away)
    filled = simulate(rows, allow_short=settings.allow_short, slippage=slippage)
    enters, leaves, side = _parts(filled)
    entered, left = filled.row[enters], filled.row[leaves]
    said = np.searchsorted(signals, entered)
    found = Trips(
        side, bar[entered], filled.price[enters], price[entered],
        bar[left], filled.price[leaves], filled.price[leaves], np.zeros(len(left), dtype=np.int8),
        None if stop is None else stop[said], None if target is None else target[said],
    )  # fmt: skip
    return _explained(bars, venue, found, is_signal[left])


def _parts(filled: Filled) -> tuple[IntArray, IntArray, FloatArray]:
    """Say which orders enter, which leave (a reversal does both), and the side of each entry."""
    after = np.cumsum(filled.size)
    enters = np.flatnonzero(after)
    return enters, np.flatnonzero(after != filled.size), after[enters]


def _spread(values: FloatArray | None, rows: IntArray, count: int) -> FloatArray | None:
    """Put values into their rows; in the others they are not looked at."""
    if values is None:
        return None
    spread = np.ones(count)
    spread[rows] = values
    return spread


def market_price(bars: Bars, venue: Venue, fill: IntArray, is_buy: BoolArray) -> FloatArray:
    """Price before slippage of market orders filled in the given bars."""
    if venue.buy_price is None or venue.sell_price is None:
        return bars.open[fill]
    return np.where(is_buy, venue.buy_price[fill], venue.sell_price[fill])


def _apart(settings: ThresholdSettings, slack: float) -> float:
    """Give the least ratio of a target to the stop below it (or of a stop to the target below it)."""
    long = (1 + settings.take_profit) / (1 - settings.stop_loss)
    short = (1 + settings.stop_loss) / (1 - settings.take_profit)
    return min(long, short) * (1 - 4 * slack) - 1e-9


def _levels(
    price: FloatArray, side: FloatArray, settings: ThresholdSettings, venue: Venue
) -> tuple[FloatArray | None, FloatArray | None]:
    """Where an entry filled at ``price`` would be stopped, and where it would take its profit."""
    stop = price * (1 - side * settings.stop_loss) if settings.stop_loss else None
    target = price * (1 + side * settings.take_profit) if settings.take_profit else None
    if venue.instrument is not None:
        for levels in (stop, target):
            if levels is not None:
                for is_buy in (False, True):
                    mine = (side < 0) == is_buy
                    levels[mine] = venue.instrument.quantise_prices(levels[mine], is_buy=is_buy)
    return stop, target


def _hung(
    stop: FloatArray | None, target: FloatArray | None, side: FloatArray
) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
    """Say the levels as vectorbt wants them: fractions of a base; the first one exactly, by being the base."""
    base = target if stop is None else stop
    assert base is not None
    exact = np.zeros(len(base))
    if stop is None or target is None:
        return base, None if stop is None else exact, None if target is None else exact
    ratio = target / base
    for _ in range(3):  # towards the entry, so that no touch is missed; what is then touched too early is found
        past = side * (base * ratio - target) > 0
        ratio[past] = np.nextafter(ratio[past], 1.0)
    return base, exact, side * (ratio - 1.0)


def _explained(bars: Bars, venue: Venue, trips: Trips, by_signal: BoolArray) -> Trips | Refusal:
    """Name the reasons of exits, give levels their own prices, and look for what vectorbt cannot know."""
    exit_bar, exit_price, stop, target = trips.exit_bar, trips.exit_price, trips.stop, trips.target
    count = len(exit_bar)
    long = trips.side[:count]
    opened = bars.open[exit_bar]
    best = np.where(long > 0, bars.high[exit_bar], bars.low[exit_bar])
    gains = np.zeros(count, dtype=np.bool_) if target is None else ~by_signal & (long * (best - target[:count]) >= 0)
    if stop is None:
        at_stop = np.zeros(count, dtype=np.bool_)
    else:
        at_stop = ~by_signal & (long * (exit_price - stop[:count]) <= 0)
    at_target = ~by_signal & ~at_stop
    early = at_target & ~gains
    if early.any():
        return _refuse(bars, exit_bar, early, "rounding", "is a rounding error short of a target")
    both = at_stop & gains
    ambiguous = 0
    if stop is not None and target is not None and both.any():
        both &= long * (opened - stop[:count]) > 0
        if both.any() and (venue.settle is not None or venue.first != "stop"):
            return _refuse(
                bars, exit_bar, both, "both levels", "touches stop and target; finer bars or the venue decide"
            )
        ambiguous = int(both.sum())
    market = np.where(at_stop, exit_price, opened)
    if target is not None:
        gapped = long * (opened - target[:count]) >= 0
        market = np.where(at_target, np.where(gapped, opened, target[:count]), market)
    slipped = np.where(at_stop, market * (1 - long * venue.costs.slippage()), market)
    return dataclasses.replace(
        trips,
        exit_price=np.where(by_signal, exit_price, slipped),
        exit_market=market,
        reason=(at_stop * _STOP + at_target * _TARGET).astype(np.int8),
        ambiguous=ambiguous,
    )


def _refuse(bars: Bars, exit_bar: IntArray, flagged: BoolArray, cause: str, what: str) -> Refusal:
    bar = int(exit_bar[flagged.argmax()])
    return Refusal(cause, f"bar {bar} ({utc(bars.open_time[bar])}) {what}")
