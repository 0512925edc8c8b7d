"""The venue: takes, cancels and remembers orders of one account while its markets print (pure; it has no clock)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from itb.live.practice import refusals, wording
from itb.live.practice.checks import MAX_OPEN, check_filters, check_shape
from itb.live.practice.matching import Matching
from itb.live.practice.orders import ZERO, Ask, Fill, Order, OrderList, down, times
from itb.live.practice.refusals import RefusedError
from itb.live.practice.settlement import Settlement, Terms
from itb.live.practice.tape import Tape
from itb.live.practice.wallet import Wallet

_EVENTS = 100_000  # user events that wait for a reader; older ones are dropped


class Venue:
    """One account on several replayed markets.

    Market time is ``now`` (UTC milliseconds) and moves by :meth:`advance` only. What the account's owner would hear is
    in ``events`` (payloads of the user data stream, oldest first); ``on_print(tape)`` is called at every price.
    Finished orders beyond the newest ``history`` are forgotten.
    """

    def __init__(
        self,
        tapes: Sequence[Tape],
        balances: Mapping[str, Decimal],
        terms: Terms | None = None,
        *,
        start_ms: int,
        history: int = 100_000,
    ) -> None:
        self.tapes = {tape.id: tape for tape in tapes}
        self.now = start_ms
        held = {asset: ZERO for tape in tapes for asset in (tape.rules.base, tape.rules.quote)}
        self.wallet = Wallet({**held, **balances})
        self.terms = terms or Terms()
        self.matching = Matching(Settlement(self.wallet, self.terms, self._coin_price), self._changed, self._partner)
        self.orders: dict[int, Order] = {}
        self.lists: dict[int, OrderList] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=_EVENTS)
        self.on_print: Callable[[Tape], None] | None = None
        self.is_halted = False
        self._open: dict[str, dict[int, Order]] = {name: {} for name in self.tapes}
        self._fills: dict[str, deque[Fill]] = {name: deque(maxlen=2 * history) for name in self.tapes}
        self._by_cid: dict[tuple[str, str], int] = {}
        self._finished: deque[int] = deque()
        self._history, self._number = history, 0

    def tape(self, symbol: str) -> Tape:
        """Give a market by its exchange name (``BTCUSDT``)."""
        if symbol not in self.tapes:
            raise RefusedError(refusals.BAD_SYMBOL)
        return self.tapes[symbol]

    def price(self, symbol: str) -> Decimal:
        """Give what a market order would trade at now, before slippage."""
        return self.tape(symbol).at(self.now)

    @property
    def is_over(self) -> bool:
        """Whether every market has printed its last price."""
        return all(tape.next_time is None for tape in self.tapes.values())

    # ---- time

    def advance(self, to_ms: int) -> None:
        """Let the markets print everything before ``to_ms``; a bar that opens then has its orders answered first."""
        while (tape := self._next_tape()) is not None:
            seen = tape.peek()
            if seen.time >= to_ms:
                break
            self.now = max(self.now, seen.time)
            tape.take(seen, self.terms.volume_share)
            standing = list(self._open[tape.id].values())
            self.matching.walk(tape, standing, seen.price, self.now, jumps=seen.part == 0)
            if self.on_print is not None:
                self.on_print(tape)
        self.now = max(self.now, to_ms)

    def _next_tape(self) -> Tape | None:
        waiting = [(tape.next_time, tape) for tape in self.tapes.values() if tape.next_time is not None]
        return min(waiting, key=lambda one: one[0])[1] if waiting else None

    # ---- orders

    def place(self, ask: Ask) -> Order:
        """Take an order, or raise :class:`RefusedError`."""
        tape = self._check(ask)
        order = self._new(ask, self._quantity(ask, tape))
        price = self.price(ask.symbol)
        check_filters(ask, order.qty, tape.rules, price)
        self._check_price(order, price)
        money = self.matching.money
        is_at_once = order.is_working and (not order.is_limit or order.acts_at(price))
        level = money.terms.slipped(order, price) if ask.kind == "MARKET" else (ask.price or ask.stop)
        if money.affordable(order, level, order.qty, tape.rules) < order.qty:
            raise RefusedError(refusals.NO_MONEY)
        self._enter(order)
        if ask.kind != "MARKET":
            money.reserve(order, money.need(order, level, order.qty), tape.rules)
        self._changed(order, "NEW", None)
        if is_at_once:
            tape.arrive(self.now, self.terms.volume_share)
            self.matching.take(tape, order, price, self.now)
        elif order.is_limit and order.is_working and ask.tif != "GTC":
            self.matching.finish(order, tape, self.now, "EXPIRED")
        return order

    def place_pair(self, first: Ask, second: Ask, cid: str = "") -> OrderList:
        """Take two orders of which one cancels the other."""
        tape = self._check(first)
        self._check(second)
        if first.cid and first.cid == second.cid:
            raise RefusedError(refusals.DUPLICATE)
        legs = (self._new(first, first.qty), self._new(second, second.qty))
        price = self.price(first.symbol)
        for leg in legs:
            check_filters(leg.ask, leg.qty, tape.rules, price)
            if leg.acts_at(price):
                raise RefusedError(refusals.BAD_OCO)
        if legs[0].acts_when_falling == legs[1].acts_when_falling:
            raise RefusedError(refusals.BAD_OCO)
        money = self.matching.money
        need = max(money.need(leg, leg.ask.price or leg.ask.stop, leg.qty) for leg in legs)
        if need > self.wallet.free(money.held(legs[0], tape.rules)):
            raise RefusedError(refusals.NO_MONEY)
        number = self._count()
        pair = OrderList(number, first.symbol, cid or f"practice-list-{number}", self.now, legs)
        self.lists[number] = pair
        money.reserve(legs[0], need, tape.rules)
        for leg in legs:
            leg.list_id = number
            self._enter(leg)
            self._changed(leg, "NEW", None)
        return pair

    def cancel(self, order: Order, cid: str = "") -> list[Order]:
        """Cancel an open order, and the other leg of its pair; refuse if it is open no more."""
        if not order.is_open:
            raise RefusedError(refusals.UNKNOWN_ORDER)
        partner, gone = self._partner(order), []
        for one in (order, partner):
            if one is not None and one.is_open:
                one.cancel_cid = cid or f"practice-cancel-{one.id}"
                self.matching.finish(one, self.tape(one.ask.symbol), self.now, "CANCELED")
                gone.append(one)
        return gone

    def find(self, symbol: str, order_id: int | None, cid: str | None) -> Order | None:
        """Look an order up by the venue's number or the client's own; of several with one name the newest counts."""
        self.tape(symbol)
        if order_id is None:
            order_id = self._by_cid.get((symbol, cid or ""), -1)
        order = self.orders.get(order_id)
        return order if order is not None and order.ask.symbol == symbol else None

    def open_orders(self, symbol: str | None = None) -> Iterator[Order]:
        """Give the open orders, eldest first."""
        for name in [symbol] if symbol else self._open:
            self.tape(name)
            yield from list(self._open[name].values())

    def fills(self, symbol: str) -> Iterator[Fill]:
        """Give a market's fills in the order in which they happened."""
        self.tape(symbol)
        return iter(self._fills[symbol])

    def transfer(self, asset: str, amount: Decimal) -> None:
        """Deposit, or withdraw where negative; ``ArithmeticError`` if there is not as much free."""
        if not amount.is_finite() or self.wallet.free(asset) + amount < 0:
            raise ArithmeticError(f"{self.wallet.free(asset)} {asset} are free, {-amount} were asked for")
        self.wallet.add(asset, amount)
        self.events.append(wording.balance_update(asset, amount, self.now))

    # ---- inside

    def _check(self, ask: Ask) -> Tape:
        tape = self.tape(ask.symbol)
        check_shape(ask)
        if self.is_halted:
            raise RefusedError(refusals.MARKET_CLOSED)
        known = self.orders.get(self._by_cid.get((ask.symbol, ask.cid), -1))
        if ask.cid and known is not None and known.is_open:
            raise RefusedError(refusals.DUPLICATE)
        if len(self._open[ask.symbol]) >= MAX_OPEN and ask.kind != "MARKET":
            raise RefusedError(refusals.FILTER_COUNT)
        return tape

    def _check_price(self, order: Order, price: Decimal) -> None:
        if not order.acts_at(price):
            return
        if order.ask.kind == "LIMIT_MAKER":
            raise RefusedError(refusals.WOULD_TAKE)
        if not order.is_working:
            raise RefusedError(refusals.WOULD_TRIGGER)

    def _quantity(self, ask: Ask, tape: Tape) -> Decimal:
        if not ask.quote_qty:
            return ask.qty
        price = self.price(ask.symbol) * (1 + self.terms.slippage if ask.side == "BUY" else 1 - self.terms.slippage)
        with_fee = 1 + self.terms.taker_fee if self.terms.fee_currency == "quote" and ask.side == "BUY" else 1
        return down(ask.quote_qty / times(price, Decimal(with_fee)), tape.rules.step)

    def _count(self) -> int:
        self._number += 1
        return self._number

    def _new(self, ask: Ask, qty: Decimal) -> Order:
        is_working = ask.kind in {"LIMIT", "LIMIT_MAKER", "MARKET"}
        return Order(0, ask, self.now, "", qty, is_working=is_working, updated=self.now)

    def _enter(self, order: Order) -> None:
        order.id = self._count()
        order.cid = order.ask.cid or f"practice-{order.id}"
        self.orders[order.id] = self._open[order.ask.symbol][order.id] = order
        self._by_cid[order.ask.symbol, order.cid] = order.id

    def _partner(self, order: Order) -> Order | None:
        pair = self.lists.get(order.list_id)
        return None if pair is None else next(leg for leg in pair.legs if leg is not order)

    def _changed(self, order: Order, what: str, fill: Fill | None) -> None:
        if fill is not None:
            self._fills[order.ask.symbol].append(fill)
        self.events.append(wording.execution_report(order, what, fill, self.now))
        rules = self.tape(order.ask.symbol).rules
        assets = dict.fromkeys((rules.base, rules.quote, *([fill.fee_asset] if fill else ())))
        self.events.append(wording.account_position(self.wallet, assets, self.now))
        if not order.is_open and self._open[order.ask.symbol].pop(order.id, None) is not None:
            self._finished.append(order.id)
            if len(self._finished) > self._history:
                self._forget(self.orders.pop(self._finished.popleft()))

    def _forget(self, order: Order) -> None:
        key = (order.ask.symbol, order.cid)
        if self._by_cid.get(key) == order.id:
            del self._by_cid[key]
        partner = self._partner(order)
        if partner is not None and partner.id not in self.orders:
            del self.lists[order.list_id]

    def _coin_price(self, quote: str) -> Decimal | None:
        tape = self.tapes.get(f"BNB{quote}")
        return None if tape is None else tape.at(self.now)
