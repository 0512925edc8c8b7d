"""A venue of USD-margined perpetuals that sees bars only: shorts, margin at 1x, funding, liquidation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.gateways.bar_venue import BarVenue
from itb.live.gateways.matching import VenueRefusal
from itb.live.gateways.port import Balance, Due, Funding, VenueOrder, VenueTrade
from itb.live.orders.margin import liquidation_price
from itb.live.orders.state import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from itb.live.gateways.matching import PriceBar
    from itb.live.gateways.port import OrderRequest
    from itb.live.orders.book import Book
    from itb.market.costs import Costs
    from itb.market.instrument import Instrument

_ZERO = Decimal(0)
SETTLED_LATE_MS = 1_000
"""A settlement so long after a bar's open is one at its open."""


class BarPerpetuals(BarVenue):
    """Fills by the price model of :class:`itb.live.gateways.bar_venue.BarVenue`, and by the margin of a backtest.

    A position is told as coins that were paid for, below 0 as coins that were sold. A short must be backed by free
    equity of its own worth, so nothing is ever borrowed: an order beyond that is refused where its price is known, and
    expires where it is not. An order that reduces never opens the other way. A short whose price reaches
    :func:`itb.live.orders.margin.liquidation_price` inside a bar is closed there by the venue, as an exchange would: no
    order of ours did it, so whoever compares the account halts.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[str, Decimal],
        costs: Costs | None = None,
        *,
        bar_ms: int,
        keep: int = 0,
    ) -> None:
        super().__init__(instruments, balances, costs, bar_ms=bar_ms, keep=keep)
        self._charged: set[str] = set()
        self.settled_until: dict[str, int] = {}  # what earlier lives booked, or owe, by symbol
        self._entries: dict[str, Decimal] = {}

    def position(self, symbol: str) -> Decimal:
        """Give what is held of a perpetual, below 0 for a short."""
        return self.totals[self.instruments[symbol].base]

    def balances(self) -> tuple[Balance, ...]:
        """Give everything the account holds; nothing is locked, margin is not money that is gone."""
        return tuple(Balance(name, self.totals[name]) for name in sorted(self.totals))

    def remember(self, book: Book, until: int, last_trade: int) -> None:
        """Take up what an earlier life did; what was paid then is not paid again."""
        super().remember(book, until, last_trade)
        self._charged.update(book.fundings)
        booked = [(paid.symbol, paid.time + SETTLED_LATE_MS) for paid in book.fundings.values()]
        for symbol, time in booked + [(one.due.symbol, one.due.until) for one in book.owed.values()]:
            self.settled_until[symbol] = max(time, self.settled_until.get(symbol, 0))
        held = {symbol: self.position(symbol) for symbol in self.instruments}
        for trade in self.trades:
            held[trade.symbol] -= _signed(trade)
        for trade in self.trades:
            self._entries.setdefault(trade.symbol, trade.price)  # of a position that is older than what is kept
            self._average(trade, held[trade.symbol])
            held[trade.symbol] += _signed(trade)

    def payment(self, due: Due, rate: Decimal) -> Funding | None:
        """Give what the holder pays or is paid of what was owed, ``None`` where it is nothing."""
        if not due.qty or not rate:
            return None
        paid = -EXACT.multiply(EXACT.multiply(due.qty, rate), due.price)
        return Funding(due.name, due.symbol, self.instruments[due.symbol].quote, paid, due.opened, due.price)

    def charge(self, payments: Iterable[Funding]) -> None:
        """Let the holder pay or be paid, once for each payment."""
        for paid in payments:
            if paid.payment_id not in self._charged:
                self._charged.add(paid.payment_id)
                self.totals[paid.currency] = EXACT.add(self.totals[paid.currency], paid.amount)

    def end_bar(self, symbol: str, bar: PriceBar) -> None:
        """Let the rest of a bar pass, and liquidate what it took too far."""
        super().end_bar(symbol, bar)
        held = self.position(symbol)
        level = liquidation_price(held, self._entries.get(symbol, _ZERO))
        if held < 0 and level and bar.high >= level:
            one = self.instruments[symbol]
            lost = EXACT.multiply(held, level)
            self.totals[one.base] = _ZERO
            self.totals[one.quote] = EXACT.add(self.totals[one.quote], lost)
            self._entries.pop(symbol)

    # ---- margin

    def _check(self, request: OrderRequest, instrument: Instrument, last: Decimal) -> None:
        super()._check(request, instrument, last)
        sign = 1 if request.side == "buy" else -1
        if request.reduces and self.position(request.symbol) * sign >= 0:
            raise VenueRefusal("-2022 ReduceOnly Order is rejected.")
        if not request.reduces and request.kind != "market":
            price = request.price or request.stop_price or last
            if self._payable_at(request.symbol, sign, request.qty, price, _ZERO) < request.qty:
                raise VenueRefusal("-2019 Margin is insufficient.")

    def _lock(self, order: VenueOrder, last: Decimal) -> None:
        """Lock nothing: margin is looked at when an order is executed."""

    def _payable(self, order: VenueOrder, qty: Decimal, price: Decimal) -> Decimal:
        sign = 1 if order.side == "buy" else -1
        if order.order_id in self._reducing:
            return self._closing(order.symbol, sign, qty)
        fee, currency = self._fee(order, qty, EXACT.multiply(qty, price))
        in_quote = fee if currency == self.instruments[order.symbol].quote else _ZERO
        return self._payable_at(order.symbol, sign, qty, price, in_quote)

    def _closing(self, symbol: str, sign: int, qty: Decimal) -> Decimal:
        held = self.position(symbol)
        return min(qty, abs(held)) if held * sign < 0 else _ZERO

    def _payable_at(self, symbol: str, sign: int, qty: Decimal, price: Decimal, fee: Decimal) -> Decimal:
        """Give how much may be traded: all, or what closes the position where the rest would be on credit."""
        closing = self._closing(symbol, sign, qty)
        if closing == qty:
            return qty
        one = self.instruments[symbol]
        left = self.totals[one.quote] - sign * qty * price - fee
        short = min(self.totals[one.base] + sign * qty, _ZERO)
        free = left + 2 * short * price - self._backing(one.quote, but=symbol)
        return qty if free >= 0 else closing

    def _backing(self, quote: str, *, but: str) -> Decimal:
        """Money that the shorts of other perpetuals lay claim to: what they were sold for, and as much again."""
        return sum(
            (
                -2 * min(self.position(name), _ZERO) * self.prices.get(name, _ZERO)
                for name, one in self.instruments.items()
                if one.quote == quote and name != but
            ),
            _ZERO,
        )

    # ---- entry prices

    def _book(self, order: VenueOrder, qty: Decimal, price: Decimal) -> VenueTrade:
        before = self.position(order.symbol)
        trade = super()._book(order, qty, price)
        self._average(trade, before)
        return trade

    def _average(self, trade: VenueTrade, before: Decimal) -> None:
        """Keep the average price at which a position was opened."""
        signed, entry = _signed(trade), self._entries.get(trade.symbol, _ZERO)
        after = before + signed
        if not after:
            self._entries.pop(trade.symbol, None)
        elif before * signed >= 0:
            self._entries[trade.symbol] = (abs(before) * entry + trade.qty * trade.price) / abs(after)
        elif before * after < 0:
            self._entries[trade.symbol] = trade.price


def _signed(trade: VenueTrade) -> Decimal:
    return trade.qty if trade.side == "buy" else -trade.qty
