"""Quantities and cash of unit trades of several symbols on one account, in the order in which the broker books them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from itb.market.bars import utc
from itb.optimize.money import TradeBooks, too_small
from itb.optimize.screened import Refusal
from itb.optimize.trips import REASONS

if TYPE_CHECKING:
    from itb.engine.venue import Venue
    from itb.market.bars import Bars, FloatArray
    from itb.market.raster import Raster
    from itb.optimize.trips import Trips
    from itb.strategies.sizing import Sizer

_AT_OPEN, _INSIDE, _AT_CLOSE = range(3)  # market orders fill, protective legs fill, decisions are taken
_SIGNAL = REASONS.index("signal")


class _Event(NamedTuple):
    """What moves money at a step; sorts into the order of events: exits that were sent together come before entries."""

    step: int
    phase: int
    sent: int
    is_entry: bool
    place: int
    trip: int


@dataclass(eq=False)
class _Symbol:
    """One symbol's trades while they are given their money."""

    bars: Bars
    venue: Venue
    trips: Trips
    rows: list[int]
    fractions: FloatArray
    unit_cost: FloatArray
    size: float = 0.0
    reserved: float = 0.0
    qty: list[float] = field(default_factory=list)

    def close(self, step: int) -> float:
        row = self.rows[step]
        return float(self.bars.close[row]) if row >= 0 else 0.0

    def mark(self, step: int) -> float:
        """Last price known as a step opens."""
        row, before = self.rows[step], self.rows[step - 1] if step else -1
        return float(self.bars.open[row]) if row != before else self.close(step)


def settle_shared(
    symbols: Sequence[tuple[Bars, Venue, Trips]], raster: Raster, sizer: Sizer, share: float, slots: int, cash: float
) -> tuple[TradeBooks, ...] | Refusal:
    """Give every trade its quantity and book it, or say which order would not have been sent, taken or paid for.

    Each symbol's books are those of the account as if it had held nothing else.
    """
    events = sorted(_events([trips for _, _, trips in symbols], raster))
    full = _full(events, [trips for _, _, trips in symbols], slots)
    if full is not None:
        return Refusal("max_open_trades", f"{_at(symbols[0][0], raster, full)} asks for more than {slots} positions")
    states = [_state(*one, raster.rows[place].tolist(), sizer) for place, one in enumerate(symbols)]
    balance = cash
    for event in events:
        one = states[event.place]
        where = f"{one.bars.symbol}, {_at(one.bars, raster, event.step)}"
        if event.phase == _AT_CLOSE:
            equity = balance + sum(other.size * other.close(event.step) for other in states)
            qty = _quantity(one, states, event, balance, equity * share, sizer)
            if qty is None:
                return Refusal("no quantity", f"{where} would enter with a quantity of 0, or has no cash that is free")
            one.qty.append(qty)
            one.reserved = qty * float(one.unit_cost[event.trip])
            continue
        change = _fill(one, event)
        balance += change
        if event.is_entry:
            one.reserved = 0.0
            shorts = [-other.size * other.mark(event.step) for other in states if other.size < 0 and other is not one]
            own = 2 * -one.size * float(one.trips.entry_price[event.trip]) if one.size < 0 else 0.0
            if balance - own - 2 * sum(shorts) < 0:
                return Refusal("unpaid entry", f"{where} has no cash for the entry at the open")
    found = tuple(_books(one, cash) for one in states)
    refusals = (too_small(books, one.venue) for one, books in zip(states, found, strict=True))
    return next((refused for refused in refusals if refused is not None), found)


def _events(trips: Sequence[Trips], raster: Raster) -> Iterator[_Event]:
    for place, one in enumerate(trips):
        steps = raster.steps[place]
        decided, filled = steps[one.entry_bar - 1].tolist(), steps[one.entry_bar].tolist()
        for trip, (sent, step) in enumerate(zip(decided, filled, strict=True)):
            yield _Event(sent, _AT_CLOSE, 0, is_entry=True, place=place, trip=trip)
            yield _Event(step, _AT_OPEN, sent, is_entry=True, place=place, trip=trip)
        left, decided = steps[one.exit_bar].tolist(), steps[one.exit_bar - 1].tolist()
        for trip, (step, asked, reason) in enumerate(zip(left, decided, one.reason.tolist(), strict=True)):
            phase, sent = (_AT_OPEN, asked) if reason == _SIGNAL else (_INSIDE, 0)
            yield _Event(step, phase, sent, is_entry=False, place=place, trip=trip)


def _full(events: Sequence[_Event], trips: Sequence[Trips], slots: int) -> int | None:
    """Find the first step at which an entry would have found every position taken."""
    if slots >= len(trips):
        return None
    turns = [one.is_reversal for one in trips]
    standing = 0
    for event in events:
        if event.phase == _AT_CLOSE:
            standing += not turns[event.place][event.trip]
            if standing > slots:
                return event.step
        elif not event.is_entry:
            following = event.trip + 1
            turned = following < len(turns[event.place]) and turns[event.place][following]
            standing -= not turned  # a reversal keeps its place
    return None


def _state(bars: Bars, venue: Venue, trips: Trips, rows: list[int], sizer: Sizer) -> _Symbol:
    decided = trips.entry_bar - 1
    is_fixed = sizer.sizing == "fixed_notional"
    fractions = np.zeros(len(decided)) if is_fixed else sizer.fractions(bars.close, decided, bars.timeframe.ms)
    return _Symbol(bars, venue, trips, rows, fractions, sizer.unit_cost(bars.close[decided], venue.costs.taker_fee))


def _quantity(
    one: _Symbol, states: Sequence[_Symbol], event: _Event, cash: float, equity: float, sizer: Sizer
) -> float | None:
    """Size an entry as :meth:`itb.strategies.sizing.Sizer.quantity` does; ``None`` where nothing would be sent."""
    close, cost = one.close(event.step), float(one.unit_cost[event.trip])
    free = cash - sum(other.reserved for other in states)
    free -= sum(2 * -other.size * other.close(event.step) for other in states if other.size < 0)
    if one.trips.is_reversal[event.trip]:
        free += abs(one.size) * close * (1 - one.venue.costs.taker_fee)
    if equity <= 0 or free <= 0:
        return None
    fixed = sizer.sizing == "fixed_notional"
    asked = sizer.notional / close if fixed else float(one.fractions[event.trip]) * equity / cost
    qty = one.venue.quantise(min(asked, free / cost))
    return qty if qty > 0 and not (asked >= free / cost and one.venue.refusal(qty, close)) else None


def _fill(one: _Symbol, event: _Event) -> float:
    """Move a position and give the change of the quote balance."""
    trips, costs = one.trips, one.venue.costs
    side, qty = float(trips.side[event.trip]), one.qty[event.trip]
    if event.is_entry:
        price, rate, signed = float(trips.entry_price[event.trip]), costs.taker_fee, side * qty
    else:
        maker = REASONS[trips.reason[event.trip]] == "target"
        price = float(trips.exit_price[event.trip])
        rate, signed = (costs.maker_fee if maker else costs.taker_fee), -side * qty
    one.size = signed if event.is_entry else 0.0
    fee = qty * rate * price if costs.fee_currency == "quote" else 0.0
    return -signed * price - fee


def _books(one: _Symbol, cash: float) -> TradeBooks:
    """Book a symbol's trades on an account of its own."""
    trips, costs = one.trips, one.venue.costs
    qty = trips.side * np.array(one.qty, dtype=np.float64)
    closed = trips.closed
    maker = trips.reason == REASONS.index("target")
    entry_fee = np.abs(qty) * costs.taker_fee * trips.entry_price
    exit_fee = np.abs(qty[:closed]) * np.where(maker, costs.maker_fee, costs.taker_fee) * trips.exit_price
    in_quote = costs.fee_currency == "quote"
    moves = np.zeros((len(qty), 2))
    moves[:, 0] = -(qty * trips.entry_price) - (entry_fee if in_quote else 0.0)
    moves[:closed, 1] = qty[:closed] * trips.exit_price - (exit_fee if in_quote else 0.0)
    balance = cash + np.cumsum(moves.ravel())[: len(qty) + closed]
    return TradeBooks(one.bars, cash, trips, qty, entry_fee, exit_fee, costs.fee_currency, balance)


def _at(bars: Bars, raster: Raster, step: int) -> str:
    return f"step {step} ({utc(raster.times[step])}, bars of {bars.timeframe})"
