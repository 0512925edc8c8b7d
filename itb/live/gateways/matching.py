"""A spot venue in memory: filters, balances, order types, fees. The paper gateway and the rehearsal stand on it.

Exact in ``Decimal``, deterministic, without a clock: the caller says what time it is and what the market does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from typing import Literal

from itb.live.gateways.port import Balance, OrderRequest, VenueOrder, VenueTrade
from itb.live.orders.state import EXACT
from itb.market.costs import Costs
from itb.market.instrument import Instrument

Matching = Literal["now", "next_open"]
AHEAD_MS = 1_000  # a request may be dated this far in the future


class VenueRefusal(Exception):  # noqa: N818  (a refusal is an answer of the venue, not a fault)
    """Why the venue does not take an order; ``is_final`` is False where the same order may be sent again."""

    def __init__(self, reason: str, *, is_final: bool = True) -> None:
        super().__init__(reason)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class PriceBar:
    """One bar as the engine needs it; ``time`` is its open."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = Decimal(0)


class MatchingEngine:
    """Takes orders of one account and executes them against prices.

    Parameters
    ----------
    instruments
        What is traded, and its filters.
    balances
        What the account holds at first.
    costs
        Fees and slippage.
    matching
        ``"now"`` executes a market order at the last price, ``"next_open"`` at the next bar's open, as a backtest.
    latency_ms
        Prices before ``arrival + latency_ms`` do not execute an order.
    participation
        Largest share of a bar's volume that one bar executes; 0 executes everything.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[str, Decimal],
        costs: Costs | None = None,
        *,
        matching: Matching = "now",
        latency_ms: int = 0,
        participation: Decimal = Decimal(0),
    ) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.totals: dict[str, Decimal] = defaultdict(Decimal, balances)
        self.orders: dict[str, VenueOrder] = {}  # by the venue's id
        self.open: dict[str, None] = {}
        self._by_client: dict[str, str] = {}  # the newest order of each client id
        self.trades: list[VenueTrade] = []
        self.prices: dict[str, Decimal] = {}  # what a sale brings
        self._asks: dict[str, Decimal] = {}  # what a purchase costs, where it is another price
        self.now = 0
        costs = costs or Costs()
        self._fees = {True: _share(costs.maker_fee_bps), False: _share(costs.taker_fee_bps)}
        self._slip = _share(costs.slippage_bps + costs.spread_bps / 2)
        self._fee_currency = costs.fee_currency
        self._matching, self._latency, self._participation = matching, latency_ms, participation
        self._locks: dict[str, tuple[str, Decimal]] = {}
        self._makers: set[str] = set()
        self._twins: dict[str, str] = {}
        self._order_ids, self._trade_ids = count(1), count(1)

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Take an order or raise :class:`VenueRefusal`. A client id must differ from those of *open* orders only."""
        if self.now > request.sent_at + request.window_ms or request.sent_at > self.now + AHEAD_MS:
            raise VenueRefusal(f"-1021 timestamp {request.sent_at} is outside of the window", is_final=False)
        instrument = self.instruments.get(request.symbol)
        last = self.prices.get(request.symbol)
        if last is not None and request.side == "buy":
            last = self._asks.get(request.symbol, last)
        if instrument is None or last is None:
            raise VenueRefusal(f"-1121 {request.symbol} is not traded here")
        if self._by_client.get(request.client_id) in self.open:
            raise VenueRefusal("-2010 Duplicate order sent.")
        self._check(request, instrument, last)
        order = VenueOrder(
            request.client_id, str(next(self._order_ids)), request.symbol, request.side, request.kind, request.qty,
            Decimal(0), "open", request.price, request.stop_price, self.now,
        )  # fmt: skip
        self._lock(order, last)
        self.orders[order.order_id] = order
        self.open[order.order_id] = None
        self._by_client[order.client_id] = order.order_id
        if not _is_marketable(order, last):
            self._makers.add(order.order_id)
        if self._matching == "now" and not self._latency:
            self._meet(order.order_id, last)
        return self.orders[order.order_id]

    def submit_pair(self, stop: OrderRequest, limit: OrderRequest) -> tuple[VenueOrder, VenueOrder]:
        """Take two orders over the same coins, the execution of one ending the other; or raise and take neither."""
        first = self.submit(stop)
        lock = self._locks.pop(first.order_id, None)
        try:
            second = self.submit(limit)
        except VenueRefusal:
            self.open.pop(first.order_id)
            del self.orders[first.order_id], self._by_client[first.client_id]
            raise
        if lock is not None:
            self._locks[first.order_id] = lock
        self.link(first.order_id, second.order_id)
        return first, second

    def link(self, one: str, other: str) -> None:
        """Let two resting orders share what they lock: the execution of one ends the other."""
        self._locks.pop(other, None)
        self._twins[one], self._twins[other] = other, one

    def _check(self, request: OrderRequest, instrument: Instrument, last: Decimal) -> None:
        price = request.price or request.stop_price or last
        if instrument.quantise(request.qty) != request.qty:
            raise VenueRefusal(f"-1013 LOT_SIZE: {request.qty} is no multiple of {instrument.step}")
        for value in (request.price, request.stop_price):
            if value is not None and instrument.quantise_price(value, is_buy=True) != value:
                raise VenueRefusal(f"-1013 PRICE_FILTER: {value} is no multiple of {instrument.tick}")
        why = instrument.refusal(request.qty, price)
        if why:
            raise VenueRefusal(f"-1013 NOTIONAL: {why}")
        self._refuse_trigger(request, last)

    def _refuse_trigger(self, request: OrderRequest, last: Decimal) -> None:
        stop = request.stop_price
        if stop is not None and (last >= stop if request.side == "buy" else last <= stop):
            raise VenueRefusal("-2010 Stop price would trigger immediately.")

    def _lock(self, order: VenueOrder, last: Decimal) -> None:
        base, quote = order.symbol.split(":")[0].split("/")
        price = order.price or order.stop_price or self._slipped(last, order)
        currency, amount = (quote, order.qty * price) if order.side == "buy" else (base, order.qty)
        if self.free(currency) < amount:
            raise VenueRefusal(f"-2010 Account has insufficient balance: {amount} {currency}")
        self._locks[order.order_id] = (currency, amount)

    def _slipped(self, price: Decimal, order: VenueOrder) -> Decimal:
        return price * (1 + self._slip) if order.side == "buy" else price * (1 - self._slip)

    def locked(self, currency: str) -> Decimal:
        """Give what resting orders hold of a currency."""
        return sum((amount for held, amount in self._locks.values() if held == currency), Decimal(0))

    def free(self, currency: str) -> Decimal:
        """Give what may be spent of a currency."""
        return self.totals[currency] - self.locked(currency)

    def balances(self) -> tuple[Balance, ...]:
        """Give everything the account holds."""
        return tuple(Balance(name, self.free(name), self.locked(name)) for name in sorted(self.totals))

    def find(self, client_id: str) -> VenueOrder | None:
        """Give the newest order with a client id."""
        order_id = self._by_client.get(client_id)
        return None if order_id is None else self.orders[order_id]

    def cancel(self, client_id: str) -> VenueOrder | None:
        """End an open order and give its last state; ``None`` if none is open under this id."""
        order_id = self._by_client.get(client_id)
        return self._end(order_id, "canceled") if order_id in self.open else None

    def _end(self, order_id: str, status: Literal["filled", "canceled", "expired"]) -> VenueOrder:
        self.orders[order_id] = replace(self.orders[order_id], status=status)
        self.open.pop(order_id, None)
        self._locks.pop(order_id, None)
        twin = self._twins.pop(order_id, None)
        if twin in self.open:
            self._end(twin, "canceled" if status == "canceled" else "expired")
        return self.orders[order_id]

    def quote(self, symbol: str, bid: Decimal, ask: Decimal | None = None) -> None:
        """Let the market trade at a price now; or bid and ask, where buys meet the ask and ``costs`` hold no spread."""
        self.prices[symbol], self._asks[symbol] = bid, ask or bid
        for order_id in [oid for oid in self.open if self.orders[oid].symbol == symbol]:
            order = self.orders[order_id]
            if order.is_open and self.now >= order.created_at + self._latency:
                self._meet(order_id, self._asks[symbol] if order.side == "buy" else bid)

    def _meet(self, order_id: str, price: Decimal) -> None:
        """Execute one order at one price, if it agrees to it."""
        order = self.orders[order_id]
        if order.stop_price is not None:
            if price < order.stop_price if order.side == "buy" else price > order.stop_price:
                return
            if order.kind == "stop_limit":
                order = self.orders[order_id] = replace(order, kind="limit", stop_price=None)
        if order.kind == "limit":
            if _is_marketable(order, price):
                self.fill(order_id, order.qty - order.filled, price)
            return
        self.fill(order_id, order.qty - order.filled, self._slipped(price, order))

    def bar(self, symbol: str, bar: PriceBar) -> None:
        """Let one bar pass: market orders at its open, then stops, then limits; the close is the last price."""
        left = bar.volume * self._participation if self._participation else None
        for order_id in [oid for oid in self.open if self.orders[oid].symbol == symbol]:
            order = self.orders[order_id]
            price = _price_in(order, bar)
            if not order.is_open or price is None or bar.time < order.created_at + self._latency:
                continue
            qty = order.qty - order.filled
            if left is not None:
                qty = min(qty, self.instruments[symbol].quantise(left))
                left -= qty
            if order.kind in {"market", "stop"}:
                price = self._slipped(price, order)
            if qty > 0:
                self.fill(order_id, qty, price)
        self.prices[symbol] = bar.close
        self._asks.pop(symbol, None)

    def fill(self, order_id: str, qty: Decimal, price: Decimal) -> VenueTrade | None:
        """Execute a part of an open order; what cannot be paid for expires."""
        order = self.orders[order_id]
        lock = self._locks.pop(order_id, None)
        paid = self._payable(order, qty, price)
        trade = self._book(order, paid, price) if paid else None
        filled = self.orders[order_id].filled
        if paid < qty:
            self._end(order_id, "expired")
        elif filled == order.qty:
            self._end(order_id, "filled")
        elif lock is not None:
            self._locks[order_id] = (lock[0], lock[1] * (order.qty - filled) / (order.qty - order.filled))
        return trade

    def _payable(self, order: VenueOrder, qty: Decimal, price: Decimal) -> Decimal:
        """Give how much of ``qty`` the account can pay for: all or nothing."""
        quote = order.symbol.split(":")[0].split("/")[1]
        notional = EXACT.multiply(qty, price)
        fee, fee_currency = self._fee(order, qty, notional)
        is_short = order.side == "buy" and self.free(quote) < notional + (fee if fee_currency == quote else 0)
        return Decimal(0) if is_short else qty

    def _book(self, order: VenueOrder, qty: Decimal, price: Decimal) -> VenueTrade:
        base, quote = order.symbol.split(":")[0].split("/")
        notional = EXACT.multiply(qty, price)
        fee, fee_currency = self._fee(order, qty, notional)
        sign = 1 if order.side == "buy" else -1
        trade = VenueTrade(
            str(next(self._trade_ids)),
            order.order_id,
            order.symbol,
            order.side,
            qty,
            price,
            fee,
            fee_currency,
            self.now,
        )
        self.trades.append(trade)
        for currency, amount in ((base, sign * qty), (quote, -sign * notional), (fee_currency, -fee)):
            self.totals[currency] = EXACT.add(self.totals[currency], amount)
        self.orders[order.order_id] = replace(order, filled=order.filled + qty)
        return trade

    def _fee(self, order: VenueOrder, qty: Decimal, notional: Decimal) -> tuple[Decimal, str]:
        rate = self._fees[self._is_maker(order)]
        base, quote = order.symbol.split(":")[0].split("/")
        if self._fee_currency == "base" and order.side == "buy":
            return EXACT.multiply(qty, rate), base
        is_own = self._fee_currency not in {"base", "quote"}
        return EXACT.multiply(notional, rate), self._fee_currency if is_own else quote

    def _is_maker(self, order: VenueOrder) -> bool:
        return order.kind == "limit" and order.order_id in self._makers


def _share(bps: float) -> Decimal:
    return Decimal(repr(bps)) / 10_000


def _is_marketable(order: VenueOrder, price: Decimal) -> bool:
    if order.price is None:
        return order.stop_price is None
    return price <= order.price if order.side == "buy" else price >= order.price


def _price_in(order: VenueOrder, bar: PriceBar) -> Decimal | None:
    """Price before slippage at which a bar executes an order, or ``None``."""
    if order.kind == "market":
        return bar.open
    is_buy = order.side == "buy"
    start = bar.open
    if order.stop_price is not None:
        if bar.high < order.stop_price if is_buy else bar.low > order.stop_price:
            return None
        start = max(start, order.stop_price) if is_buy else min(start, order.stop_price)
    if order.price is None:
        return start
    if order.stop_price is not None:  # a triggered stop-limit takes the trigger's price or nothing: the rest is unknown
        return start if (start <= order.price if is_buy else start >= order.price) else None
    if bar.low > order.price if is_buy else bar.high < order.price:
        return None
    return min(start, order.price) if is_buy else max(start, order.price)
