"""A gateway to any exchange through ccxt: what was witnessed, never what was hoped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from itb.live.gateways import ccxt_words as words
from itb.live.gateways.ccxt_answers import Failure, of_cancel, of_submit, utc_ms
from itb.live.gateways.ccxt_line import CallFailedError, Line
from itb.live.gateways.ccxt_words import NotReadableError
from itb.live.gateways.port import (
    Accepted,
    Balance,
    Cancelled,
    CancelOutcome,
    Capabilities,
    NoAnswerError,
    OrderRequest,
    Rejected,
    Submitted,
    Unknown,
    VenueOrder,
    VenueTrade,
)
from itb.live.orders.ids import PREFIX
from itb.market.instrument import Instrument

T = TypeVar("T")
_OVERLAP_MS = 60_000  # executions may show late by so much
_WHOLE_EVERY = 20  # every so many questions for executions, nothing is taken from memory
_MARKETS_S = 3_600.0
_PRACTISED = Decimal("0.0001")


def ignore() -> None:
    """Do nothing."""


@dataclass
class _Executions:
    since: int
    newest: int = 0
    asked: int = 0
    known: dict[str, VenueTrade] = field(default_factory=dict)


class CcxtGateway:
    """An account on an exchange.

    Parameters
    ----------
    line
        Way to the exchange, see :func:`itb.live.gateways.ccxt_line.open_line`.
    clock
        UTC milliseconds of the exchange's clock, estimated; requests are stamped with it.
    clock_refused
        Called when the exchange refuses our time: ask for its own at once.
    """

    def __init__(self, line: Line, clock: Callable[[], float], *, clock_refused: Callable[[], None] = ignore) -> None:
        self.line, self._clock_refused = line, clock_refused
        self._clock = line.clock = clock
        self._executions: dict[str, _Executions] = {}
        self._markets_at = -_MARKETS_S  # loop's time

    @property
    def capabilities(self) -> Capabilities:
        """Those of the exchange, from the table; a practice exchange fills between ticks and rounds its books."""
        known = self.line.traits.capabilities
        return replace(known, balance_tolerance=_PRACTISED) if self.line.account.practice_url else known

    @property
    def window_ms(self) -> int:
        """How late an order may arrive, in the exchange's time: what the order machine must be built with."""
        return round(1_000 * self.line.account.window_s * self.line.account.speed)

    # ---- questions

    def _retry_at(self) -> int:
        wait = self.line.quiet_ms()
        if not wait:
            return 0
        try:
            now = self._clock()
        except ValueError:  # the exchange has not said its time yet
            now = utc_ms()
        return round(now + wait * self.line.account.speed)

    def _no_answer(self, failure: Failure) -> NoAnswerError:
        if failure.is_clock:
            self._clock_refused()
        return NoAnswerError(f"{self.line.traits.name}: {failure.words}", self._retry_at())

    async def _ask(self, method: str, *args: Any, **more: Any) -> Any:
        try:
            await self.line.load_markets()
            return await self.line.call(method, *args, **more)
        except CallFailedError as error:
            raise self._no_answer(error.failure) from None

    async def server_time(self) -> int:
        """Give the exchange's clock."""
        try:
            told = await self.line.call("fetch_time")
        except CallFailedError as error:
            raise self._no_answer(error.failure) from None
        if not isinstance(told, int) or told <= 0:
            raise NoAnswerError(f"{self.line.traits.name}: answered {told!r} when asked for the time")
        return told

    async def instrument(self, symbol: str) -> Instrument:
        """Give the filters of a symbol, at most an hour old."""
        now = asyncio.get_running_loop().time()
        is_old = now - self._markets_at > _MARKETS_S
        try:
            markets = await self.line.load_markets(again=is_old)
        except CallFailedError as error:
            raise self._no_answer(error.failure) from None
        if is_old:
            self._markets_at = now
        market = markets.get(symbol)
        if market is None:
            raise NoAnswerError(f"{self.line.traits.name}: {symbol} is not listed")
        last = None
        if self.line.client.precisionMode == words.SIGNIFICANT_DIGITS:
            last = words.amount((await self._ask("fetch_ticker", symbol)).get("last"))
        return read(words.instrument_of, market, self.line.client.precisionMode, last)

    async def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        """Look an order up by our name for it."""
        try:
            await self.line.load_markets()
            row = await self.line.call("fetch_order", None, symbol, {"clientOrderId": client_id})
        except CallFailedError as error:
            if error.failure.denies_order:
                return None
            raise self._no_answer(error.failure) from None
        found = read(words.order_of, row, client_id)
        if found.client_id != client_id:
            raise NoAnswerError(f"{self.line.traits.name}: asked for {client_id}, told of {found.client_id!r}")
        return found

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Give all open orders of the account."""
        if self.line.traits.lists_all_open:
            rows = await self._ask("fetch_open_orders")
        else:
            symbols = list(self._executions)
            rows = [row for symbol in symbols for row in await self._ask("fetch_open_orders", symbol)]
        return orders_of(rows)

    async def orders_since(self, symbol: str, since: int) -> tuple[VenueOrder, ...]:
        """Give orders of any status created at or after a time."""
        return orders_of(await self._pages("fetch_orders", symbol, since))

    async def trades_since(self, symbol: str, since: int) -> tuple[VenueTrade, ...]:
        """Give executions at or after a time; what was told before is remembered, and asked for anew now and then."""
        held = self._executions.get(symbol)
        if held is None or held.since > since or held.asked % _WHOLE_EVERY == 0:
            held = _Executions(since)
        start = max(since, held.newest - _OVERLAP_MS)
        rows = await self._pages("fetch_my_trades", symbol, start)
        for trade in (read(words.trade_of, row) for row in rows):
            held.known[trade.trade_id] = trade
            held.newest = max(held.newest, trade.time)
        held.since, held.asked = since, held.asked + 1
        held.known = {key: trade for key, trade in held.known.items() if trade.time >= since}
        self._executions[symbol] = held
        return tuple(sorted(held.known.values(), key=lambda trade: (trade.time, len(trade.trade_id), trade.trade_id)))

    async def balances(self) -> tuple[Balance, ...]:
        """Give what the account holds."""
        return read(words.balances_of, await self._ask("fetch_balance"))

    async def _pages(
        self, method: str, symbol: str, since: int, more: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Ask for everything from a time on, page by page and window by window."""
        more = more or {}
        traits, found, start = self.line.traits, dict[str, dict[str, Any]](), since
        while True:
            stop = start + (traits.history_window_ms or self._clock())
            is_last = stop > self._clock()
            until = {} if is_last else {"until": int(stop) - 1}
            rows = await self._ask(method, symbol, start, traits.page, {**more, **until})
            found.update((row["id"], row) for row in rows)
            if len(rows) < traits.page:
                if is_last:
                    return list(found.values())
                start = int(stop)
                continue
            if traits.pages_by_id and not more:
                return await self._by_id(method, symbol, found)
            newest = max(int(row["timestamp"]) for row in rows)
            if newest == start:
                raise NoAnswerError(f"{symbol}: more than {traits.page} rows of one moment, and no way to page by id")
            start = newest

    async def _by_id(self, method: str, symbol: str, found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask for everything after what was found: executions of one moment may fill a page."""
        name = {"fetch_orders": "orderId", "fetch_my_trades": "fromId"}[method]
        while True:
            rows = await self._ask(method, symbol, None, self.line.traits.page, {name: 1 + max(map(int, found))})
            found.update((row["id"], row) for row in rows)
            if len(rows) < self.line.traits.page:
                return list(found.values())

    # ---- orders

    async def submit(self, request: OrderRequest) -> Submitted:
        """Send an order, once."""
        if request.window_ms < self.window_ms:
            return Rejected(f"its window is {request.window_ms} ms, requests may arrive for {self.window_ms} ms")
        if request.kind not in self.capabilities.kinds:
            return Rejected(f"{self.line.traits.name}: no {request.kind} orders there")
        params: dict[str, Any] = {"clientOrderId": request.client_id}
        if request.reduces and self.line.traits.product == "perpetual":
            params["reduceOnly"] = True
        if request.stop_price is not None:
            params["stopLossPrice"] = f"{request.stop_price:f}"
        price = None if request.price is None else f"{request.price:f}"
        kind = "limit" if request.kind in {"limit", "stop_limit"} else "market"
        try:
            await self.line.load_markets()
        except CallFailedError as error:
            return of_submit(_unsent(error.failure), self._retry_at())
        try:
            row = await self.line.call(
                "create_order", request.symbol, kind, request.side, f"{request.qty:f}", price, params,
                stamp=request.sent_at,
            )  # fmt: skip
        except CallFailedError as error:
            return of_submit(self._noted(error.failure), self._retry_at())
        try:
            order = words.order_of(row, request.client_id)
        except NotReadableError as error:
            return Unknown(str(error))
        is_same = (order.client_id, order.qty) == (request.client_id, request.qty)
        return Accepted(order) if is_same else Unknown(f"asked for {request.client_id}, told of {order.client_id!r}")

    async def submit_pair(self, stop: OrderRequest, limit: OrderRequest) -> tuple[Submitted, Submitted]:
        """Send a stop and a limit, once, of which the execution of one ends the other (an OCO)."""
        short = min(stop.window_ms, limit.window_ms)
        if not self.line.traits.has_oco or short < self.window_ms:
            why = Rejected(f"{self.line.traits.name}: no pairs there, or a window below {self.window_ms} ms")
            return why, why
        try:
            markets = await self.line.load_markets()
        except CallFailedError as error:
            not_sent = of_submit(_unsent(error.failure), self._retry_at())
            return not_sent, not_sent
        if limit.symbol not in markets:
            return Rejected(f"{limit.symbol} is not listed"), Rejected(f"{limit.symbol} is not listed")
        try:
            answer = await self.line.call(
                "privatePostOrderListOco", words.pair_params(markets[limit.symbol]["id"], stop, limit),
                stamp=min(stop.sent_at, limit.sent_at),
            )  # fmt: skip
        except CallFailedError as error:
            outcome = of_submit(self._noted(error.failure), self._retry_at())
            return outcome, outcome
        return self._told(answer, stop), self._told(answer, limit)

    def _told(self, answer: Any, request: OrderRequest) -> Submitted:
        """Find one order of a pair in the answer to both."""
        order = self._report(answer, request.symbol, request.client_id)
        return Accepted(order) if order is not None else Unknown(f"{request.client_id} is not in the answer")

    def _report(self, answer: Any, symbol: str, client_id: str) -> VenueOrder | None:
        """Give the order of a name out of the reports on a pair, if the answer is one."""
        client, rows = self.line.client, answer.get("orderReports") if isinstance(answer, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if client_id in {row.get("clientOrderId"), row.get("origClientOrderId")}:
                try:
                    return words.order_of(client.parse_order(row, client.market(symbol)), client_id)
                except NotReadableError:
                    return None
        return None

    async def cancel(self, symbol: str, client_id: str) -> CancelOutcome:
        """Ask the exchange to end an order, once."""
        try:
            await self.line.load_markets()
            row = await self.line.call("cancel_order", None, symbol, {"clientOrderId": client_id})
        except CallFailedError as error:
            return of_cancel(self._noted(error.failure), self._retry_at())
        pair = self._report(row.get("info"), symbol, client_id)  # the other leg ends too
        try:
            order = pair or words.order_of(row, client_id)
        except NotReadableError as error:
            return Unknown(str(error))
        return Cancelled(order) if order.client_id == client_id else Unknown("the answer names another order")

    def _noted(self, failure: Failure) -> Failure:
        if failure.is_clock:
            self._clock_refused()
        return failure


def _unsent(failure: Failure) -> Failure:
    """Say of a failure before the order left that it did not leave."""
    return Failure((), failure.words, failure.answer, was_sent=False)


def orders_of(rows: Iterable[dict[str, Any]]) -> tuple[VenueOrder, ...]:
    """Read a list of orders; foreign ones that cannot be read are left out."""
    found = []
    for row in rows:
        try:
            found.append(words.order_of(row))
        except NotReadableError as error:
            if str(row.get("clientOrderId")).startswith(PREFIX):
                raise NoAnswerError(f"an order of ours that cannot be read: {error}") from None
    return tuple(found)


def read(reader: Callable[..., T], *args: Any) -> T:
    """Read an answer, or say that it is none."""
    try:
        return reader(*args)
    except (NotReadableError, TypeError, KeyError, AttributeError) as error:
        raise NoAnswerError(f"an answer that cannot be read: {error}") from None
