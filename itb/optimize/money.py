"""Quantities and cash of unit trades: the strategy's own sizing, applied trade after trade as the broker books them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from itb.market.bars import FloatArray, IntArray, utc
from itb.market.fills import Fill
from itb.optimize.screened import ClosedTrades, Refusal
from itb.optimize.trips import REASONS, Trips

if TYPE_CHECKING:
    from itb.engine.venue import Venue
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument
    from itb.strategies.sizing import Sizer

_NEAR, _FAR, _MANY = 1e-6, 1 - 1e-6, 1e9  # as in Instrument: beyond them floats leave the floor open
_CLEAR = 1e-9  # relative: how clearly a minimum must be met to be called met


_Column = TypeVar("_Column", FloatArray, IntArray)


def _in_turn(entry: _Column, exits: _Column) -> _Column:
    """Interleave what belongs to entries with what belongs to exits, in the order of the fills."""
    both: _Column = np.empty(len(entry) + len(exits), dtype=entry.dtype)
    both[0::2], both[1::2] = entry, exits
    return both


@dataclass(frozen=True, eq=False)
class TradeBooks:
    """Trades with their money: ``qty`` is signed, fees are in quote (worth, where paid in a third currency).

    ``cash`` is the quote balance after each fill; ``fee_currency`` the venue's.
    """

    bars: Bars
    starting_cash: float
    trips: Trips
    qty: FloatArray
    entry_fee: FloatArray
    exit_fee: FloatArray
    fee_currency: str
    cash: FloatArray

    @cached_property
    def bar(self) -> IntArray:
        """Bar of each fill, in order."""
        return _in_turn(self.trips.entry_bar, self.trips.exit_bar)

    @cached_property
    def fee(self) -> FloatArray:
        """Fee of each fill (quote)."""
        return _in_turn(self.entry_fee, self.exit_fee)

    @cached_property
    def slippage(self) -> FloatArray:
        """What each fill lost to the market's price (quote)."""
        trips, closed = self.trips, self.trips.closed
        lost = self.qty * (trips.entry_price - trips.entry_market)
        return _in_turn(lost, -self.qty[:closed] * (trips.exit_price - trips.exit_market))

    @property
    def flows(self) -> FloatArray:
        """Quantity (signed) x price of each fill."""
        return _in_turn(self.qty * self.trips.entry_price, -self.qty[: self.trips.closed] * self.trips.exit_price)

    @cached_property
    def closed(self) -> ClosedTrades:
        """Trades that ended."""
        trips, count = self.trips, self.trips.closed
        qty, entry, entered = self.qty[:count], trips.entry_price[:count], trips.entry_bar[:count]
        pnl = (-qty * entry - self.entry_fee[:count]) + (qty * trips.exit_price - self.exit_fee)
        return ClosedTrades(entered, trips.exit_bar, pnl, np.abs(qty) * entry)

    @cached_property
    def fills(self) -> tuple[Fill, ...]:
        """All fills, numbered as orders in their order."""
        trips, closed = self.trips, self.trips.closed
        qty = _in_turn(self.qty, -self.qty[:closed])
        price = _in_turn(trips.entry_price, trips.exit_price)
        reasons = ["entry"] * len(qty)
        reasons[1::2] = [REASONS[code] for code in trips.reason]
        columns = (self.bar, self.bars.open_time[self.bar], qty, price, self.fee)
        return tuple(
            Fill(bar, time, number, self.bars.symbol, size, paid, fee, fee, self.fee_currency, reason)
            for number, (bar, time, size, paid, fee, reason) in enumerate(
                zip(*(column.tolist() for column in columns), reasons, strict=True), start=1
            )
        )

    def equity(self, bars: IntArray) -> FloatArray:
        """Equity (quote) at the close of the given bars, in the broker's own order of operations."""
        fill = self._latest(bars)
        cash = np.concatenate(([self.starting_cash], self.cash))[fill]
        held, paid = self._held[fill], self._paid[fill]
        close = self.bars.close[bars]
        worth, gain = held * close, held * (close - paid)
        value: FloatArray = cash + np.where(worth > 0, (worth - gain) + gain, worth)
        return value if self.fee_currency == "quote" else value + self._owed[fill]

    def position(self, bars: IntArray) -> FloatArray:
        """Position (signed, base units) at the close of the given bars."""
        return self._held[self._latest(bars)]

    def _latest(self, bars: IntArray) -> IntArray:
        return np.searchsorted(self.bar, bars, side="right")

    @cached_property
    def _held(self) -> FloatArray:
        held = np.zeros(len(self.bar) + 1)
        held[1::2] = self.qty
        return held

    @cached_property
    def _paid(self) -> FloatArray:
        paid = np.zeros(len(self.bar) + 1)
        paid[1::2] = self.trips.entry_price
        return paid

    @cached_property
    def _owed(self) -> FloatArray:
        return -np.concatenate(([0.0], np.cumsum(self.fee)))


def settle(bars: Bars, trips: Trips, sizer: Sizer, venue: Venue, cash: float) -> TradeBooks | Refusal:
    """Give every trade its quantity and book it, or say which order the venue or the account would not have taken."""
    costs = venue.costs
    in_quote = costs.fee_currency == "quote"
    maker = trips.reason == REASONS.index("target")
    exit_rate = np.where(maker, costs.maker_fee, costs.taker_fee)
    qty = trips.side * _quantities(bars, trips, sizer, venue, cash, exit_rate if in_quote else np.zeros(len(maker)))
    closed = trips.closed
    sold = qty[:closed]
    entry_fee = np.abs(qty) * costs.taker_fee * trips.entry_price
    exit_fee = np.abs(sold) * exit_rate * trips.exit_price
    moves = np.zeros((len(qty), 4))
    moves[:, 0] = -(qty * trips.entry_price)
    moves[:closed, 2] = sold * trips.entry_price[:closed] + sold * (trips.exit_price - trips.entry_price[:closed])
    if in_quote:
        moves[:, 1], moves[:closed, 3] = -entry_fee, -exit_fee
    balance = np.cumsum(np.concatenate(([cash], moves.ravel())))  # in the order of the fills: the broker's own sums
    after = balance[2::2][: len(qty) + closed]
    books = TradeBooks(bars, cash, trips, qty, entry_fee, exit_fee, costs.fee_currency, after)
    return _unbooked(books, venue) or books


def _quantities(bars: Bars, trips: Trips, sizer: Sizer, venue: Venue, cash: float, exit_rate: FloatArray) -> FloatArray:
    """Quantities (above 0) as the strategy sizes them at the close before each entry, floored to the step."""
    decided = trips.entry_bar - 1
    close = bars.close[decided]
    if sizer.sizing == "fixed_notional":
        asked = sizer.notional / close
        return asked if venue.instrument is None else venue.instrument.floor_qtys(asked)
    fee = venue.costs.taker_fee
    fractions = sizer.fractions(bars.close, decided, bars.timeframe.ms)
    return _compounded(
        trips, cash, fractions, sizer.unit_cost(close, fee), close,
        fee if venue.costs.fee_currency == "quote" else 0.0, exit_rate, venue.instrument,
    )  # fmt: skip


def _compounded(
    trips: Trips, cash: float, fractions: FloatArray, unit_cost: FloatArray, close: FloatArray, fee: float,
    exit_rate: FloatArray, instrument: Instrument | None,
) -> FloatArray:  # fmt: skip
    """Size each trade by the equity that the trades before it left: one pass, in the broker's order of operations."""
    step, unit, scale = (1.0, 1.0, 1.0) if instrument is None else instrument.float_step
    floor_qty = None if instrument is None else instrument.floor_qty
    found: list[float] = []
    add = found.append
    still_open = np.ones(len(trips.side) - trips.closed)
    size = paid = before = 0.0
    columns = (
        trips.side, trips.is_reversal, fractions, unit_cost, close, trips.entry_price,
        np.concatenate((trips.exit_price, still_open)), np.concatenate((exit_rate, still_open)),
    )  # fmt: skip
    for side, turns, fraction, cost, price, bought, sold, rate in zip(*(c.tolist() for c in columns), strict=True):
        if turns:  # at the close that decides, the trade before is still open
            worth, gain = size * price, size * (price - paid)
            qty = fraction * (before + ((worth - gain) + gain if worth > 0 else worth)) / cost
        else:
            qty = fraction * cash / cost
        if floor_qty is not None:
            steps = qty / step
            whole = steps // 1.0
            qty = whole * unit / scale if _NEAR < steps - whole < _FAR and whole < _MANY else floor_qty(max(qty, 0.0))
        add(qty)
        size, paid = side * qty, bought
        spent = size * bought
        before = cash - spent - qty * fee * bought
        cash = before + (spent + size * (sold - bought)) - qty * rate * sold
    return np.array(found)


def _unbooked(books: TradeBooks, venue: Venue) -> Refusal | None:
    """Find the first order that would have been refused or not paid for; the trade after it would not be the same."""
    trips, bars, qty = books.trips, books.bars, np.abs(books.qty)
    entries = trips.entry_bar
    gone = ~(qty > 0)
    if gone.any():
        return _refuse(bars, entries, gone, "no quantity", "would enter with a quantity of 0")
    after = books.cash[0::2]
    unpaid = after + 2 * np.minimum(books.qty, 0.0) * trips.entry_price < 0
    if unpaid.any():
        return _refuse(bars, entries, unpaid, "unpaid entry", "has no cash for the entry at the open")
    return too_small(books, venue)


def too_small(books: TradeBooks, venue: Venue) -> Refusal | None:
    """Find the first order that is smaller than the venue takes."""
    if venue.instrument is None:
        return None
    trips, bars, qty = books.trips, books.bars, np.abs(books.qty)
    entries, closed = trips.entry_bar, trips.closed
    small = qty < float(venue.instrument.min_qty) * (1 + _CLEAR)
    small |= qty * bars.close[entries - 1] < float(venue.instrument.min_notional) * (1 + _CLEAR)
    for levels in (trips.stop, trips.target):
        if levels is not None:
            small |= qty * levels < float(venue.instrument.min_notional) * (1 + _CLEAR)
    if small.any():
        return _refuse(bars, entries, small, "small order", "asks for less than the venue's minimum")
    leaves = qty[:closed] * bars.close[trips.exit_bar - 1] < float(venue.instrument.min_notional) * (1 + _CLEAR)
    leaves &= trips.reason == 0
    if leaves.any():
        return _refuse(bars, trips.exit_bar, leaves, "small order", "leaves with less than the venue's minimum")
    return None


def _refuse(
    bars: Bars, at: IntArray, flagged: np.ndarray[tuple[int], np.dtype[np.bool_]], cause: str, what: str
) -> Refusal:
    bar = int(at[flagged.argmax()])
    return Refusal(cause, f"bar {bar} ({utc(bars.open_time[bar])}) {what}")
