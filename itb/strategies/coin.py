"""One symbol as a strategy trades it: its feed, its own past trades, and its orders on their way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import backtrader as bt

from itb.ledger.trades import TradeBook
from itb.market.fills import Fill

if TYPE_CHECKING:
    from itb.engine.broker import Execution
    from itb.engine.venue import Venue
    from itb.ledger.trades import Trade, TradeHistory
    from itb.strategies.base import Strategy


class Coin:
    """What a :class:`itb.strategies.base.Strategy` knows of one of its feeds; ``place`` counts them from 0.

    On several feeds, ask :attr:`is_fresh` before deciding: a feed with a gap, or not listed yet, has no bar of its own
    at a step of the others.
    """

    def __init__(self, strategy: Strategy, data: Any, place: int) -> None:
        self._strategy = strategy
        self.data = data
        self.place = place
        self._book: TradeBook | None = None
        self._working: dict[int, float] = {}
        self._resting: dict[int, float] = {}
        self.entry: Any = None  # a limit order that rests to open the position
        self._is_only = len(strategy.datas) == 1

    @property
    def symbol(self) -> str:
        """Name of the market."""
        return str(self.data.bars.symbol)

    @property
    def venue(self) -> Venue:
        """The terms its orders are filled on."""
        return self._strategy.venue_of(self.data)

    @property
    def is_fresh(self) -> bool:
        """Whether a bar of its own has just closed."""
        return self._is_only or bool(len(self.data) and self.data.datetime[0] == self._strategy.datetime[0])

    @property
    def now(self) -> int:
        """Open time of its last bar, UTC milliseconds."""
        return int(self.data.bars.open_time[len(self.data) - 1])

    @property
    def history(self) -> TradeHistory:
        """Its closed trades and the open one."""
        given: Any = self._strategy.p.history
        if given is None:
            return self._own_book()
        found: TradeHistory = given[self.symbol] if isinstance(given, Mapping) else given
        return found

    def _own_book(self) -> TradeBook:
        if self._book is None:
            self._book = TradeBook(self.symbol, self.venue.dust)
        return self._book

    @property
    def held(self) -> float:
        """Signed position in whole steps: dust below a step, or left by rounding, is nothing that can be sold."""
        if self.history.open is None:
            return 0.0
        return self.venue.quantise(self._strategy.broker.getposition(self.data).size)

    @property
    def is_waiting(self) -> bool:
        """Whether a market order of it is on its way."""
        return bool(self._working)

    @property
    def is_engaged(self) -> bool:
        """Whether it is held or an order of it is on its way: it takes one of ``max_open_trades``."""
        return self.is_waiting or self.entry is not None or bool(self.held)

    @property
    def reserved(self) -> float:
        """Quote that its entries on their way, or at rest, will take."""
        return sum(self._working.values()) + sum(self._resting.values())

    def entries_allowed(self, side: int = 1, *, is_reversal: bool = False) -> bool:
        """Whether no protection forbids to enter it now; see :meth:`itb.strategies.base.Strategy.entries_allowed`."""
        return self._strategy.passes_protections(self, side, is_reversal=is_reversal)

    def send(self, qty: float, reason: str, *, reserve: float = 0.0, **kwargs: Any) -> Any:
        """Send a market order: ``qty`` above 0 buys, below 0 sells; ``reserve`` is the quote that it will take.

        With ``exectype`` and ``price`` it is a limit order that opens a position: :attr:`entry` until it has ended.
        """
        strategy = self._strategy
        send = strategy.buy if qty > 0 else strategy.sell
        order = send(data=self.data, size=abs(qty), reason=reason, **kwargs)
        is_resting = order.exectype != bt.Order.Market
        if order.alive():
            (self._resting if is_resting else self._working)[order.ref] = reserve
            self.entry = order if is_resting else self.entry
        return order

    def replace_entry(self, qty: float, price: float | None, *, reserve: float, protect: Any) -> None:
        """Let another order take the place of the entry that rests: a limit at ``price``, or the market's."""
        before, self.entry = self.entry, None
        self._resting.pop(before.ref, None)
        kind = {} if price is None else {"exectype": bt.Order.Limit, "price": price}
        since = before.info["since"]
        self.send(qty, "entry", reserve=reserve, protect=protect, since=since, replaces=before, **kind)

    def cancel_entry(self) -> None:
        """End the entry that rests; what it brought stays."""
        self._strategy.cancel(self.entry)

    def notify_order(self, order: Any) -> list[Trade]:
        """Book the fills of an order of it; give the trades that they ended."""
        if not order.alive():
            self._working.pop(order.ref, None)
            self._resting.pop(order.ref, None)
            self.entry = None if order == self.entry else self.entry
        elif order.exectype == bt.Order.Market:  # perhaps one that an earlier life sent
            self._working.setdefault(order.ref, 0.0)
        elif self.entry is None and self._is_left_entry(order):
            self.entry = order
        if self._strategy.p.history is not None:  # somebody else keeps the books
            return []
        book = self._own_book()
        ended = book.ended
        for bit in order.executed.iterpending():
            book.add(self._fill(order, bit))
        return list(book.closed_after(ended))

    @staticmethod
    def _is_left_entry(order: Any) -> bool:
        """Whether it is an entry that an earlier life of the program left at rest."""
        info = order.info or {}
        is_entry = order.exectype == bt.Order.Limit and info.get("reason") == "entry"
        return is_entry and order.owner is None and "since" in info

    def _fill(self, order: Any, bit: Any) -> Fill:
        """Describe an execution: as the venue booked it where it says so, else as backtrader does."""
        booked: Execution | None = getattr(bit, "execution", None)
        qty, price, fee, fee_quote = (
            (bit.size, bit.price, bit.comm, bit.comm)
            if booked is None
            else (booked.qty, booked.price, booked.fee, booked.fee_quote)
        )
        currency = self.venue.costs.fee_currency
        return Fill(
            bar=len(self.data) - 1,
            open_time=self.now,
            order_id=order.ref,
            symbol=self.symbol,
            qty=qty,
            price=price,
            fee=fee,
            fee_quote=fee_quote,
            fee_currency="quote" if currency == "base" and qty < 0 else currency,
            reason=order.info.get("reason", "user") if order.info else "user",
        )
